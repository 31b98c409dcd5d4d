from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasgan.data import ImageSet, load_npz, resize_images
from nasgan.errors import ConfigError, DatasetError


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.target, "executed"))


def pixels(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return saved(tmp_path / "birds.npz", images=pixels(6, 8, 8, 3), labels=np.arange(6) % 3)


def test_reads_channels_last_images_and_labels(train: Path) -> None:
    found = load_npz(train).train
    assert torch.equal(found.images, torch.from_numpy(pixels(6, 8, 8, 3)).permute(0, 3, 1, 2))
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert (found.name, found.split, found.num_classes) == ("birds", "train", 3)
    assert found.identity == f"birds@{found.checksum[:8]}"


def test_the_layout_is_recognised(tmp_path: Path) -> None:
    last = pixels(6, 8, 8, 3)
    a = load_npz(saved(tmp_path / "a.npz", images=last)).train
    b = load_npz(saved(tmp_path / "b.npz", images=last.transpose(0, 3, 1, 2))).train
    assert a.checksum == b.checksum
    grey = pixels(6, 8, 8)
    for name, array in (("c", grey), ("d", grey[..., None]), ("e", grey[:, None])):
        found = load_npz(saved(tmp_path / f"{name}.npz", images=array), image_channels=1).train
        assert torch.equal(found.images[:, 0], torch.from_numpy(grey))


def test_a_single_array_of_any_name_is_the_images(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    np.savez_compressed(path, pixels(4, 8, 8, 3))
    assert len(load_npz(path).train) == 4


def test_test_file_shares_the_classes(train: Path, tmp_path: Path) -> None:
    test = saved(tmp_path / "t.npz", images=pixels(4, 8, 8, 3), labels=np.zeros(4, np.uint8))
    splits = load_npz(train, name="mine", test_path=test)
    assert splits.test is not None
    assert (splits.test.name, splits.test.split, splits.test.num_classes) == ("mine", "test", 3)
    more = saved(tmp_path / "m.npz", images=pixels(4, 8, 8, 3), labels=np.array([0, 1, 2, 3]))
    with pytest.raises(DatasetError, match=r"m\.npz.*found 0 to 3"):
        load_npz(train, test_path=more)


def test_images_are_resized_on_request(train: Path) -> None:
    found = load_npz(train, image_size=4).train
    assert torch.equal(found.images, resize_images(pixels(6, 8, 8, 3).transpose(0, 3, 1, 2), 4))


def test_other_arrays_in_the_file_are_not_touched(tmp_path: Path) -> None:
    trap = np.array([Trap(tmp_path / "trace")], dtype=object)
    path = saved(tmp_path / "a.npz", images=pixels(4, 8, 8, 3), notes=trap)
    assert len(load_npz(path).train) == 4
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("key", ["images", "labels"])
def test_nothing_is_unpickled(tmp_path: Path, key: str) -> None:
    trap = np.array([Trap(tmp_path / "trace")] * 4, dtype=object)
    arrays = {"images": pixels(4, 8, 8, 3), key: trap}
    with pytest.raises(DatasetError, match=r"trap\.npz"):
        load_npz(saved(tmp_path / "trap.npz", **arrays))
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"images": pixels(4, 8, 8, 3).astype(np.float32)}, "float32, not uint8"),
        ({"images": pixels(4, 8, 6, 3)}, "square"),
        ({"images": pixels(4, 8, 6, 3).transpose(0, 3, 1, 2)}, "square"),
        ({"images": pixels(1, 8, 8, 3)}, "at least 2"),
        ({"images": pixels(0, 8, 8, 3)}, "at least 2"),
        ({"images": pixels(8, 8)}, "shape"),
        ({"images": pixels(4, 8, 8, 1)}, "1 channels, but dataset.image_channels is 3"),
        ({"images": pixels(4, 5, 8, 8)}, "5 channels"),
        ({"images": pixels(4, 8, 8, 3), "labels": np.zeros(4)}, "not integers"),
        ({"images": pixels(4, 8, 8, 3), "labels": np.zeros(3, int)}, r"\(3,\)"),
        ({"images": pixels(4, 8, 8, 3), "labels": np.array([0, 1, -1, 0])}, "found -1"),
        ({"x": pixels(4, 8, 8, 3), "y": np.zeros(4, int)}, "none is called `images`"),
        ({}, "none is called `images`"),
    ],
)
def test_wrong_arrays_are_refused_by_file_name(
    tmp_path: Path, arrays: dict[str, Any], complaint: str
) -> None:
    path = saved(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(DatasetError, match=complaint) as caught:
        load_npz(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "npy", "not arrays"])
def test_other_files_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data.npz"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not an archive")
    elif kind == "npy":
        with path.open("wb") as stream:
            np.save(stream, pixels(4, 8, 8, 3))
    elif kind == "not arrays":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", b"hello")
    with pytest.raises(DatasetError) as caught:
        load_npz(path)
    assert str(path) in str(caught.value)


