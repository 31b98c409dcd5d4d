"""Sample grids: many small images in one picture that a person can look at."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nasgan import atomic
from nasgan.errors import ConfigError, quoted

__all__ = ["save_grid"]

_SEPARATOR = 2
_PLEASANT_WIDTH = 640
_MAX_PIXELS = 100_000_000


def save_grid(
    images: Tensor, path: str | Path, *, columns: int | None = None, scale: int | None = None
) -> None:
    """Write ``images`` as one PNG, row by row, two white pixels apart.

    Args:
        images: (N, C, H, W) with one channel (grey) or three (RGB): floating point in [-1, 1]
            (clamped), or uint8. On any device.
        path: the file, replaced atomically.
        columns: images in a row; by default as many as make the grid about square.
        scale: whole factor of enlargement, each pixel a square; by default what makes the grid
            about 640 pixels wide, never smaller than the images are.

    Raises:
        ConfigError: wrong shape, type or value, non-finite images, or a grid too large.
        StorageError: the file cannot be written.
    """
    pixels = _to_uint8(images)
    number, height, width, _ = pixels.shape
    columns = _at_least_one("columns", columns, default=math.ceil(math.sqrt(number)))
    columns = min(columns, number)
    scale = _at_least_one("scale", scale, default=max(1, _PLEASANT_WIDTH // (columns * width)))
    rows = math.ceil(number / columns)
    size = (
        rows * (height * scale + _SEPARATOR) - _SEPARATOR,
        columns * (width * scale + _SEPARATOR) - _SEPARATOR,
    )
    if math.prod(size) > _MAX_PIXELS:
        raise ConfigError(
            f"a grid of {number} images would have {size[1]} x {size[0]} pixels; draw fewer images"
        )
    picture = Image.fromarray(_lay_out(pixels, size, columns, scale))
    atomic.write_file(Path(path), lambda stream: picture.save(stream, format="PNG"))


def _to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """(N, C, H, W) images as uint8 (N, H, W, C) on the CPU."""
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise ConfigError(
            "a grid takes images of shape (N, C, H, W) with 1 or 3 channels, got "
            f"{tuple(images.shape)}"
        )
    images = images.detach()
    if images.is_floating_point():
        if not bool(torch.isfinite(images).all()):
            raise ConfigError("a grid cannot show images with NaN or infinite pixels")
        images = images.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    elif images.dtype != torch.uint8:
        raise ConfigError(f"a grid takes floating-point or uint8 images, got {images.dtype}")
    array: NDArray[np.uint8] = images.permute(0, 2, 3, 1).cpu().contiguous().numpy()
    return array


def _at_least_one(name: str, value: int | None, *, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} must be a whole number of at least 1, got {quoted(value)}")
    return value


def _lay_out(
    pixels: NDArray[np.uint8], size: tuple[int, int], columns: int, scale: int
) -> NDArray[np.uint8]:
    """The grid, (height, width, 3), or (height, width) for grey images."""
    canvas = np.full((*size, pixels.shape[-1]), 255, dtype=np.uint8)
    height, width = pixels.shape[1] * scale, pixels.shape[2] * scale
    for i, image in enumerate(pixels):
        row, column = divmod(i, columns)
        top, left = row * (height + _SEPARATOR), column * (width + _SEPARATOR)
        enlarged = image.repeat(scale, axis=0).repeat(scale, axis=1)
        canvas[top : top + height, left : left + width] = enlarged
    return canvas[:, :, 0] if pixels.shape[-1] == 1 else canvas
