"""Images from a plain ``.npz`` file: the way to bring data of one's own as one file."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasgan.data.image_folder import listed
from nasgan.data.image_set import ImageSet, Splits, content_checksum, resize_images
from nasgan.data.placement import check_memory
from nasgan.errors import ConfigError, DatasetError
from nasgan.reading import open_file

__all__ = ["load_npz", "read_arrays"]

_WANTED = "an .npz with uint8 `images` (N,H,W,C or N,C,H,W) and optional integer `labels` (N,)"
_HOW = "write one with numpy.savez(path, images=..., labels=...)"

Labels: TypeAlias = "NDArray[np.int64] | None"

_LOGGER = logging.getLogger(__name__)


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
    (N, H, W). Four axes are read as (N, H, W, C) if the last is 1 or 3, else as (N, C, H, W). Where
    the train labels leave numbers out, the classes are numbered in their order, and a message says
    so.

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
    wanted = (image_size, image_channels)
    pixels, labels = _read(path, *wanted)
    ids = _class_ids(path, labels)
    train = _image_set(path, name, "train", pixels, labels, ids)
    if test_path is None:
        return Splits(train)
    test_path = Path(test_path).expanduser()
    pixels, labels = _read(test_path, *wanted)
    if train.labels is None:
        ids = _class_ids(test_path, labels)
    test = _image_set(test_path, name, "test", pixels, labels, ids, train.num_classes)
    return Splits(train, test)


def _read(path: Path, image_size: int | None, image_channels: int) -> tuple[Tensor, Labels]:
    images, labels = read_arrays(path)
    if images.shape[1] != image_channels:
        raise DatasetError(
            f"{path} has images with {images.shape[1]} channels, but dataset.image_channels is "
            f"{image_channels}: set it to what the file holds (1 or 3), or {_HOW}"
        )
    height, width = images.shape[2:]
    if image_size is None or image_size == height or height != width:  # the last: refused below
        return torch.from_numpy(images), labels
    return resize_images(images, image_size), labels


def _class_ids(path: Path, labels: Labels) -> NDArray[np.int64] | None:
    """The labels that stand for the classes 0, 1, ...; None where they are these numbers."""
    ids = np.unique([] if labels is None else labels)
    if not len(ids) or ids[0] < 0 or ids[-1] == len(ids) - 1:
        return None
    names = listed([str(number) for number in ids])
    _LOGGER.info("%s: the labels %s are the classes 0 to %d", path, names, len(ids) - 1)
    return ids


def _image_set(
    path: Path,
    name: str,
    split: str,
    pixels: Tensor,
    labels: Labels,
    ids: NDArray[np.int64] | None,
    num_classes: int = 0,
) -> ImageSet:
    """The set, its labels numbered by ``ids``; the checksum is of the labels in the file."""
    stored = None if labels is None else torch.from_numpy(labels)
    try:
        return ImageSet(
            name=name,
            images=pixels,
            labels=stored if stored is None or ids is None else _numbered(stored, ids),
            split=split,
            checksum="" if ids is None else content_checksum(pixels.contiguous(), stored),
            num_classes=0 if labels is None else num_classes,
        )
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def _numbered(labels: Tensor, ids: NDArray[np.int64]) -> Tensor:
    """The place of each label among ``ids``."""
    known = torch.from_numpy(ids)
    places = torch.searchsorted(known, labels).clamp(max=len(ids) - 1)
    foreign = labels[known[places] != labels]
    if len(foreign):
        raise DatasetError(
            f"the label {int(foreign[0])} is of none of the train images, whose labels are "
            + listed([str(number) for number in ids])
        )
    return places


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
    if not path.exists():
        raise DatasetError(f"{path} does not exist; wanted: {_WANTED}; {advice}")
    images, labels = _load(path, advice)
    if images.dtype != np.uint8:
        raise DatasetError(f"{path}: the images are {images.dtype}, not uint8 (0-255); {advice}")
    if labels is not None and not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(f"{path}: the labels are {labels.dtype}, not integers; {advice}")
    if images.ndim not in (3, 4):
        raise DatasetError(f"{path}: the images have the shape {images.shape}; wanted: {_WANTED}")
    planar = np.ascontiguousarray(_planes_first(images, path))
    return planar, None if labels is None else labels.astype(np.int64)


def _load(path: Path, advice: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The two arrays as they are stored; others in the file are not touched."""
    if not _is_archive(path, advice):
        raise DatasetError(
            f"{path} is not an .npz archive, or truncated; wanted: {_WANTED}; {advice}"
        )
    try:
        with zipfile.ZipFile(path) as stored:
            check_memory(sum(part.file_size for part in stored.infolist()), f"{path}: its arrays")
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            key = "images" if len(names) != 1 else names[0]
            if key not in names:
                raise ValueError(f"it holds {sorted(names)} and none is called `images`")
            has_labels = key == "images" and "labels" in names
            arrays = [archive[name] for name in ([key, "labels"] if has_labels else [key])]
        if not all(isinstance(array, np.ndarray) for array in arrays):
            raise ValueError("it holds something else than arrays")
    except DatasetError:
        raise
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


def _planes_first(images: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    if images.ndim == 3:
        return images[:, None]
    if images.shape[3] in (1, 3):
        return images.transpose(0, 3, 1, 2)
    other = "" if images.shape[1] in (1, 3) else _other_layout(*images.shape)
    if other:
        raise DatasetError(f"{path}: the images {images.shape} are {other}; wanted: {_WANTED}")
    return images


def _other_layout(first: int, second: int, third: int, fourth: int) -> str:
    """What a shape that is not taken looks like, and how to change it; empty if like nothing."""
    kinds = {2: "grey with transparency (LA)", 4: "RGBA"}
    if fourth in kinds and second == third:
        return f"{kinds[fourth]}: compose them onto a colour, or take images[..., :{fourth - 1}]"
    if second in kinds and third == fourth:
        return f"{kinds[second]}: compose them onto a colour, or take images[:, :{second - 1}]"
    turn = "take images.transpose(3, 0, 1, 2)"
    if first == second and third in (1, 3, 4):
        return f"(H, W, C, N), the images last: {turn}"
    if second == third and first in (1, 3, 4):
        return f"(C, H, W, N), the images last: {turn}"
    return ""
