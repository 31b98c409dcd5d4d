"""How a run's outcome is shown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal, Protocol

from nasgan.atomic import is_full, reason_of
from nasgan.cli.console import say
from nasgan.errors import (
    NasganError,
    PluginFailedError,
    ReplicaLostError,
    StorageError,
    TrainingDiverged,
    shortened,
)

__all__ = ["Outcome", "is_refusal", "named", "report"]


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
    if isinstance(error, StorageError):
        return error.errno is not None and not is_full(error)
    failed = (PluginFailedError, ReplicaLostError, TrainingDiverged)
    return isinstance(error, NasganError) and not isinstance(error, failed)


def named(error: Exception) -> Exception:
    """``error``, or one in words where it is the operating system's about a file or folder."""
    if isinstance(error, OSError) and not isinstance(error, NasganError) and error.filename:
        path = shortened(os.fsdecode(error.filename))
        return StorageError(error.errno, f"{path} cannot be used: {reason_of(error)}")
    return error


def report(outcome: Outcome, *, is_in_sweep: bool = False) -> None:
    """Print the outcome's summary; in a sweep one line is enough for a run of an earlier one."""
    is_known = is_in_sweep and outcome.status == "already_completed"
    say(*outcome.summary_lines[: 1 if is_known else None])
