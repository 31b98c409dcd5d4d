from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets, transforms

from nasgan.data import load_stl10, published, resize_images
from nasgan.data.sources import STL10, Archive
from nasgan.errors import ConfigError, DatasetError


def pictures(count: int, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8).tobytes()


@pytest.fixture
def archive(packed: Any, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """STL-10 with a few images a file."""
    contents = {
        "train_X.bin": pictures(3, 0),
        "unlabeled_X.bin": pictures(5, 1),
        "test_X.bin": pictures(4, 2),
        "test_y.bin": bytes([1, 10, 5, 2]),
    }
    small: Archive = packed(STL10, contents)
    monkeypatch.setattr(published, "STL10", small)
    return small


@pytest.fixture
def root(archive: Archive, tmp_path: Path) -> Path:
    """A data folder with the unpacked files."""
    folder = tmp_path / "data" / archive.folder
    folder.mkdir(parents=True)
    for name in archive.members:
        shutil.copy(tmp_path / "host" / name, folder)
    return folder.parent


def test_train_and_unlabelled_images_are_one_set_without_labels(root: Path) -> None:
    splits = load_stl10(root)
    assert splits.test is not None
    assert splits.train.images.shape == (8, 3, 48, 48)
    assert splits.train.labels is None
    assert splits.test.labels is not None
    assert splits.test.labels.tolist() == [0, 9, 4, 1]
    assert splits.test.num_classes == 10
    assert splits.train.identity == "stl10"
    assert load_stl10(root, image_size=24).train.identity.startswith("stl10@")


def test_images_equal_torchvisions_reader_and_resize(
    root: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda self: True)
    theirs = datasets.STL10(str(root), split="test", transform=transforms.Resize(48))
    ours = load_stl10(root).test
    assert ours is not None
    for index in range(4):
        image, label = theirs[index]
        expected = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        assert torch.equal(ours.images[index], expected)
        assert ours.labels is not None
        assert int(ours.labels[index]) == label


def test_the_resized_images_are_kept_and_the_originals_not_needed_again(
    root: Path, archive: Archive
) -> None:
    first = load_stl10(root)
    shutil.rmtree(root / archive.folder)
    again = load_stl10(root)
    assert again.test is not None
    assert first.test is not None
    assert again.train.checksum == first.train.checksum
    assert again.test.checksum == first.test.checksum
    with pytest.raises(DatasetError, match=r"train_X\.bin is missing"):
        load_stl10(root, image_size=32)


def test_a_damaged_cache_is_refused_by_name(root: Path) -> None:
    load_stl10(root)
    cache = root / "stl10-train-48px.npz"
    cache.write_bytes(cache.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=r"stl10-train-48px\.npz .*delete it"):
        load_stl10(root)
    shutil.copy(root / "stl10-test-48px.npz", cache)
    cache.unlink()
    load_stl10(root, image_size=24)
    shutil.copy(root / "stl10-train-24px.npz", cache)
    with pytest.raises(DatasetError, match=r"3, 24, 24.*delete it"):
        load_stl10(root)


def test_an_archive_is_unpacked(archive: Archive, tmp_path: Path) -> None:
    assert len(load_stl10(tmp_path / "new", download=True).train) == 8


@pytest.mark.parametrize("name", list(STL10.members))
def test_a_truncated_or_altered_file_is_named(root: Path, archive: Archive, name: str) -> None:
    path = root / archive.folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DatasetError, match=f"{name} is truncated"):
        load_stl10(root)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DatasetError, match=f"{name} is not the published file"):
        load_stl10(root)
    assert not list(root.glob("*.npz"))


def test_the_real_archive_is_described_as_torchvision_does() -> None:
    published = dict(datasets.STL10.train_list + datasets.STL10.test_list)
    assert {name: member.md5 for name, member in STL10.members.items()}.items() <= published.items()
    assert STL10.md5 == datasets.STL10.tgz_md5
    assert STL10.url == datasets.STL10.url
    assert STL10.folder == datasets.STL10.base_folder


def test_an_impossible_size_is_refused_first(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="image_size"):
        load_stl10(tmp_path, image_size=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_equals_pil_image_by_image(channels: int) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, channels, 20, 20), dtype=np.uint8)
    found = resize_images(images, 8)
    for image, small in zip(images, found, strict=True):
        picture = Image.fromarray(image.transpose(1, 2, 0).squeeze())
        expected = np.asarray(picture.resize((8, 8), Image.Resampling.BILINEAR))
        assert np.array_equal(small.numpy().transpose(1, 2, 0).squeeze(), expected)
