"""A piece of work that is killed now and then: each attempt goes on from the last checkpoint."""

from __future__ import annotations

import logging
import platform
import shutil
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from nasgan.contracts import Evaluation, EvaluationTask
from nasgan.state_files import Checkpoints
from nasgan.supervisor import report_progress

__all__ = [
    "Attempt",
    "forget_attempts",
    "new_attempt",
    "newest_attempt",
    "save_attempt",
    "seen_here",
]

_log = logging.getLogger(__name__)
_ATTEMPT = "attempt-"
_CHECKPOINTS = 2
_PROGRESS = "progress"


class Attempt(ABC):
    """One attempt at an evaluation: a checkpoint folder of its own in that of the piece.

    A copy that is thought to be dead may still write; it writes elsewhere, and the same. A piece
    that takes less than ``every_seconds`` writes nothing: it is cheaper begun anew.

    Args:
        task: the evaluation, not yet begun.
        folder: of all attempts at it; None: nothing is kept.
        every_seconds: between checkpoints.
    """

    def __init__(self, task: EvaluationTask, folder: Path | None, every_seconds: float) -> None:
        self._evaluation = task
        self._folder = folder
        self._every_seconds = every_seconds

    @property
    @abstractmethod
    def progress(self) -> int:
        """How far it is; a number that grows."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""

    @abstractmethod
    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""

    def advance(self) -> None:
        """Do the next piece of work."""
        self._evaluation.advance()

    def finish(self) -> Sequence[Evaluation]:
        """Go on from the newest checkpoint of any attempt to the end; gives what was made.

        Raises:
            StorageError: a checkpoint cannot be written.
        """
        newest = None if self._folder is None else newest_attempt(self._folder)
        if newest is not None:
            self.load(newest)
        own = None if self._folder is None else new_attempt(self._folder)
        saved = time.monotonic()
        while (made := self._evaluation.results) is None:
            self.advance()
            report_progress(self.progress)
            is_due = time.monotonic() - saved >= self._every_seconds
            if own is not None and is_due and self._evaluation.results is None:
                save_attempt(own, self.state(), self.progress)
                saved = time.monotonic()
        return made


def new_attempt(folder: Path) -> Path:
    """A folder for another attempt, in that of the piece."""
    return folder / f"{_ATTEMPT}{uuid.uuid4().hex[:8]}"


def save_attempt(attempt: Path, state: Mapping[str, Any], progress: int) -> None:
    """Write a checkpoint of an attempt, see `newest_attempt`.

    Raises:
        StorageError: it cannot be written.
    """
    Checkpoints(attempt, keep=_CHECKPOINTS).save({**state, _PROGRESS: progress})


def newest_attempt(folder: Path) -> Any | None:
    """The state of the attempt that came farthest, to go on from; None without any checkpoint."""
    # Tables of before kept theirs in the folder itself, and attempts of before no progress.
    places = [folder, *folder.glob(f"{_ATTEMPT}*")]
    found = [Checkpoints(place).load_newest() for place in places]
    states = [state for state in found if state is not None]
    if not states:
        return None
    _log.info("going on from a checkpoint in %s", folder)
    return max(states, key=lambda state: state.get(_PROGRESS, 0))


def forget_attempts(folder: Path) -> None:
    """Remove what a piece that is over was resumed from."""
    for path in folder.glob(f"{_ATTEMPT}*"):
        shutil.rmtree(path, ignore_errors=True)


def seen_here(folder: Path, root: Path) -> Path | None:
    """``folder`` of a piece's attempts; None where this machine does not see ``root`` above it."""
    if root.is_dir():
        return folder
    _warn_of_unshared(root)
    return None


@lru_cache(maxsize=1)
def _warn_of_unshared(folder: Path) -> None:
    _log.warning(
        "%s is not there on %s: trainings and candidates that are lost there begin anew; keep runs "
        "and tables in a folder that all machines see",
        folder,
        platform.node(),
    )
