"""A run's folder: one process at a time; made, and taken back where the run is refused."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from nasgan.atomic import storage_error
from nasgan.errors import ConfigError, NasganError, RunDirectoryError, StorageError, quoted
from nasgan.runs.history import HISTORY_FILE
from nasgan.runs.record import RECORD_FILE

__all__ = [
    "CONFIG_FILE",
    "IDENTITY_FILE",
    "KEPT_CONFIGURATION",
    "LOCK_FILE",
    "RunLock",
    "new_folder",
]

CONFIG_FILE = "config.json"
IDENTITY_FILE = "run.json"
KEPT_CONFIGURATION = ".hydra"
LOCK_FILE = ".lock"
# A run that has begun has left at least the first of these.
_RESULTS = ("status.json", HISTORY_FILE, RECORD_FILE, "checkpoints")


_CLAIMS = (CONFIG_FILE, IDENTITY_FILE, KEPT_CONFIGURATION, LOCK_FILE)


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


def _take_back(folder: Path, own: list[str], *, is_new: bool) -> None:
    with suppress(NasganError, OSError), RunLock(folder):
        if has_begun(folder):
            return
        for name in own:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if is_new and {path.suffix for path in folder.iterdir()} <= {".log"}:
            shutil.rmtree(folder)


# One process a folder

_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_VARIABLE = "NASGAN_LOCKS"
_PAUSE_SECONDS = 0.05


def _no_locks(folder: Path, error: OSError) -> str:
    return (
        f"{folder}: this file system has no locks ({error.strerror}), by which nasgan keeps a "
        "second process out of a run's folder. Put the results on another one (output_root=, "
        f"run_dir=), or set {_VARIABLE}=off and see to it yourself that no run is started twice at "
        "a time"
    )


class RunLock:
    """Holds a run's folder for this process, as a context manager or by `acquire` and `release`.

    The operating system drops the lock when the process ends, however it ends, so a killed run can
    be resumed at once. The lock file stays, unless its holder removes the whole folder: who locks
    a file that is gone by then tries again with the one that has its name.

    Args:
        run_dir: the run's folder; made if it is not there.
        patience: seconds to wait for a process that holds it, where it does so for a moment.
        setting: by which a user chooses the folder; for the error.
    """

    def __init__(
        self, run_dir: str | Path, *, patience: float = 0.0, setting: str = "run_dir"
    ) -> None:
        self.path = Path(run_dir) / LOCK_FILE
        self._setting = setting
        self._patience = patience
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; with ``NASGAN_LOCKS=off`` there is none.

        Raises:
            ConfigError: ``NASGAN_LOCKS`` is neither on nor off.
            RunDirectoryError: another process runs in this folder, and did so for all of the
                patience; names its process id.
            StorageError: the folder is not writable or its file system has no locks.
        """
        setting = os.environ.get(_VARIABLE, "on")
        if setting not in ("on", "off"):
            raise ConfigError(f"the variable {_VARIABLE} must be on or off, got {quoted(setting)}")
        self._make_folder()
        if setting == "off":
            return
        descriptor = self._locked()
        while not _is_at(self.path, descriptor):
            os.close(descriptor)
            self._make_folder()
            descriptor = self._locked()
        self._descriptor = descriptor
        # A forked child shares the lock; closing its copy leaves the lock with this process alone.
        os.register_at_fork(after_in_child=partial(_forget, weakref.ref(self)))

    def _locked(self) -> int:
        """The descriptor of the lock file, locked."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise storage_error(self.path, error) from error
        try:
            _lock(descriptor, self._patience)
            holder = f"{os.getpid()}\n".encode()
            # Never empty meanwhile: who is refused reads it.
            os.pwrite(descriptor, holder, 0)
            os.ftruncate(descriptor, len(holder))
        except OSError as error:
            said = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            if error.errno in _NO_LOCKS:
                raise StorageError(error.errno, _no_locks(self.path.parent, error)) from error
            if error.errno not in _HELD:
                raise storage_error(self.path, error) from error
            raise RunDirectoryError(
                f"{self.path.parent}: process {said or '(unknown)'} is running in this folder; "
                f"wait for it, stop it, or choose another folder with {self._setting}="
            ) from error
        return descriptor

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(self.path, error) from error

    def release(self) -> None:
        """Give the lock back; harmless if it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def _lock(descriptor: int, patience: float) -> None:
    """Lock an open file; one that another process holds after ``patience`` seconds is an error."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD or time.monotonic() >= end:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether ``path`` names the open file, and not another one or none."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _forget(reference: weakref.ref[RunLock]) -> None:
    lock = reference()
    if lock is not None:
        lock.release()
