"""Files as others may have left them: regular ones of a bounded size, and JSON within limits.

A pipe or a device in place of a file would never end, and a folder is none. What cannot be read is
an `OSError` that says why in its ``strerror``; what is no JSON is a `ValueError`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from nasgan.errors import NasganError, quoted

__all__ = [
    "MOST_DEEP",
    "MOST_NESTED",
    "digest_of",
    "load_json",
    "open_file",
    "parse_json",
    "read_bytes",
    "read_json",
    "read_text",
    "walk",
]

MOST_NESTED = 100
"""Levels of lists and objects in JSON."""

MOST_DEEP = 100
"""Levels of folders below one that is searched."""

_LARGEST = 64 * 10**9
_LARGEST_JSON = 50_000_000
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKET = bytes(sorted(set(range(256)) - set(b"{}[]")))


def open_file(path: str | Path, *, most: int = _LARGEST) -> BinaryIO:
    """Open a regular file of at most ``most`` bytes to read it.

    Raises:
        OSError: it is not there, may not be read, is no plain file, or is larger.
    """
    try:
        _check_plain(
            Path(path).stat(), most
        )  # before it is opened: to open a pipe or a device acts
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError as error:  # a null byte
        raise OSError(errno.EINVAL, "it is no name of a file") from error
    stream = os.fdopen(descriptor, "rb")
    try:
        _check_plain(os.fstat(descriptor), most)
    except BaseException:
        stream.close()
        raise
    return stream


def _check_plain(found: os.stat_result, most: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, where a file should be")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file")
    if found.st_size > most:
        size = f"it has {found.st_size} bytes, and at most {most} are read"
        raise OSError(errno.EFBIG, f"it is too large: {size}")


def read_bytes(path: str | Path, *, most: int = _LARGEST) -> bytes:
    """The contents of a regular file.

    Raises:
        OSError: as `open_file`.
    """
    with open_file(path, most=most) as stream:
        # No more is asked for than there is: it would be reserved.
        content = stream.read(min(most, os.fstat(stream.fileno()).st_size) + 1)
    if len(content) > most:  # it grew meanwhile
        raise OSError(errno.EFBIG, f"it is too large: at most {most} bytes are read")
    return content


def read_text(path: str | Path, *, most: int = _LARGEST_JSON, errors: str = "strict") -> str:
    """The text of a regular file in UTF-8, without a mark of its byte order.

    Raises:
        OSError: as `open_file`.
        UnicodeDecodeError: it is no UTF-8.
    """
    return read_bytes(path, most=most).decode("utf-8-sig", errors)


def read_json(path: str | Path, *, most: int = _LARGEST_JSON) -> Any:
    """The JSON data of a regular file.

    Raises:
        OSError: as `open_file`.
        ValueError: as `parse_json`.
    """
    return parse_json(read_bytes(path, most=most))


def load_json(
    path: str | Path, error: type[NasganError], what: str, *, most: int = _LARGEST_JSON
) -> Any:
    """`read_json` for what a person named: what cannot be read is the caller's ``error``.

    Args:
        path: the file.
        error: raised with the path, ``what`` and the reason.
        what: the file is, e.g. ``"record"``.
        most: bytes that are read.

    Raises:
        NasganError: ``error``, where the file is missing, too large, or not JSON.
    """
    try:
        return parse_json(read_bytes(path, most=most))
    except OSError as found:
        raise error(f"{path}: cannot read this {what}: {found.strerror}") from found
    except ValueError as found:
        raise error(f"{path}: not JSON: {found}") from found


def parse_json(raw: str | bytes) -> Any:
    """JSON data in which each key says one thing, and each number is one.

    Raises:
        ValueError: it is not JSON in UTF-8, is nested too deeply, a number is NaN or infinite, or
            an object has a key twice.
    """
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8-sig")
        data = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not of a text in UTF-8") from error
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    if _is_too_deep(text.encode("utf-8", "replace")):
        raise ValueError(_TOO_DEEP)
    return data


_TOO_DEEP = f"it is nested too deeply: {MOST_NESTED} levels are the most"


def _is_too_deep(content: bytes) -> bool:
    """Whether brackets are left when the innermost ones were taken away so many times."""
    brackets = _STRING.sub(b"", content).translate(None, _NO_BRACKET)
    for _ in range(MOST_NESTED):
        if not brackets:
            return False
        # In two steps, as one may lay open the other: each takes one level.
        inner = brackets.replace(b"{}", b"\0").replace(b"[]", b"\0")
        brackets = inner.translate(None, b"\0")
    return bool(brackets)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Readers differ in which of two values they take, so a person may see the other one.
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(
            f"the key {quoted(twice)} is there twice in one object; remove the wrong one"
        )
    return found


def walk(
    root: str | Path, on_error: Callable[[OSError], object], *, through_links: bool = False
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """The folders from ``root`` down, each with the names of its subfolders and of all else.

    As `os.walk`, which ends in an error of its own where folders are nested very deeply: here
    those below `MOST_DEEP` levels are an error for ``on_error`` like one that may not be entered.

    Args:
        root: where to begin.
        on_error: told of each folder that cannot be listed.
        through_links: whether links to folders are entered.
    """
    waiting = [(Path(root), 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            if depth > MOST_DEEP:
                reason = f"it is nested more than {MOST_DEEP} folders deep"
                raise OSError(errno.ENAMETOOLONG, reason, str(folder))
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            on_error(error)
            continue
        subfolders = [entry.name for entry in entries if _is_folder(entry)]
        files = [entry.name for entry in entries if not _is_folder(entry)]
        yield folder, subfolders, files
        waiting += [
            (folder / name, depth + 1)
            for name in reversed(subfolders)
            if through_links or not (folder / name).is_symlink()
        ]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def digest_of_json(data: object) -> str:
    """SHA-256 of JSON data as hexadecimal digits, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def digest_of(path: str | Path) -> str:
    """SHA-256 of a regular file's contents as hexadecimal digits.

    Raises:
        OSError: as `open_file`.
    """
    digest = hashlib.sha256()
    with open_file(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
