from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nasgan.errors import ConfigError, StorageError
from nasgan.runs.grid import save_grid


def read(path: Path) -> tuple[str, np.ndarray[Any, Any]]:
    with Image.open(path) as picture:
        return picture.mode, np.asarray(picture)


def test_images_lie_in_rows_with_white_between(tmp_path: Path) -> None:
    images = torch.arange(5, dtype=torch.uint8).mul(10).view(5, 1, 1, 1).expand(5, 3, 4, 4)
    save_grid(images, tmp_path / "grid.png", columns=3, scale=2)
    mode, pixels = read(tmp_path / "grid.png")
    assert (mode, pixels.shape) == ("RGB", (2 * 8 + 2, 3 * 8 + 2 * 2, 3))
    for i in range(5):
        row, column = divmod(i, 3)
        top, left = row * 10, column * 10
        assert (pixels[top : top + 8, left : left + 8] == 10 * i).all()
    assert (pixels[8:10] == 255).all()
    assert (pixels[:, 8:10] == 255).all()
    assert (pixels[10:, 20:] == 255).all()


def test_pixels_are_enlarged_as_squares(tmp_path: Path) -> None:
    image = torch.randint(0, 256, (1, 1, 3, 3), dtype=torch.uint8)
    save_grid(image, tmp_path / "grid.png", scale=5)
    mode, pixels = read(tmp_path / "grid.png")
    assert mode == "L"
    assert np.array_equal(pixels, np.kron(image[0, 0].numpy(), np.ones((5, 5), dtype=np.uint8)))


def test_generator_output_is_mapped_from_minus_one_to_one(tmp_path: Path) -> None:
    image = torch.tensor([-1.0, -2.0, 0.0, 1.0, 3.0, -0.5]).view(1, 1, 1, 6).requires_grad_()
    save_grid(image, tmp_path / "grid.png", scale=1)
    assert read(tmp_path / "grid.png")[1].tolist() == [[0, 0, 128, 255, 255, 64]]


@pytest.mark.parametrize(("number", "side"), [(64, 16), (64, 32), (16, 48), (9, 32), (1, 16)])
def test_the_picture_has_a_pleasant_size(tmp_path: Path, number: int, side: int) -> None:
    save_grid(torch.zeros(number, 3, side, side), tmp_path / "grid.png")
    height, width, _ = read(tmp_path / "grid.png")[1].shape
    assert 500 <= width <= 800
    assert 500 <= height <= 800


def test_impossible_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "grid.png"
    for images in (
        torch.zeros(3, 4, 4),
        torch.zeros(1, 2, 4, 4),
        torch.zeros(0, 3, 4, 4),
        torch.full((1, 1, 2, 2), float("nan")),
        torch.zeros(1, 1, 2, 2, dtype=torch.int64),
    ):
        with pytest.raises(ConfigError):
            save_grid(images, path)
    for wrong in ({"columns": 0}, {"scale": -1}, {"scale": 100_000}):
        with pytest.raises(ConfigError):
            save_grid(torch.zeros(4, 1, 2, 2), path, **wrong)
    assert not path.exists()


def test_a_full_disk_leaves_the_old_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grid.png"
    save_grid(torch.zeros(1, 1, 2, 2), path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="full"):
        save_grid(torch.ones(1, 1, 2, 2), path)
    assert path.read_bytes() == before
