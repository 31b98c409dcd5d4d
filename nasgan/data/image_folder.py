"""Images from a folder of picture files, with one subfolder per class where there are classes."""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor
from torch import Tensor

from nasgan.data.image_set import Colour, ImageSet, Splits, fit_square, upright
from nasgan.data.picture_files import PictureFiles, find_pictures, listed, picture_formats
from nasgan.data.placement import check_memory
from nasgan.errors import ConfigError, DatasetError

__all__ = ["load_image_folder"]

# 16-bit and float pictures would be clipped to white without a word.
_MODES_8_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
# What people call the parts of a data set, hardly ever its classes.
_PARTS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})

_LOGGER = logging.getLogger(__name__)


def load_image_folder(
    path: str | Path,
    image_size: int,
    image_channels: int = 3,
    limit: int | None = None,
    test_path: str | Path | None = None,
    name: str | None = None,
    background: str = "white",
) -> Splits:
    """Images of any size from a folder: centre-cropped to a square, then resized.

    With two or more subfolders that hold images, each is a class, numbered in the sorted order of
    their names; whatever lies deeper belongs to the same class. Otherwise there are no labels.
    Files are taken in sorted order, in all formats that Pillow decodes, those of animations with
    their first frame, turned as their EXIF orientation says. Links are followed, each file and
    folder is taken once. What is left out (hidden files, other types, links that lead nowhere) is
    counted in a message with the reason.

    Args:
        path: the folder to train on.
        image_size: side of the images in pixels (bilinear, antialiased).
        image_channels: 3 converts to RGB, 1 to grey.
        limit: keep at most so many images of each part, spread evenly over the sorted files (so
            that every class keeps its share).
        test_path: the folder to hold out, if any, with the same classes or without class folders.
        name: of the data; the folder's name if None. `ImageSet.identity` adds the checksum.
        background: the colour under transparent pixels, by its name or as ``#rrggbb``.

    Raises:
        ConfigError: a setting is outside its range.
        DatasetError: no images, a file or folder that cannot be read (it is named), unclear
            classes.
    """
    _check_settings(image_size, image_channels, limit)
    colour = _colour(background)
    train_folder = _existing(path, "dataset.path")
    test_folder = None if test_path is None else _existing(test_path, "dataset.test_path")
    name = name or train_folder.resolve().name
    train_found = find_pictures(train_folder)
    classes = train_found.subfolders
    if len(classes) < 2:
        classes = []
    _warn_of_parts(train_found, classes)

    def part(found: PictureFiles, split: str) -> ImageSet:
        files = _limited(found.files, limit)
        labels = _labels(found, files, classes)
        _tell(found, len(files), labels is not None)
        return ImageSet(
            name=name,
            images=_read_all(files, image_size, image_channels, colour),
            labels=None if labels is None else torch.tensor(labels),
            split=split,
            num_classes=0 if labels is None else len(classes),
        )

    return Splits(
        train=part(train_found, "train"),
        test=None if test_folder is None else part(find_pictures(test_folder), "test"),
    )


def _check_settings(image_size: int, image_channels: int, limit: int | None) -> None:
    if image_size < 1:
        raise ConfigError(f"dataset.image_size must be at least 1, not {image_size}")
    if image_channels not in (1, 3):
        raise ConfigError(f"dataset.image_channels must be 1 or 3, not {image_channels}")
    if limit is not None and limit < 2:
        raise ConfigError(f"dataset.limit must be at least 2, not {limit}")


def _colour(background: str) -> Colour:
    try:
        red, green, blue = ImageColor.getrgb(background)[:3]
    except ValueError as error:
        raise ConfigError(
            f"dataset.background={background[:80]} is no colour: take a name (white, black, grey) "
            "or '#rrggbb'"
        ) from error
    return red, green, blue


def _existing(path: str | Path, setting: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; set {setting} to a folder of images")
    return folder


def _warn_of_parts(found: PictureFiles, classes: Sequence[str]) -> None:
    """Say so where a folder of train and test images was taken for one of classes."""
    parts = [name for name in classes if name.lower() in _PARTS]
    if len(parts) > 1:
        _LOGGER.warning(
            "the classes of %s are called %s: if these are parts of the data, set dataset.path to "
            "one of them and dataset.test_path to another",
            found.folder,
            listed(parts),
        )


def _tell(found: PictureFiles, count: int, is_labelled: bool) -> None:
    """One line of what was found, of what kinds, and of what was left out."""
    sizes = Counter(file.relative_to(found.folder).parts[0] for file in found.files)
    names = found.subfolders
    if is_labelled:
        of_each = listed([f"{name}: {sizes[name]}" for name in names])
        kinds = f" in {len(names)} class{'' if len(names) == 1 else 'es'} ({of_each})"
    else:
        kinds = ", no classes" + (f" (all lie in the one subfolder {names[0]})" if names else "")
    kept = "" if count == len(found.files) else f"; dataset.limit keeps {count}"
    level = logging.WARNING if found.is_suspicious else logging.INFO
    text = f"{found.folder}: {len(found.files)} images{kinds}{kept}{found.omissions()}"
    _LOGGER.log(level, "%s", text)


def _limited(files: Sequence[Path], limit: int | None) -> Sequence[Path]:
    """At most ``limit`` files, spread evenly."""
    if limit is None or limit >= len(files):
        return files
    return [files[index * len(files) // limit] for index in range(limit)]


def _labels(found: PictureFiles, files: Sequence[Path], classes: Sequence[str]) -> list[int] | None:
    """The number of each file's class, or None where there are no class folders."""
    if not classes or not found.subfolders:
        return None
    number = {name: index for index, name in enumerate(classes)}
    tops = [file.relative_to(found.folder).parts[0] for file in files]
    for file, top in zip(files, tops, strict=True):
        if top not in number:
            raise DatasetError(
                f"{file} is of the class {top!r}, which the train images lack; they have "
                + listed(classes)
            )
    return [number[top] for top in tops]


def _read_all(
    files: Sequence[Path], image_size: int, image_channels: int, background: Colour
) -> Tensor:
    shape = (len(files), image_channels, image_size, image_size)
    check_memory(math.prod(shape), f"{len(files):,} images at {image_size}x{image_size} pixels")
    images = np.empty(shape, dtype=np.uint8)

    def fill(row: int) -> None:
        try:
            with Image.open(files[row], formats=picture_formats()) as picture:
                if picture.mode not in _MODES_8_BIT:
                    raise ValueError(f"its pixels are {picture.mode!r}, not 8 bits a channel")
                images[row] = fit_square(upright(picture), image_size, image_channels, background)
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
