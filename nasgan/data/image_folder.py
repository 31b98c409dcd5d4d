"""Images from a folder of picture files, with one subfolder per class where there are classes."""

from __future__ import annotations

import errno
import logging
import math
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor
from torch import Tensor

from nasgan.data.image_set import Colour, ImageSet, Splits, fit_square, upright
from nasgan.data.placement import check_memory
from nasgan.errors import ConfigError, DatasetError

__all__ = [
    "PictureFiles",
    "find_pictures",
    "listed",
    "load_image_folder",
    "picture_formats",
]

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


# Pillow recognises these without decoding them, or starts another program for it (Ghostscript).
_NOT_DECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
_USUAL_SUFFIXES = ".bmp, .gif, .jpg, .png, .tif, .webp and whatever else Pillow reads"

_HIDDEN = "hidden files and folders"
_NOWHERE = "links that lead nowhere"
_TWICE = "links to what is there already"
_NO_FILE = "neither files nor folders"

# The other half of an archive that macOS packed; it holds hidden files only.
_MACOS = "__MACOSX"
_SHOWN = 5


@dataclass(frozen=True)
class PictureFiles:
    """The pictures below a folder, and what else is there.

    Attributes:
        folder: where they were looked for.
        files: sorted by their paths within the folder.
        left_out: how many files, folders and links, by the reason.
        bare: the subfolders directly below that hold no picture.
    """

    folder: Path
    files: tuple[Path, ...]
    left_out: Mapping[str, int]
    bare: tuple[str, ...]

    @property
    def is_suspicious(self) -> bool:
        """Whether pictures that were meant may be missing."""
        return bool(self.bare) or _NOWHERE in self.left_out

    @property
    def subfolders(self) -> list[str]:
        """The subfolders directly below that hold pictures, sorted; none where there are none.

        Raises:
            DatasetError: pictures lie beside them, so that their class is unclear.
        """
        parts = [file.relative_to(self.folder).parts for file in self.files]
        names = sorted({within[0] for within in parts if len(within) > 1})
        stray = next((within[0] for within in parts if len(within) == 1), None)
        if names and stray is not None:
            raise DatasetError(
                f"{self.folder} has images in subfolders ({names[0]}) and beside them ({stray}): "
                "move them into one subfolder per class, or all into one folder"
            )
        return names

    def omissions(self) -> str:
        """What was left out and why, as the end of a sentence; empty if it was nothing."""
        reasons = sorted(self.left_out.items(), key=lambda item: (-item[1], item[0]))
        parts = [listed([f"{reason}: {count}" for reason, count in reasons])] if reasons else []
        text = f"; left out: {parts[0]}" if parts else ""
        return text + (f"; no images in {listed(self.bare)}" if self.bare else "")


def find_pictures(folder: Path) -> PictureFiles:
    """Every picture below ``folder``, at all depths and through links, each once.

    What lies in the folder itself comes before what links lead to, so that a link to it is left
    out. Hidden files and folders are left out, too.

    Raises:
        DatasetError: a folder cannot be read, or there are fewer than two pictures.
    """
    search = _Search(folder)
    files = sorted(search.found.values(), key=lambda file: file.relative_to(folder).parts)
    holding = {file.relative_to(folder).parts[0] for file in files}
    bare = tuple(sorted(search.subfolders - holding))
    pictures = PictureFiles(folder, tuple(files), dict(search.left_out), bare)
    if len(files) < 2:
        raise DatasetError(
            f"{folder} holds {len(files)} images, at least 2 are needed{pictures.omissions()}; "
            f"the file types read are {_USUAL_SUFFIXES}"
        )
    return pictures


@cache
def picture_formats() -> tuple[str, ...]:
    """The formats that pictures may have, by Pillow's names, in the order in which it tries them.

    Held against a file's content, whatever its name says.
    """
    Image.preinit()
    Image.init()
    return tuple(name for name in Image.ID if name in Image.OPEN and name not in _NOT_DECODED)


@cache
def _suffixes() -> frozenset[str]:
    formats = picture_formats()
    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, name in known if name in formats)


def listed(names: Collection[str]) -> str:
    """The first few of ``names``, and how many more there are."""
    shown = list(names)[:_SHOWN]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


class _Search:
    """One walk: real folders first, then links in sorted order, each folder and file once."""

    def __init__(self, root: Path) -> None:
        self.found: dict[Path, Path] = {}
        self.left_out: Counter[str] = Counter()
        self.subfolders: set[str] = set()
        self._root = root
        self._entered: set[Path] = set()
        self._links: list[Path] = []
        self._walk(root, root.resolve())
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                self._follow(link)

    def _walk(self, folder: Path, real: Path) -> None:
        """Take in a folder and the real ones below it; links wait."""
        waiting = [(folder, real)]
        while waiting:
            folder, real = waiting.pop()
            if real in self._entered:
                self.left_out[_TWICE] += 1
                continue
            self._entered.add(real)
            if folder.parent == self._root != folder:
                self.subfolders.add(folder.name)
            for entry in self._entries(folder):
                path, real_path = folder / entry.name, real / entry.name
                if entry.name.startswith(".") or entry.name == _MACOS:
                    self.left_out[_HIDDEN] += 1
                elif entry.is_symlink():
                    self._links.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((path, real_path))
                else:
                    self._take(path, real_path, entry.is_file(follow_symlinks=False))

    def _follow(self, link: Path) -> None:
        try:
            mode = link.stat().st_mode
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise self._unreadable(link, error) from error
            self.left_out[_NOWHERE] += 1
            return
        if stat.S_ISDIR(mode):
            self._walk(link, link.resolve())
        else:
            self._take(link, link.resolve(), stat.S_ISREG(mode))

    def _take(self, path: Path, real: Path, is_file: bool) -> None:
        suffix = path.suffix.lower()
        if not is_file:
            self.left_out[_NO_FILE] += 1
        elif suffix not in _suffixes():
            self.left_out[
                f"files of the type {suffix[:20]}" if suffix else "files without a type"
            ] += 1
        elif real in self.found:
            self.left_out[_TWICE] += 1
        else:
            self.found[real] = path

    def _entries(self, folder: Path) -> Iterable[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except OSError as error:
            raise self._unreadable(folder, error) from error

    def _unreadable(self, path: Path, error: OSError) -> DatasetError:
        return DatasetError(
            f"{path} cannot be read ({error.strerror}): allow it, or take it out of {self._root}"
        )
