"""How a run's outcome is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from nasgan.cli.console import say
from nasgan.errors import NasganError, StorageError, TrainingDiverged

__all__ = ["Outcome", "is_refusal", "report"]

_RUN_FAILED = (StorageError, TrainingDiverged)


class Outcome(Protocol):
    """The part of `nasgan.engine.Outcome` that is shown; its import would load torch."""

    @property
    def status(self) -> Literal["completed", "failed", "already_completed"]:
        """A failed run ended without a result; the exit code is then 1."""

    @property
    def summary_lines(self) -> Sequence[str]:
        """What happened and where the results are."""

    @property
    def failure(self) -> str:
        """Why a failed run did."""


def is_refusal(error: BaseException) -> bool:
    """Whether the input or the folder is at fault; a run that failed is none."""
    return isinstance(error, NasganError) and not isinstance(error, _RUN_FAILED)


def report(outcome: Outcome, *, is_in_sweep: bool = False) -> None:
    """Print the outcome's summary; in a sweep one line is enough for a run of an earlier one."""
    is_known = is_in_sweep and outcome.status == "already_completed"
    say(*outcome.summary_lines[: 1 if is_known else None])
