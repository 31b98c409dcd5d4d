"""What a run is doing now: ``status.json``, for people and programs that watch it."""

from __future__ import annotations

import os
from dataclasses import asdict, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

from nasgan import atomic
from nasgan.errors import RunDirectoryError
from nasgan.reading import read_json
from nasgan.schema import Amount, Text, UtcTime, made_of, model, whole

__all__ = ["STATUS_FILE", "Status", "utc_now"]

STATUS_FILE = "status.json"
_MAX_FILE_BYTES = 1_000_000

State = Literal["running", "completed", "failed", "interrupted"]


def utc_now() -> str:
    """The current time in UTC as ISO 8601 text with milliseconds; such texts sort by time."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


@model("status", where="status")
class Status:
    """One moment of a run. Writing flushes to disk: the caller decides how often.

    Attributes:
        phase: e.g. ``"search"`` or ``"final"``.
        state: a process that was killed leaves ``"running"`` behind.
        message: a few words for a person; the reason of a failure.
        progress: fraction of the phase that is done, 0 to 1; None if it cannot be told.
        pid: the process.
        started: when the process began, ISO 8601 in UTC.
        updated: when this was true.

    Raises:
        ConfigError: a field has a wrong type or value.
    """

    phase: Text
    state: State = "running"
    message: str = ""
    progress: Amount | None = None
    pid: Annotated[int, whole(least=1)] = field(default_factory=os.getpid)
    started: UtcTime = field(default_factory=utc_now)
    updated: UtcTime = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        if self.progress is not None and self.progress > 1:
            object.__setattr__(self, "progress", 1.0)

    def updated_with(self, **changes: Any) -> Status:
        """A copy with ``changes``, updated now."""
        return replace(self, updated=utc_now(), **changes)

    def write(self, path: str | Path) -> None:
        """Write the status atomically.

        Raises:
            StorageError: the disk is full or the folder is not writable.
        """
        atomic.write_json(Path(path), asdict(self))

    @classmethod
    def read(cls, path: str | Path) -> Status:
        """Read what `write` wrote.

        Raises:
            RunDirectoryError: the file is missing or not a status.
        """
        try:
            return made_of(cls, read_json(path, most=_MAX_FILE_BYTES))
        except OSError as error:
            raise RunDirectoryError(f"{path}: cannot read this status: {error.strerror}") from error
        except ValueError as error:
            raise RunDirectoryError(f"{path}: cannot read this status: {error}") from error
