"""Images too large for a device stay on the host: the same batches, copied ahead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from nasgan.data import ImageSet, ShuffledBatches, load_image_folder, load_npz, placement
from nasgan.errors import DatasetError

SIZE = 12 * 3 * 8 * 8


@pytest.fixture
def image_set():
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (12, 3, 8, 8), generator=noise, dtype=torch.uint8)
    return ImageSet("random", pixels, torch.arange(12) % 3)


def stream(image_set, memory, monkeypatch, **given):
    monkeypatch.setattr(placement, "_memory", lambda device: memory)
    return ShuffledBatches(image_set, 5, seed=1, device="cpu", horizontal_flip=True, **given)


def assert_same(one, other):
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("own", [lambda whole: whole, lambda whole: whole[1:3]])
def test_batches_are_the_same_wherever_the_images_lie(image_set, own, monkeypatch):
    resident = stream(image_set, None, monkeypatch, own=own)
    copied = stream(image_set, 4 * SIZE - 1, monkeypatch, own=own)
    assert resident._rows is None
    assert copied._rows is not None
    for _ in range(9):
        assert_same(resident.next(), copied.next())
        assert resident.state_dict() == copied.state_dict()


def test_a_quarter_of_the_memory_is_the_limit(image_set, monkeypatch):
    assert stream(image_set, 4 * SIZE, monkeypatch)._rows is None


def test_a_batch_is_fetched_while_the_one_before_it_is_used(image_set, monkeypatch):
    batches = stream(image_set, 0, monkeypatch)
    fetched = []
    fetch = batches._rows.fetch
    monkeypatch.setattr(batches._rows, "fetch", lambda index: fetched.append(index) or fetch(index))
    batches.next()
    assert len(fetched) == 2
    batches.next()
    assert len(fetched) == 3


def test_a_stream_resumes_where_it_stood_not_where_it_had_fetched(image_set, monkeypatch):
    whole = stream(image_set, 0, monkeypatch)
    for _ in range(4):
        whole.next()
    state = whole.state_dict()
    other = stream(image_set, 0, monkeypatch)
    other.next()
    other.load_state_dict(state)
    for _ in range(4):
        assert_same(whole.next(), other.next())


def test_images_that_fit_nowhere_are_refused_with_their_bytes(monkeypatch):
    monkeypatch.setattr(placement, "available_memory", lambda: 1_000)
    placement.check_memory(1_000, "they")
    with pytest.raises(DatasetError, match="they take 2,000 bytes, and 1,000 bytes of memory are"):
        placement.check_memory(2_000, "they")


def test_files_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "images.npz"
    np.savez_compressed(path, images=np.zeros((50, 8, 8, 3), dtype=np.uint8))
    monkeypatch.setattr(placement, "available_memory", lambda: 5_000)
    with pytest.raises(DatasetError, match=r"images\.npz: its arrays take 9,\d+ bytes"):
        load_npz(path, image_channels=3)
    folder = tmp_path / "folder"
    folder.mkdir()
    for k in range(3):
        Image.new("RGB", (4, 4)).save(folder / f"{k}.png")
    with pytest.raises(DatasetError, match="3 images at 64x64 pixels take 36,864 bytes"):
        load_image_folder(folder, image_size=64, image_channels=3)
