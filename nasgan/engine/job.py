"""What the run loop drives: work in resumable steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from nasgan.contracts import Ledger

__all__ = ["Job", "JobReport"]


@dataclass(frozen=True)
class JobReport:
    """What one step of a job did.

    Attributes:
        phase: what the time is booked under: ``"search"``, ``"final"``.
        message: for the progress line.
        progress: fraction of the phase that is done, in [0, 1], if it can be told.
        lines: for the history.
        precious: whether a resumption from before this step would repeat much more than the step.
    """

    phase: str
    message: str
    progress: float | None = None
    lines: tuple[dict[str, Any], ...] = field(default_factory=tuple)
    precious: bool = False


class Job(Protocol):
    """A search or a training; all it changes is in its state."""

    ledger: Ledger

    @property
    def phase(self) -> str:
        """Of the step that comes next: ``"search"``, ``"final"``."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""

    def step(self) -> JobReport:
        """Do one piece of work, seconds long."""

    def state_dict(self) -> dict[str, Any]:
        """Everything from which `load_state_dict` continues exactly."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