def test_a_file_truncated_anywhere_is_refused(train: Path) -> None:
    whole = train.read_bytes()
    for kept in range(0, len(whole), 37):
        train.write_bytes(whole[:kept])
        with pytest.raises(DatasetError, match=r"birds\.npz"):
            load_npz(train)


def test_a_damaged_file_is_read_or_refused_but_never_crashes(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, images=pixels(4, 4, 4, 3), labels=np.arange(4))
    whole = stream.getvalue()
    random = np.random.default_rng(1)
    path, refused = tmp_path / "damaged.npz", 0
    for _ in range(400):
        damaged = bytearray(whole)
        for position in random.integers(0, len(whole), 3):
            damaged[position] = random.integers(0, 256)
        path.write_bytes(damaged)
        try:
            load_npz(path)
        except DatasetError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("settings", [{"image_size": 0}, {"image_channels": 2}])
def test_impossible_settings_are_refused(train: Path, settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        load_npz(train, **settings)  # type: ignore[arg-type]


def test_labels_with_gaps_are_numbered_in_their_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = np.array([7, 10**9, 7, 40, 10**9, 40])
    train = saved(tmp_path / "a.npz", images=pixels(6, 8, 8, 3), labels=ids)
    test = saved(tmp_path / "t.npz", images=pixels(2, 8, 8, 3), labels=np.array([10**9, 40]))
    with caplog.at_level("INFO"):
        splits = load_npz(train, test_path=test)
    assert splits.train.labels is not None
    assert splits.train.labels.tolist() == [0, 2, 0, 1, 2, 1]
    assert splits.train.num_classes == 3
    assert splits.test is not None
    assert splits.test.labels is not None
    assert (splits.test.labels.tolist(), splits.test.num_classes) == ([2, 1], 3)
    assert caplog.messages == [f"{train}: the labels 7, 40, 1000000000 are the classes 0 to 2"]


def test_numbering_the_classes_leaves_the_checksum_that_of_the_file(tmp_path: Path) -> None:
    ids = np.array([5, 5, 9, 9, 9, 5])
    found = load_npz(saved(tmp_path / "a.npz", images=pixels(6, 8, 8, 3), labels=ids)).train
    stored = torch.from_numpy(pixels(6, 8, 8, 3)).permute(0, 3, 1, 2)
    assert found.checksum == ImageSet("a", stored, torch.from_numpy(ids)).checksum


def test_a_test_label_that_no_train_image_has_is_refused(tmp_path: Path) -> None:
    train = saved(tmp_path / "a.npz", images=pixels(3, 8, 8, 3), labels=np.array([5, 50, 500]))
    for label in (6, 501, -1):
        test = saved(tmp_path / "t.npz", images=pixels(2, 8, 8, 3), labels=np.array([5, label]))
        with pytest.raises(DatasetError, match=rf"t\.npz: the label {label} .* 5, 50, 500$"):
            load_npz(train, test_path=test)


def test_an_id_for_each_image_is_no_class_and_refused_in_a_line(tmp_path: Path) -> None:
    count = 70_000
    path = saved(
        tmp_path / "a.npz", images=np.zeros((count, 1, 1), np.uint8), labels=np.arange(count)
    )
    with pytest.raises(DatasetError, match="70000 classes are more than the 65536") as caught:
        load_npz(path, image_channels=1)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((5, 8, 8, 4), r"RGBA.*images\[\.\.\., :3\]"),
        ((5, 4, 8, 8), r"RGBA.*images\[:, :3\]"),
        ((5, 8, 8, 2), r"LA.*images\[\.\.\., :1\]"),
        ((8, 8, 3, 5), r"\(H, W, C, N\).*transpose\(3, 0, 1, 2\)"),
        ((8, 8, 1, 5), r"\(H, W, C, N\)"),
        ((8, 8, 4, 5), r"\(H, W, C, N\)"),
        ((3, 8, 8, 5), r"\(C, H, W, N\).*transpose\(3, 0, 1, 2\)"),
    ],
)
def test_arrays_of_other_layouts_are_named(
    tmp_path: Path, shape: tuple[int, ...], name: str
) -> None:
    with pytest.raises(DatasetError, match=name):
        load_npz(saved(tmp_path / "a.npz", images=pixels(*shape)))


def test_the_turn_that_is_advised_makes_images_of_any_layout(tmp_path: Path) -> None:
    wanted = load_npz(saved(tmp_path / "a.npz", images=pixels(5, 8, 8, 3))).train
    for k, axes in enumerate([(1, 2, 3, 0), (3, 1, 2, 0)]):
        other = pixels(5, 8, 8, 3).transpose(axes)
        turned = saved(tmp_path / f"{k}.npz", images=other.transpose(3, 0, 1, 2))
        assert load_npz(turned).train.checksum == wanted.checksum
