from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasgan.data import load_cifar10, published
from nasgan.data.sources import CIFAR10, Archive
from nasgan.errors import DatasetError

RECORDS = 4


def batch(number: int) -> bytes:
    """Four records as the binary version stores them."""
    random = np.random.default_rng(number)
    records = random.integers(0, 256, (RECORDS, 1 + 3072), dtype=np.uint8)
    records[:, 0] = random.integers(0, 10, RECORDS)
    return records.tobytes()


@pytest.fixture
def archive(packed: Any, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """CIFAR-10 with four images a file; the archive waits in a folder of its own."""
    small: Archive = packed(CIFAR10, {name: batch(i) for i, name in enumerate(CIFAR10.members)})
    monkeypatch.setattr(published, "CIFAR10", small)
    return small


def put(archive: Archive, tmp_path: Path, root: Path) -> Path:
    """Place the archive where a user would."""
    root.mkdir()
    return Path(shutil.copy(tmp_path / "host" / archive.filename, root))


def test_an_archive_in_the_root_is_unpacked_and_read(archive: Archive, tmp_path: Path) -> None:
    root = tmp_path / "data"
    put(archive, tmp_path, root)
    splits = load_cifar10(root)
    assert splits.test is not None
    assert splits.train.images.shape == (5 * RECORDS, 3, 32, 32)
    assert len(splits.test) == RECORDS
    second = np.frombuffer(batch(1), np.uint8).reshape(RECORDS, -1)
    pixels = torch.from_numpy(second[0, 1:].copy())
    assert torch.equal(splits.train.images[RECORDS].flatten(), pixels)
    assert splits.train.labels is not None
    assert splits.train.labels[RECORDS : 2 * RECORDS].tolist() == second[:, 0].tolist()
    assert (splits.train.identity, splits.train.num_classes) == ("cifar10", 10)
    assert {file.name for file in (root / archive.folder).iterdir()} == set(archive.members)


def test_unpacked_files_need_no_archive(archive: Archive, tmp_path: Path) -> None:
    root = tmp_path / "data"
    packed = put(archive, tmp_path, root)
    first = load_cifar10(root).train.checksum
    packed.unlink()
    assert load_cifar10(str(root)).train.checksum == first


def test_download_fetches_the_archive_once(archive: Archive, tmp_path: Path) -> None:
    root = tmp_path / "data"
    first = load_cifar10(root, download=True).train.checksum
    (tmp_path / "host" / archive.filename).unlink()
    assert load_cifar10(root, download=True).train.checksum == first
    assert {file.name for file in root.iterdir()} == {archive.filename, archive.folder}


def test_a_failed_download_says_what_to_do_and_leaves_nothing(
    archive: Archive, tmp_path: Path
) -> None:
    source = tmp_path / "host" / archive.filename
    source.write_bytes(source.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"download of .* failed") as caught:
        load_cifar10(tmp_path / "data", download=True)
    assert "put it into" in str(caught.value)
    source.unlink()
    with pytest.raises(DatasetError, match="failed"):
        load_cifar10(tmp_path / "data", download=True)
    assert list((tmp_path / "data").iterdir()) == []


def test_missing_data_say_how_to_get_them(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        load_cifar10(tmp_path / "nowhere")
    for hint in ("data_batch_1.bin", "dataset.download=true", archive.filename, archive.url):
        assert hint in str(caught.value)
    assert not (tmp_path / "nowhere").exists()


def test_a_truncated_archive_is_refused_before_it_is_opened(
    archive: Archive, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    path = put(archive, tmp_path, root)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="truncated or not the published one") as caught:
        load_cifar10(root)
    assert str(path) in str(caught.value)
    assert [file.name for file in root.iterdir()] == [archive.filename]


def test_a_missing_or_truncated_batch_is_named(archive: Archive, tmp_path: Path) -> None:
    root = tmp_path / "data"
    put(archive, tmp_path, root).unlink()
    folder = root / archive.folder
    folder.mkdir()
    for i, name in enumerate(archive.members):
        (folder / name).write_bytes(batch(i))
    victim = folder / "data_batch_3.bin"
    victim.write_bytes(batch(2)[:-1])
    with pytest.raises(DatasetError, match=r"data_batch_3\.bin is truncated .*12291.*12292"):
        load_cifar10(root)
    victim.write_bytes(b"\xff" + batch(2)[1:])
    with pytest.raises(DatasetError, match=r"data_batch_3\.bin is not .* label 255"):
        load_cifar10(root)
    victim.unlink()
    with pytest.raises(DatasetError, match=r"data_batch_3\.bin is missing"):
        load_cifar10(root)


def test_the_real_archive_is_described_as_published() -> None:
    assert {member.size for member in CIFAR10.members.values()} == {30_730_000}
    assert list(CIFAR10.members)[-1] == "test_batch.bin"
    assert CIFAR10.filename == "cifar-10-binary.tar.gz"
