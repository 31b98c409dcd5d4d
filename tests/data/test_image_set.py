from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from nasgan.data import ImageSet, Splits
from nasgan.errors import DatasetError


def images(count: int = 6, side: int = 4, channels: int = 3, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, channels, side, side)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_describes_its_images() -> None:
    dataset = ImageSet("shapes", images(6, side=4), torch.tensor([0, 1, 2, 0, 1, 2]), "train")
    assert (len(dataset), dataset.image_size, dataset.image_channels) == (6, 4, 3)
    assert dataset.num_classes == 3
    assert dataset.labels is not None
    assert dataset.labels.dtype == torch.int64
    assert "tensor" not in repr(dataset)


def test_without_labels_there_are_no_classes() -> None:
    assert ImageSet("shapes", images()).num_classes == 0


def test_declared_classes_may_exceed_the_labels_seen() -> None:
    labels = torch.zeros(6, dtype=torch.int32)
    assert ImageSet("shapes", images(), labels, num_classes=10).num_classes == 10


def test_checksum_is_the_sha256_of_shape_pixels_and_labels() -> None:
    pixels, labels = images(5), torch.arange(5)
    expected = hashlib.sha256(b"uint8(5, 3, 4, 4)")
    expected.update(pixels.numpy().tobytes())
    expected.update(b"int64 labels")
    expected.update(np.arange(5, dtype="<i8").tobytes())
    assert ImageSet("a", pixels, labels).checksum == expected.hexdigest()


def test_checksum_never_changes_between_releases() -> None:
    pixels = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    assert ImageSet("a", pixels).checksum == (
        "b95068ba84d05396d3c505aebf4486c50ddd6b60985628f1d6a92f9f1547b965"
    )


def test_checksum_does_not_depend_on_name_split_or_memory_layout() -> None:
    pixels = images()
    strided = pixels.to(memory_format=torch.channels_last)
    assert ImageSet("a", pixels).checksum == ImageSet("b", strided, split="test").checksum


def test_checksum_of_a_large_set_is_the_same_in_slices() -> None:
    pixels = images(20_000, side=2, channels=1)
    whole = hashlib.sha256(b"uint8(20000, 1, 2, 2)" + pixels.numpy().tobytes())
    assert ImageSet("a", pixels).checksum == whole.hexdigest()


@pytest.mark.parametrize("change", ["pixel", "label", "order", "shape", "no labels"])
def test_checksum_changes_with_the_content(change: str) -> None:
    pixels, labels = images(6, side=4, channels=1), torch.arange(6)
    before = ImageSet("a", pixels, labels).checksum
    other, other_labels = pixels.clone(), labels.clone()
    if change == "pixel":
        other[3, 0, 1, 2] ^= 1
    elif change == "label":
        other_labels[0] = 1
    elif change == "order":
        other = other.flip(0)
    elif change == "shape":
        other = other.reshape(6, 4, 2, 2)
    after = ImageSet("a", other, None if change == "no labels" else other_labels).checksum
    assert after != before


def test_identity_names_the_content_unless_published() -> None:
    mine = ImageSet("cifar10", images())
    assert mine.identity == f"cifar10@{mine.checksum[:8]}"
    assert ImageSet("cifar10", images(), published=True).identity == "cifar10"


def test_subset_is_another_set_in_the_order_asked_for() -> None:
    whole = ImageSet("digits", images(), torch.arange(6), published=True)
    part = whole.subset([4, 1])
    assert torch.equal(part.images, whole.images[[4, 1]])
    assert part.labels is not None
    assert part.labels.tolist() == [4, 1]
    assert part.num_classes == 6
    assert part.checksum == ImageSet("x", whole.images[[4, 1]], torch.tensor([4, 1])).checksum
    assert part.identity == f"digits@{part.checksum[:8]}"


@pytest.mark.parametrize("indices", [[0, 6], [-1, 2], [3], []])
def test_subset_refuses_impossible_indices(indices: list[int]) -> None:
    with pytest.raises(DatasetError):
        ImageSet("digits", images()).subset(indices)


def test_moving_to_the_same_device_is_free_and_elsewhere_keeps_the_checksum() -> None:
    dataset = ImageSet("shapes", images(), torch.arange(6), published=True)
    assert dataset.to("cpu") is dataset
    if torch.cuda.is_available():
        moved = dataset.to("cuda")
        assert moved.device.type == "cuda"
        assert moved.checksum == dataset.checksum
        assert moved.identity == dataset.identity


@pytest.mark.parametrize(
    ("pixels", "labels", "classes", "complaint"),
    [
        (images().float(), None, 0, "uint8"),
        (images()[0], None, 0, "shape"),
        (images()[:, :, :3], None, 0, "square, not 3x4"),
        (images()[:, :0], None, 0, "0 channels"),
        (images(1), None, 0, "at least 2"),
        (images(), torch.arange(5), 0, r"\(6,\), not \(5,\)"),
        (images(), torch.arange(6).float(), 0, "integers"),
        (images(), torch.arange(6) - 1, 0, "found -1 to 4"),
        (images(), torch.arange(6), 5, "between 0 and 4, found 0 to 5"),
        (images(), None, 5, "no labels"),
    ],
)
def test_refuses_what_is_not_an_image_set(
    pixels: torch.Tensor, labels: torch.Tensor | None, classes: int, complaint: str
) -> None:
    with pytest.raises(DatasetError, match=complaint) as caught:
        ImageSet("shapes", pixels, labels, "test", num_classes=classes)
    assert "'shapes' (test)" in str(caught.value)


def test_splits_must_agree() -> None:
    train = ImageSet("shapes", images(side=4), torch.tensor([0, 1, 0, 1, 0, 1]))
    assert Splits(train).test is None
    with pytest.raises(DatasetError, match="same size"):
        Splits(train, ImageSet("shapes", images(side=8), split="test"))
    with pytest.raises(DatasetError, match="3 classes"):
        Splits(train, ImageSet("shapes", images(), torch.tensor([0, 1, 2, 0, 1, 2]), "test"))


def test_label_ids_that_would_make_a_billion_classes_are_refused_in_a_line() -> None:
    with pytest.raises(DatasetError, match=r"numpy\.unique") as caught:
        ImageSet("shapes", images(2), torch.tensor([0, 10**9]))
    assert len(str(caught.value)) < 400
