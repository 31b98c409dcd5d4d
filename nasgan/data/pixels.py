"""Pixels: from uint8 to the networks' range, and the two geometric changes loaders make."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image
from torch import Tensor

__all__ = ["Colour", "fit_square", "resize_images", "to_float", "upright"]

#: Red, green and blue, 0 to 255.
Colour: TypeAlias = tuple[int, int, int]

# What undoes each orientation of a camera (CIPA DC-008, section 4.6.5, tag 274); 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_float(
    images: Tensor, *, dtype: torch.dtype = torch.float32, channels_last: bool = False
) -> Tensor:
    """Map uint8 0..255 to [-1, 1]: ``x / 127.5 - 1``, computed in float32, then cast to ``dtype``.

    Bit for bit what torchvision's ``ToTensor`` and ``Normalize(0.5, 0.5)`` make of the same pixels
    (the published input pipeline), for each of the 256 values.

    Args:
        images: uint8, (N, C, H, W).
        dtype: of the result.
        channels_last: memory format of the result.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    scaled = images.to(torch.float32, memory_format=layout)
    # Division by a tensor of the same device: by a Python number, CUDA multiplies with the
    # reciprocal instead, which rounds differently from the CPU.
    scaled.div_(torch.full((), 127.5, device=images.device)).sub_(1.0)
    return scaled.to(dtype)


def resize_images(images: NDArray[np.uint8], image_size: int, *, threads: int = 4) -> Tensor:
    """Resize images as torchvision's ``Resize`` does on PIL images (bilinear, antialiased).

    Args:
        images: uint8, (N, C, H, W) with 1 or 3 channels; may be a memory map, any strides.
        image_size: side of the result.
        threads: PIL works outside the interpreter's lock, so threads help.

    Returns:
        uint8 (N, C, image_size, image_size), a copy.
    """
    count, channels = images.shape[:2]
    resized = np.empty((count, channels, image_size, image_size), dtype=np.uint8)

    def fill(row: int) -> None:
        picture = _to_pil(images[row])
        small = picture.resize((image_size, image_size), Image.Resampling.BILINEAR)
        resized[row] = _from_pil(small)

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, count, 4096):  # bounds the number of waiting jobs
            list(pool.map(fill, range(start, min(start + 4096, count))))
    return torch.from_numpy(resized)


def upright(image: Image.Image) -> Image.Image:
    """``image`` turned as its EXIF orientation says; as it is stored where that cannot be read."""
    image.load()  # turns TIFF by itself, and drops their orientation
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF trips Pillow in many ways, beside pixels that are sound
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def fit_square(
    image: Image.Image, image_size: int, image_channels: int, background: Colour
) -> NDArray[np.uint8]:
    """Centre-crop to a square, resize (bilinear, antialiased) and convert to grey (1) or RGB (3).

    Args:
        image: of a mode with 8 bits a channel.
        image_size: side of the result.
        image_channels: 1 or 3.
        background: what transparent pixels are composed onto.

    Returns:
        uint8 (image_channels, image_size, image_size).
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = _opaque(image.crop((left, top, left + side, top + side)), background)
    square = square.convert("RGB" if image_channels == 3 else "L")
    return _from_pil(square.resize((image_size, image_size), Image.Resampling.BILINEAR))


def _opaque(image: Image.Image, background: Colour) -> Image.Image:
    """``image`` as it looks on ``background``, without the colours that transparency hides."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image
    below = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(below, image.convert("RGBA"))


def _to_pil(pixels: NDArray[np.uint8]) -> Image.Image:
    """(C, H, W) to a PIL image."""
    if pixels.shape[0] == 1:
        return Image.fromarray(np.ascontiguousarray(pixels[0]))
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def _from_pil(image: Image.Image) -> NDArray[np.uint8]:
    """A grey or RGB PIL image to (C, H, W)."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
