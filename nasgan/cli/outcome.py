"""How a run's outcome is shown, and what exit code it means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nasgan.cli.console import say

__all__ = ["Outcome", "report"]


class Outcome(Protocol):
    """The part of `nasgan.engine.Outcome` that is shown; its import would load torch."""

    @property
    def status(self) -> str:
        """``"completed"``, ``"failed"`` or ``"already_completed"``."""

    @property
    def summary_lines(self) -> Sequence[str]:
        """What happened and where the results are."""


def report(outcome: Outcome) -> int:
    """Print the outcome's summary; 1 for a failed run, else 0."""
    say(*outcome.summary_lines)
    return int(outcome.status == "failed")
