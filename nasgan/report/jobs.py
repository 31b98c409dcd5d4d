"""The jobs of a sweep as they are now, from the status files of their folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from nasgan.errors import RunDirectoryError
from nasgan.reading import walk
from nasgan.runs.record import RECORD_FILE
from nasgan.runs.status import STATUS_FILE, Status

__all__ = ["Job", "Jobs", "find_jobs"]

_SILENT_SECONDS = 300.0
_ORDER = ("running", "silent", "failed", "interrupted", "unreadable", "completed")


@dataclass(frozen=True)
class Job:
    """A run's folder and its state.

    Attributes:
        name: of the folder, below the folder that is watched.
        state: that of its status; ``silent`` if it calls itself running and has not been heard of
            for minutes, ``unreadable`` if its status is damaged.
        phase: what it is doing.
        percent: of the phase, in whole numbers; None if it cannot be told.
        message: a few words, or why it failed.
        updated: when it was last heard of.
    """

    name: str
    state: str
    phase: str = ""
    percent: int | None = None
    message: str = ""
    updated: str = ""


@dataclass(frozen=True)
class Jobs:
    """All jobs.

    Attributes:
        jobs: those that need attention first.
    """

    jobs: tuple[Job, ...]

    @property
    def counts(self) -> list[tuple[str, int]]:
        """How many are in each state, in the order of attention."""
        counts = Counter(job.state for job in self.jobs)
        return [(state, counts[state]) for state in _ORDER if counts[state]]

    @property
    def unfinished(self) -> list[Job]:
        """Those that have not completed."""
        return [job for job in self.jobs if job.state != "completed"]


def find_jobs(roots: Sequence[str | Path], *, now: datetime | None = None) -> Jobs:
    """Read the status files below ``roots``, not through links.

    Args:
        roots: folders.
        now: to tell silent jobs by; by default this moment.
    """
    moment = now or datetime.now(timezone.utc)
    jobs = [_job(root, folder, moment) for root, folder in _folders(roots)]
    return Jobs(tuple(sorted(jobs, key=lambda job: (_ORDER.index(job.state), job.name))))


def _folders(roots: Sequence[str | Path]) -> Iterator[tuple[Path, Path]]:
    for root in map(Path, roots):
        for folder, _, files in walk(root, lambda error: None):
            if STATUS_FILE in files and not (folder / STATUS_FILE).is_symlink():
                yield root, folder


def _job(root: Path, folder: Path, now: datetime) -> Job:
    name = folder.relative_to(root).as_posix()
    name = folder.name if name == "." else name
    try:
        status = Status.read(folder / STATUS_FILE)
    except RunDirectoryError:
        return Job(name, "unreadable")
    state: str = status.state
    silence = (now - datetime.fromisoformat(status.updated)).total_seconds()
    if state == "running" and silence > _SILENT_SECONDS:
        # A record says that it ended: the process was killed between the two.
        state = "completed" if (folder / RECORD_FILE).exists() else "silent"
    return Job(
        name,
        state,
        status.phase,
        None if status.progress is None else int(100 * status.progress),
        status.message,
        status.updated[:16].replace("T", " "),
    )
