"""Finding the pictures of a folder: nothing is left out without a count and a reason."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from nasgan.errors import DatasetError

__all__ = ["PictureFiles", "find_pictures", "listed", "picture_formats"]

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
