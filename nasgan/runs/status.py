"""What a run is doing now: ``status.json``, for people and programs that watch it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nasgan import atomic
from nasgan.errors import RunDirectoryError
from nasgan.reading import read_json
from nasgan.runs.checks import instance, integer, number, one_of, optional, text, utc_time
from nasgan.runs.times import utc_now

__all__ = ["STATUS_FILE", "State", "Status"]

STATUS_FILE = "status.json"
_MAX_FILE_BYTES = 1_000_000

State = Literal["running", "completed", "failed", "interrupted"]

_CHECK = instance(
    {
        "phase": text(),
        "state": one_of("running", "completed", "failed", "interrupted"),
        "message": text(empty=True),
        "progress": optional(number(least=0)),
        "pid": integer(least=1),
        "started": utc_time,
        "updated": utc_time,
    }
)


@dataclass(frozen=True)
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

    phase: str
    state: State = "running"
    message: str = ""
    progress: float | None = None
    pid: int = field(default_factory=os.getpid)
    started: str = field(default_factory=utc_now)
    updated: str = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        _CHECK(asdict(self), "status")
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
            data = read_json(path, most=_MAX_FILE_BYTES)
            _CHECK(data, "status")
            return cls(**data)
        except OSError as error:
            raise RunDirectoryError(f"{path}: cannot read this status: {error.strerror}") from error
        except ValueError as error:
            raise RunDirectoryError(f"{path}: cannot read this status: {error}") from error
