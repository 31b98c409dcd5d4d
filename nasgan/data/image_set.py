"""A set of real images, held whole in memory as uint8 and named by its checksum; their pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image
from torch import Tensor

from nasgan.errors import DatasetError

__all__ = [
    "Colour",
    "ImageSet",
    "Splits",
    "content_checksum",
    "fit_square",
    "resize_images",
    "to_float",
    "upright",
]

_HASHED_ROWS = 8192
# More are no classes but numbers that happen to be whole: an id of each image, a year, a hash.
_MOST_CLASSES = 65_536


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Square uint8 images and, where there are any, their class labels. Read-only by agreement.

    32 to 64 px data fit into a device's memory whole (CIFAR-10: 154 MB), so that drawing a batch
    is one indexing operation on the device and needs no worker processes.

    Args:
        name: the data's name, e.g. ``"cifar10"``.
        images: uint8, (N, C, H, W) with H = W and N >= 2.
        labels: integers (N,) in ``[0, num_classes)``, or None; kept as int64.
        split: which part of the data this is: ``"train"``, ``"test"``, ...
        checksum: SHA-256 (hexadecimal) over shape, pixels and labels; computed when empty.
        num_classes: 0 without labels; with labels and 0, one more than the largest label.
        published: True only for the unaltered images of a data set that its name alone identifies.

    Raises:
        DatasetError: the tensors are not what the above says.
    """

    name: str
    images: Tensor = field(repr=False)
    labels: Tensor | None = field(default=None, repr=False)
    split: str = "train"
    checksum: str = ""
    num_classes: int = 0
    published: bool = False

    def __post_init__(self) -> None:
        where = f"data set {self.name!r} ({self.split})"
        _check_images(self.images, where)
        images, labels = self.images.contiguous(), self.labels
        if labels is not None:
            labels = _checked_labels(labels, images, where)
        derived = {
            "images": images,
            "labels": labels,
            "num_classes": _class_count(labels, self.num_classes, where),
            "checksum": self.checksum or content_checksum(images, labels),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def image_size(self) -> int:
        """Side of an image in pixels."""
        return self.images.shape[2]

    @property
    def image_channels(self) -> int:
        """Colour channels: 3 for RGB, 1 for grey."""
        return self.images.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    @property
    def identity(self) -> str:
        """What a protocol id calls these data: two different sets never share it.

        The name alone for a published set; otherwise the name and the first 8 digits of the
        checksum, because a file or a folder of any name can hold any images.
        """
        return self.name if self.published else f"{self.name}@{self.checksum[:8]}"

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set on ``device`` (itself if it is there already); not hashed again."""
        images = self.images.to(device)
        if images is self.images:
            return self
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=images, labels=labels)

    def subset(self, indices: Sequence[int] | Tensor) -> ImageSet:
        """The images at ``indices`` in that order, as a set with a checksum of its own.

        Raises:
            DatasetError: an index is outside the set, or fewer than two are given.
        """
        index = torch.as_tensor(indices, dtype=torch.int64, device=self.device)
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise DatasetError(
                f"a subset of {self.name!r} asks for indices {int(index.min())} to "
                f"{int(index.max())}, but the set has {len(self)} images"
            )
        labels = None if self.labels is None else self.labels[index]
        return replace(self, images=self.images[index], labels=labels, checksum="", published=False)


@dataclass(frozen=True, eq=False)
class Splits:
    """The parts of one data set: what is trained on and, where there is one, what is held out.

    Raises:
        DatasetError: the two parts differ in image size or channels, or ``test`` has a class that
            ``train`` lacks.
    """

    train: ImageSet
    test: ImageSet | None = None

    def __post_init__(self) -> None:
        if self.test is None:
            return
        train, test = self.train.images.shape[1:], self.test.images.shape[1:]
        if train != test:
            raise DatasetError(
                f"the train images of {self.train.name!r} are {tuple(train)} (C, H, W) but the "
                f"test images {tuple(test)}; give both the same size and channels"
            )
        if self.train.labels is not None and self.test.num_classes > self.train.num_classes:
            raise DatasetError(
                f"the test images of {self.train.name!r} have {self.test.num_classes} classes but "
                f"the train images {self.train.num_classes}; number the classes alike in both"
            )


def _check_images(images: Tensor, where: str) -> None:
    shape = tuple(images.shape)
    if images.dtype != torch.uint8:
        raise DatasetError(f"{where}: images must be uint8 (0 to 255), not {images.dtype}")
    if images.dim() != 4:
        raise DatasetError(f"{where}: images must have the shape (N, C, H, W), not {shape}")
    if shape[2] != shape[3] or 0 in shape[1:]:
        raise DatasetError(
            f"{where}: images must be square, not {shape[2]}x{shape[3]} with {shape[1]} channels; "
            "crop them first"
        )
    if shape[0] < 2:
        raise DatasetError(f"{where}: at least 2 images are needed, found {shape[0]}")


def _checked_labels(labels: Tensor, images: Tensor, where: str) -> Tensor:
    if labels.dtype.is_floating_point or labels.dtype.is_complex or labels.dtype == torch.bool:
        raise DatasetError(f"{where}: labels must be integers, not {labels.dtype}")
    if labels.shape != images.shape[:1]:
        raise DatasetError(
            f"{where}: {images.shape[0]} images need labels of the shape ({images.shape[0]},), "
            f"not {tuple(labels.shape)}"
        )
    return labels.to(device=images.device, dtype=torch.int64).contiguous()


def _class_count(labels: Tensor | None, declared: int, where: str) -> int:
    """The number of classes, checked against the labels."""
    if labels is None:
        if declared:
            raise DatasetError(f"{where}: {declared} classes are declared but there are no labels")
        return 0
    low, high = int(labels.min()), int(labels.max())
    count = declared or high + 1
    if low < 0 or high >= count:
        raise DatasetError(
            f"{where}: labels must lie between 0 and {count - 1}, found {low} to {high}"
        )
    if count > _MOST_CLASSES:
        raise DatasetError(
            f"{where}: {count} classes are more than the {_MOST_CLASSES} that there may be (the "
            f"largest label is {high}); number the classes from 0 on without gaps "
            "(numpy.unique(labels, return_inverse=True)), or leave the labels out"
        )
    return count


def content_checksum(images: Tensor, labels: Tensor | None) -> str:
    """SHA-256 of the content in (N, C, H, W) order, a slice at a time (no second copy)."""
    digest = hashlib.sha256(f"uint8{tuple(images.shape)}".encode())
    for rows in torch.split(images, _HASHED_ROWS):
        digest.update(rows.cpu().numpy().data)
    if labels is not None:
        digest.update(b"int64 labels")
        digest.update(labels.cpu().numpy().astype("<i8", copy=False).data)
    return digest.hexdigest()


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


def resize_images(images: NDArray[np.uint8], image_size: int) -> Tensor:
    """Resize images as torchvision's ``Resize`` does on PIL images (bilinear, antialiased).

    Args:
        images: uint8, (N, C, H, W) with 1 or 3 channels; may be a memory map, any strides.
        image_size: side of the result.

    Returns:
        uint8 (N, C, image_size, image_size), a copy.
    """
    count, channels = images.shape[:2]
    resized = np.empty((count, channels, image_size, image_size), dtype=np.uint8)

    def fill(row: int) -> None:
        picture = _to_pil(images[row])
        small = picture.resize((image_size, image_size), Image.Resampling.BILINEAR)
        resized[row] = _from_pil(small)

    # PIL works outside the interpreter's lock, so threads help.
    with ThreadPoolExecutor(4) as pool:
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
