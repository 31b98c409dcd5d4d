"""Files that are either there whole or not there: write beside, flush to disk, rename.

And output that a reader may leave (``nasgan search | head``): it ends no run.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeAlias

from nasgan.errors import StorageError, shortened

__all__ = [
    "Content",
    "append_line",
    "is_full",
    "is_unwritable",
    "make_folder",
    "new_folder",
    "put",
    "reason_of",
    "remove_leftovers",
    "storage_error",
    "write_file",
    "write_files",
    "write_json",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MEANINGS = {
    errno.EEXIST: "a file stands where a folder is needed; choose another place",
    errno.ENOTDIR: "a file stands where a folder is needed; choose another place",
    errno.EISDIR: "a folder stands where the file would be; choose another name",
    errno.ENAMETOOLONG: "a name in this path is too long; choose a shorter one",
    errno.ENOENT: "the folder above cannot hold it; choose another place",
}


Content: TypeAlias = str | bytes | Callable[[BinaryIO], object]
"""Of a file: a text, which is written as UTF-8, or what writes it into a binary stream.

What UTF-8 cannot say (bytes of odd file names in a message) is written in plain letters.
"""


def write_file(path: Path, content: Content) -> None:
    """Create or replace ``path`` with ``content``.

    A reader sees the old file or the new one, never a part; a crash leaves the old one.

    Raises:
        StorageError: the disk is full or the folder cannot be written; the old file is intact.
    """
    write_files({path: content})


def write_files(contents: Mapping[Path, Content]) -> None:
    """`write_file` for files that belong together: none takes its name before all are whole.

    Raises:
        StorageError: as `write_file`; the old files are intact.
    """
    temporaries: dict[Path, Path] = {}
    path = Path()
    try:
        for path, given in contents.items():
            name = f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
            temporaries[path] = path.with_name(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            data = given.encode("utf-8", "backslashreplace") if isinstance(given, str) else given
            with temporaries[path].open("xb") as stream:
                data(stream) if callable(data) else stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        for path, temporary in temporaries.items():
            temporary.replace(path)
            _sync_folder(path.parent)
    except BaseException as error:
        for temporary in temporaries.values():
            _discard(temporary)
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise storage_error(path, error) from error
        raise


def make_folder(path: Path) -> None:
    """Make ``path``, and the folders above it, where they are not there.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` that takes its name when all has gone well.

    Raises:
        StorageError: it cannot be written; nothing is left behind.
    """
    staging = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        staging.mkdir(parents=True)
        yield staging
        staging.rename(path)
    except OSError as error:
        # Where it was put together is nobody's business.
        cause = error.__cause__ if isinstance(error, StorageError) else error
        raise storage_error(path, cause if isinstance(cause, OSError) else error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing into ``folder`` itself, not below it.

    Only for a folder that no other process writes to now.
    """
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Atomically write ``value`` as indented JSON; NaN and infinity are refused (not JSON)."""
    write_file(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


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


def is_unwritable(error: OSError) -> bool:
    """Whether nothing may be written there: no permission, or a file system for reading only."""
    return error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}


def is_full(error: OSError) -> bool:
    """Whether it is the disk's fault, which has room again some day, and not that of a name."""
    return error.errno in _FULL


def reason_of(error: OSError) -> str:
    """What the operating system has to say, and what that means for a path."""
    meaning = _MEANINGS.get(error.errno or 0)
    return f"{error.strerror}: {meaning}" if meaning else str(error.strerror)


def storage_error(path: Path, error: OSError) -> StorageError:
    """Turn an operating-system error about ``path`` into one that says what to do."""
    if is_full(error):
        advice = "the disk (or quota) is full; free some space and run the same command again"
    elif is_unwritable(error):
        advice = "the folder is not writable; choose another with run_dir="
    else:
        advice = _MEANINGS.get(error.errno or 0, "check the folder and run the same command again")
    path_shown = shortened(str(path))
    return StorageError(error.errno, f"cannot write {path_shown}: {error.strerror}: {advice}")


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


def put(stream: TextIO, text: str) -> None:
    """Write ``text`` and flush; a run goes on, and says nothing more, when its reader has left."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # What is still buffered goes there too, so that no second error ends the interpreter.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
