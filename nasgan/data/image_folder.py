"""Images from a folder of picture files, with one subfolder per class where there are classes."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nasgan.data.image_set import ImageSet, Splits
from nasgan.data.pixels import fit_square
from nasgan.errors import ConfigError, DatasetError

__all__ = ["load_image_folder"]

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# 16-bit and float pictures would be clipped to white without a word.
_MODES_8_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})

_LOGGER = logging.getLogger(__name__)


def load_image_folder(
    path: str | Path,
    image_size: int,
    image_channels: int = 3,
    limit: int | None = None,
    test_path: str | Path | None = None,
    name: str | None = None,
) -> Splits:
    """Images of any size from a folder: centre-cropped to a square, then resized.

    With two or more subfolders that hold images, each is a class, numbered in the sorted order of
    their names; whatever lies deeper belongs to the same class. Otherwise there are no labels.
    Files are taken in sorted order; hidden ones and other file types are passed over.

    Args:
        path: the folder to train on.
        image_size: side of the images in pixels (bilinear, antialiased).
        image_channels: 3 converts to RGB, 1 to grey.
        limit: keep at most so many images of each part, spread evenly over the sorted files (so
            that every class keeps its share).
        test_path: the folder to hold out, if any, with the same classes.
        name: of the data; the folder's name if None. `ImageSet.identity` adds the checksum.

    Raises:
        ConfigError: a setting is outside its range.
        DatasetError: no images, a file that cannot be read (it is named), unclear classes.
    """
    _check_settings(image_size, image_channels, limit)
    train_folder = _existing(path, "dataset.path")
    test_folder = None if test_path is None else _existing(test_path, "dataset.test_path")
    name = name or train_folder.resolve().name
    train_files = _pictures(train_folder)
    classes = _class_names(train_folder, train_files)

    def part(folder: Path, found: list[Path], split: str) -> ImageSet:
        files = _limited(found, limit)
        labels = _labels(folder, files, classes)
        _LOGGER.info("reading %d images from %s", len(files), folder)
        return ImageSet(
            name=name,
            images=_read_all(files, image_size, image_channels),
            labels=None if labels is None else torch.tensor(labels),
            split=split,
            num_classes=len(classes),
        )

    return Splits(
        train=part(train_folder, train_files, "train"),
        test=None if test_folder is None else part(test_folder, _pictures(test_folder), "test"),
    )


def _check_settings(image_size: int, image_channels: int, limit: int | None) -> None:
    if image_size < 1:
        raise ConfigError(f"dataset.image_size must be at least 1, not {image_size}")
    if image_channels not in (1, 3):
        raise ConfigError(f"dataset.image_channels must be 1 or 3, not {image_channels}")
    if limit is not None and limit < 2:
        raise ConfigError(f"dataset.limit must be at least 2, not {limit}")


def _existing(path: str | Path, setting: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; set {setting} to a folder of images")
    return folder


def _pictures(folder: Path) -> list[Path]:
    """Every picture under ``folder``, sorted by its path within it."""
    found = [
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in _SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    ]
    if len(found) < 2:
        raise DatasetError(
            f"{folder} holds {len(found)} images, at least 2 are needed; the file types read are "
            + ", ".join(sorted(_SUFFIXES))
        )
    return sorted(found, key=lambda file: file.relative_to(folder).parts)


def _class_names(folder: Path, files: Sequence[Path]) -> list[str]:
    """The subfolders that are classes, or nothing where the images have no labels.

    Raises:
        DatasetError: images lie beside the class folders, so that their class is unclear.
    """
    parts = [file.relative_to(folder).parts for file in files]
    names = sorted({within[0] for within in parts if len(within) > 1})
    stray = next((within[0] for within in parts if len(within) == 1), None)
    if names and stray is not None:
        raise DatasetError(
            f"{folder} has images in subfolders ({names[0]}) and beside them ({stray}): move them "
            "into one subfolder per class, or all into one folder"
        )
    return names if len(names) > 1 else []


def _limited(files: list[Path], limit: int | None) -> list[Path]:
    """At most ``limit`` files, spread evenly."""
    if limit is None or limit >= len(files):
        return files
    return [files[index * len(files) // limit] for index in range(limit)]


def _labels(folder: Path, files: Sequence[Path], classes: Sequence[str]) -> list[int] | None:
    """The number of each file's class, or None where there are no classes."""
    if not classes:
        return None
    number = {name: index for index, name in enumerate(classes)}
    tops = [file.relative_to(folder).parts[0] for file in files]
    for file, top in zip(files, tops, strict=True):
        if top not in number:
            raise DatasetError(
                f"{file} is of the class {top!r}, which the train images lack; they have "
                + ", ".join(classes)
            )
    return [number[top] for top in tops]


def _read_all(files: Sequence[Path], image_size: int, image_channels: int) -> Tensor:
    images = np.empty((len(files), image_channels, image_size, image_size), dtype=np.uint8)

    def fill(row: int) -> None:
        try:
            with Image.open(files[row]) as picture:
                if picture.mode not in _MODES_8_BIT:
                    raise ValueError(f"its pixels are {picture.mode!r}, not 8 bits a channel")
                images[row] = fit_square(picture, image_size, image_channels)
        except Exception as error:  # Pillow raises whatever a damaged file trips over
            raise DatasetError(
                f"{files[row]} cannot be read as an image: it is damaged or of another kind "
                f"({error}); replace it or take it out of the folder"
            ) from error

    # Decoding works outside the interpreter's lock; the first error cancels what waits.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(fill, range(len(files))):
            pass
    return torch.from_numpy(images)
