"""What an executor is: where the pieces of a search are done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from nasgan.contracts import EvaluationPool, Evaluator, Ledger
from nasgan.errors import ConfigError, quoted
from nasgan.evaluation.executors.candidate import half_done
from nasgan.evaluation.executors.worker_pool import WorkerPool, WorkOrder
from nasgan.evaluation.pool import InProcessPool
from nasgan.supervisor import Places, Retries, Supervisor

__all__ = ["Executor", "InProcessExecutor", "WorkerExecutor"]


class Executor(ABC):
    """The settings ``executor=...``: where candidates, finalists and a table's rows are made.

    Attributes:
        in_process: whether candidates are scored in the search's own process.
        timeout: seconds that an attempt of a candidate, or of a table's training, may take; None:
            no limit.
    """

    in_process: ClassVar[bool] = False
    timeout: float | None = None

    @abstractmethod
    def supervise(
        self, device: torch.device, threads: int, folder: Path, memory: int | None = None
    ) -> Supervisor | None:
        """What has pieces done in other processes, started when it has one; None: nothing does.

        Args:
            device: of this process; others may be put on others of its kind.
            threads: torch's CPU threads of this process.
            folder: for signs of life.
            memory: bytes of a CUDA device that a piece may need; None: all of it.
        """

    def open(
        self,
        evaluator: Evaluator,
        ledger: Ledger,
        order: WorkOrder,
        supervisor: Supervisor | None = None,
    ) -> EvaluationPool:
        """The pool of candidates, here one after the other; workers begin with the first proposal.

        Args:
            evaluator: this process's; keeps what the workers' learn.
            ledger: the run's.
            order: for workers; its folder may hold what some have half done.
            supervisor: of the run, see `supervise`; None: the pool has one of its own.
        """
        del supervisor
        found = None if order.folder is None else partial(half_done, order.folder, evaluator)
        return InProcessPool(evaluator, ledger, found)

    @property
    def named_devices(self) -> tuple[str, ...]:
        """Devices that the settings name, to be checked before the run."""
        return ()

    def kinds_of_devices(self, device: torch.device) -> set[str]:
        """``cpu``, ``cuda`` or both: where its pieces compute, asked for by a run on ``device``."""
        return {torch.device(name).type for name in self.named_devices or (device,)}

    def pays_for(self, *, generator_steps: int, threads: int) -> bool:
        """Whether final trainings of this length, with so many threads, are for its workers.

        Their results are the same either way.
        """
        del generator_steps, threads
        return True

    @property
    def own_arithmetic(self) -> dict[str, Any]:
        """Devices and threads of its workers that are not the run's, and so shape the numbers."""
        return {}

    def check_installed(self, device: torch.device, threads: int) -> None:  # noqa: B027 - most need nothing more
        """Refuse to begin what this installation cannot do; see `supervise`.

        Raises:
            MissingDependencyError: an optional package is needed.
            ConfigError: what the settings name cannot be reached.
        """


class InProcessExecutor(Executor):
    """One candidate after the other, then one training after the other, in this process."""

    in_process = True

    def supervise(
        self, device: torch.device, threads: int, folder: Path, memory: int | None = None
    ) -> Supervisor | None:
        """See `Executor.supervise`."""
        del device, threads, folder, memory
        return None


@dataclass(frozen=True, kw_only=True)
class WorkerExecutor(Executor):
    """What all executors with workers have in common.

    Attributes:
        workers: how many pieces are done at once; null: as many as there is room for.
        attempts: how often a piece is begun that fails by its own error before it counts as failed.
        losses: of workers and machines in a row that a piece is forgiven.
        timeout: as in `Executor`.
    """

    workers: int | None = None
    attempts: int = 2
    losses: int = 10
    timeout: float | None = None

    def __post_init__(self) -> None:
        self._require_positive("workers", self.workers)
        self._require_positive("attempts", self.attempts)
        self._require_positive("timeout", self.timeout)
        if self.losses < 0:
            raise ConfigError(f"executor.losses must not be negative, got {self.losses}")

    def _require_positive(self, name: str, value: float | None) -> None:
        if value is None or value >= 1 or (name == "timeout" and value > 0):
            return
        least = "above 0" if name == "timeout" else "at least 1"
        raise ConfigError(f"executor.{name} must be {least}, got {quoted(value)}")

    @abstractmethod
    def places(self, device: torch.device, threads: int, memory: int | None = None) -> Places:
        """Where pieces are done; see `supervise`."""

    def supervise(
        self, device: torch.device, threads: int, folder: Path, memory: int | None = None
    ) -> Supervisor | None:
        """See `Executor.supervise`."""
        retries = Retries(self.attempts, self.losses)
        return Supervisor(self.places(device, threads, memory), retries, folder=folder)

    def open(
        self,
        evaluator: Evaluator,
        ledger: Ledger,
        order: WorkOrder,
        supervisor: Supervisor | None = None,
    ) -> EvaluationPool:
        """See `Executor.open`."""
        if self.in_process:
            return super().open(evaluator, ledger, order, supervisor)
        own = None
        if supervisor is None:
            places = self.places(order.device, torch.get_num_threads())
            supervisor = own = Supervisor(places, Retries(self.attempts, self.losses))
        return WorkerPool(
            evaluator, ledger, supervisor, order, timeout=self.timeout, owns=own is not None
        )
