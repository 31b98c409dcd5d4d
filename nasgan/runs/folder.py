"""A run's folder: what makes it a run's, and how it is taken back where the run is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nasgan.errors import NasganError
from nasgan.runs.history import HISTORY_FILE
from nasgan.runs.locking import LOCK_FILE, RunLock
from nasgan.runs.record import RECORD_FILE

__all__ = ["CONFIG_FILE", "IDENTITY_FILE", "KEPT_CONFIGURATION", "new_folder"]

CONFIG_FILE = "config.json"
IDENTITY_FILE = "run.json"
KEPT_CONFIGURATION = ".hydra"
# A run that has begun has left at least the first of these.
_RESULTS = ("status.json", HISTORY_FILE, RECORD_FILE, "checkpoints")


def has_begun(folder: Path) -> bool:
    """Whether a run has left anything in ``folder`` that it would go on from."""
    return any((folder / name).exists() for name in _RESULTS)


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a run's folder; where the block is refused before the run has begun, take it back.

    A folder that was there keeps what was in it, and the log; one that was not goes as a whole.
    Nothing is taken from a run that another process has under way there.
    """
    # A name that no folder can have is not there either.
    missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    own = [name for name in _CLAIMS if not os.path.lexists(folder / name)]
    try:
        with suppress(OSError):  # who needs it says why it cannot be made
            folder.mkdir(parents=True, exist_ok=True)
        yield
    except (NasganError, OSError):
        if os.path.isdir(folder):  # noqa: PTH112 - False of a name that no folder can have
            _take_back(folder, own, is_new=folder in missing)
        for path in missing:
            with suppress(OSError):
                path.rmdir()
        raise


_CLAIMS = (CONFIG_FILE, IDENTITY_FILE, KEPT_CONFIGURATION, LOCK_FILE)


def _take_back(folder: Path, own: list[str], *, is_new: bool) -> None:
    with suppress(NasganError, OSError), RunLock(folder):
        if has_begun(folder):
            return
        for name in own:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if is_new and {path.suffix for path in folder.iterdir()} <= {".log"}:
            shutil.rmtree(folder)
