"""Files that are either there whole or not there: write beside, flush to disk, rename."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from nasgan.errors import StorageError

__all__ = [
    "append_line",
    "remove_leftovers",
    "storage_error",
    "write_bytes",
    "write_file",
    "write_json",
    "write_text",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Create or replace ``path`` with what ``write`` puts into the binary stream it is handed.

    A reader sees the old file or the new one, never a part; a crash leaves the old one.

    Raises:
        StorageError: the disk is full or the folder cannot be written; the old file is intact.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        _discard(temporary)
        raise storage_error(path, error) from error
    except BaseException:
        _discard(temporary)
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing into ``folder`` itself, not below it.

    Only for a folder that no other process writes to now.
    """
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Atomically create or replace ``path`` with ``data``; see `write_file`."""
    write_file(path, lambda stream: stream.write(data))


def write_text(path: Path, text: str) -> None:
    """Atomically create or replace ``path`` with UTF-8 ``text``; see `write_file`.

    What UTF-8 cannot say (bytes of odd file names in a message) is written in plain letters.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Atomically write ``value`` as indented JSON; NaN and infinity are refused (not JSON)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def append_line(path: Path, line: str) -> None:
    """Append ``line`` and a newline in one write where there is room, and flush it to disk.

    Raises:
        StorageError: the line could not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as stream:
            left = memoryview(line.encode("utf-8") + b"\n")
            while left:  # a disk that is nearly full takes a part first, and fails after that
                left = left[stream.write(left) :]
            os.fsync(stream.fileno())
    except OSError as error:
        raise storage_error(path, error) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """Turn an operating-system error about ``path`` into one that says what to do."""
    if error.errno in _FULL:
        advice = "the disk (or quota) is full; free some space and run the same command again"
    elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        advice = "the folder is not writable; choose another with run_dir="
    else:
        advice = "check the folder and run the same command again"
    return StorageError(error.errno, f"cannot write {path}: {error.strerror}: {advice}")


def _discard(temporary: Path) -> None:
    # Whatever stopped the write is the error to report: it may be that there is no such folder.
    with suppress(OSError):
        temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable (a crash of the machine must not undo it)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
