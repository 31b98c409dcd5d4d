"""Images from a plain ``.npz`` file: the way to bring data of one's own as one file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nasgan.data.image_set import ImageSet, Splits
from nasgan.data.pixels import resize_images
from nasgan.errors import ConfigError, DatasetError
from nasgan.reading import open_file

__all__ = ["load_npz", "read_arrays"]

_WANTED = "an .npz with uint8 `images` (N,H,W,C or N,C,H,W) and optional integer `labels` (N,)"
_HOW = "write one with numpy.savez(path, images=..., labels=...)"


def load_npz(
    path: str | Path,
    name: str | None = None,
    test_path: str | Path | None = None,
    image_size: int | None = None,
    image_channels: int = 3,
) -> Splits:
    """Images, and labels where there are any, from one ``.npz`` file per part.

    The file holds ``images`` (uint8) and optionally ``labels`` (integers from 0); a single array of
    any name is taken as the images. Layouts: (N, H, W, C), (N, C, H, W) or, for grey images,
    (N, H, W). Four axes are read as (N, H, W, C) if the last is 1 or 3, else as (N, C, H, W).

    Args:
        path: the file to train on.
        name: of the data; the file's stem if None. `ImageSet.identity` adds the checksum.
        test_path: the file to hold out, if any.
        image_size: resize to this side (bilinear, antialiased); None keeps the size.
        image_channels: what the file is expected to hold, 1 or 3; images are not converted.

    Raises:
        ConfigError: a setting is outside its range.
        DatasetError: a file is missing, truncated or not such a file. Nothing is unpickled.
    """
    if image_size is not None and image_size < 1:
        raise ConfigError(f"dataset.image_size must be at least 1, not {image_size}")
    if image_channels not in (1, 3):
        raise ConfigError(f"dataset.image_channels must be 1 or 3, not {image_channels}")
    path = Path(path).expanduser()
    name = name or path.stem
    train = _read(path, name, "train", image_size, image_channels, num_classes=0)
    if test_path is None:
        return Splits(train)
    test_path = Path(test_path).expanduser()
    test = _read(test_path, name, "test", image_size, image_channels, train.num_classes)
    return Splits(train, test)


def _read(
    path: Path,
    name: str,
    split: str,
    image_size: int | None,
    image_channels: int,
    num_classes: int,
) -> ImageSet:
    images, labels = read_arrays(path)
    if images.shape[1] != image_channels:
        raise DatasetError(
            f"{path} has images with {images.shape[1]} channels, but dataset.image_channels is "
            f"{image_channels}: set it to what the file holds (1 or 3), or {_HOW}"
        )
    height, width = images.shape[2:]
    if image_size is None or image_size == height or height != width:  # the last: refused below
        pixels = torch.from_numpy(images)
    else:
        pixels = resize_images(images, image_size)
    try:
        return ImageSet(
            name=name,
            images=pixels,
            labels=None if labels is None else torch.from_numpy(labels),
            split=split,
            num_classes=0 if labels is None else num_classes,
        )
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def read_arrays(
    path: Path, *, advice: str = _HOW
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """The images as (N, C, H, W) and the labels of an ``.npz`` file.

    Args:
        path: the file.
        advice: what to do about a bad one, for the error.

    Raises:
        DatasetError: the file is missing, truncated, has pickled objects, or has other arrays.
    """
    if not path.is_file():
        raise DatasetError(f"{path} does not exist; wanted: {_WANTED}; {advice}")
    images, labels = _load(path, advice)
    if images.dtype != np.uint8:
        raise DatasetError(f"{path}: the images are {images.dtype}, not uint8 (0-255); {advice}")
    if labels is not None and not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(f"{path}: the labels are {labels.dtype}, not integers; {advice}")
    if images.ndim not in (3, 4):
        raise DatasetError(f"{path}: the images have the shape {images.shape}; wanted: {_WANTED}")
    planar = np.ascontiguousarray(_planes_first(images))
    return planar, None if labels is None else labels.astype(np.int64)


def _load(path: Path, advice: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The two arrays as they are stored; others in the file are not touched."""
    if not _is_archive(path, advice):
        raise DatasetError(
            f"{path} is not an .npz archive, or truncated; wanted: {_WANTED}; {advice}"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            key = "images" if len(names) != 1 else names[0]
            if key not in names:
                raise ValueError(f"it holds {sorted(names)} and none is called `images`")
            has_labels = key == "images" and "labels" in names
            arrays = [archive[name] for name in ([key, "labels"] if has_labels else [key])]
        if not all(isinstance(array, np.ndarray) for array in arrays):
            raise ValueError("it holds something else than arrays")
    except Exception as error:  # zip, zlib and header errors of a dozen kinds: all mean the same
        raise DatasetError(
            f"{path} is damaged or another kind of file ({error}); wanted: {_WANTED}; {advice}"
        ) from error
    return arrays[0], arrays[1] if has_labels else None


def _is_archive(path: Path, advice: str) -> bool:
    try:
        with open_file(path) as stream:
            return zipfile.is_zipfile(stream)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; {advice}") from error


def _planes_first(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if images.ndim == 3:
        return images[:, None]
    return images.transpose(0, 3, 1, 2) if images.shape[3] in (1, 3) else images
