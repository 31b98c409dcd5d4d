"""What an executor is, and the one that needs no workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from nasgan.contracts import EvaluationPool, Evaluator, Ledger
from nasgan.errors import ConfigError, quoted
from nasgan.evaluation.pool import InProcessPool

__all__ = ["Executor", "InProcessExecutor", "WorkOrder", "WorkerExecutor"]


@dataclass(frozen=True)
class WorkOrder:
    """How a worker comes to an evaluator that scores as this process's does.

    Attributes:
        builder: ``"module:function"``, called in the worker as ``function(settings, device=...,
            threads=...)``; gives the evaluator and the ledger, without limits, that it charges.
        settings: JSON data for the builder.
        device: of this process; workers may be put on others of its kind.
    """

    builder: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


class Executor(ABC):
    """The settings ``executor=...``: makes the pool in which a search's candidates are scored."""

    in_process: ClassVar[bool] = False

    @abstractmethod
    def open(self, evaluator: Evaluator, ledger: Ledger, order: WorkOrder) -> EvaluationPool:
        """The pool; what it needs is started when the first proposal comes.

        Args:
            evaluator: this process's; keeps what the workers' learn.
            ledger: the run's.
            order: for workers.
        """

    @property
    def named_devices(self) -> tuple[str, ...]:
        """Devices that the settings name, to be checked before the run."""
        return ()

    def check_installed(self) -> None:  # noqa: B027 - most need nothing more
        """Refuse to begin what this installation cannot do.

        Raises:
            MissingDependencyError: an optional package is needed.
        """


class InProcessExecutor(Executor):
    """One candidate after the other, in this process."""

    in_process = True

    def open(self, evaluator: Evaluator, ledger: Ledger, order: WorkOrder) -> EvaluationPool:
        """See `Executor.open`; the evaluator itself asks and charges the ledger."""
        del order
        return InProcessPool(evaluator, ledger)


@dataclass(frozen=True, kw_only=True)
class WorkerExecutor(Executor):
    """What all executors with workers have in common.

    Attributes:
        workers: how many candidates are scored at once; null: as many as there is room for.
        attempts: how often a candidate is begun before it counts as failed.
        timeout: seconds that an attempt may take; null: no limit.
    """

    workers: int | None = None
    attempts: int = 2
    timeout: float | None = None

    def __post_init__(self) -> None:
        self._require_positive("workers", self.workers)
        self._require_positive("attempts", self.attempts)
        self._require_positive("timeout", self.timeout)

    def _require_positive(self, name: str, value: float | None) -> None:
        if value is None or value >= 1 or (name == "timeout" and value > 0):
            return
        least = "above 0" if name == "timeout" else "at least 1"
        raise ConfigError(f"executor.{name} must be {least}, got {quoted(value)}")
