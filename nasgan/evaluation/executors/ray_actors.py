"""Workers that are Ray actors: on this machine, or on all of a cluster.

Optional: ``pip install 'nasgan[ray]'``. The run's folder and the data must have the same paths on
every machine (a shared file system).
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasgan.contracts import EvaluationPool, Evaluator, Ledger
from nasgan.errors import ConfigError, MissingDependencyError, quoted
from nasgan.evaluation.executors.candidate import CandidateWorker, LogForwarder
from nasgan.evaluation.executors.crew import Crew, Message, Worker
from nasgan.evaluation.executors.executor import WorkerExecutor, WorkOrder
from nasgan.evaluation.executors.worker_pool import WorkerPool

__all__ = ["RayExecutor"]

_LOCAL = "local"
_CACHE = "NASGAN_CACHE"


@dataclass(frozen=True, kw_only=True)
class RayExecutor(WorkerExecutor):
    """Several candidates at once, on the machines of a Ray cluster.

    Attributes:
        workers: as in `WorkerExecutor`; null: as many as the cluster has room for at the start.
        address: null: a Ray of our own on this machine; ``auto``: the cluster that this machine
            belongs to; ``ray://HOST:10001``: another one.
        cpus: CPU cores of each worker, and torch's threads in it.
        gpus: GPUs of each worker; 0.5: two workers share one; null: one if the run is on CUDA.
    """

    address: str | None = None
    cpus: int = 1
    gpus: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("cpus", self.cpus)
        gpus = self.gpus
        if gpus is not None and (gpus < 0 or (gpus > 1 and gpus != int(gpus))):
            raise ConfigError(
                f"executor.gpus must be a part of one GPU or a whole number, got {quoted(gpus)}"
            )

    def check_installed(self) -> None:
        """See `Executor.check_installed`."""
        if importlib.util.find_spec("ray") is None:
            raise MissingDependencyError(
                "executor=ray needs the package ray: pip install 'nasgan[ray]'"
            )

    def open(self, evaluator: Evaluator, ledger: Ledger, order: WorkOrder) -> EvaluationPool:
        """See `Executor.open`."""
        gpus = float(order.device.type == "cuda") if self.gpus is None else self.gpus
        crew = _RayCrew(
            order, address=self.address, workers=self.workers, cpus=self.cpus, gpus=gpus
        )
        return WorkerPool(evaluator, ledger, crew, attempts=self.attempts, timeout=self.timeout)


class RayActor:
    """The class of the actors: a worker whose log comes with its messages."""

    def __init__(self) -> None:
        self._worker = CandidateWorker()
        self._log: list[list[Any]] = []

    def open(self, order: dict[str, Any]) -> Message:
        """Build the evaluator in the folder of the search, if there is such a folder here."""
        if Path(order["folder"]).is_dir():
            os.chdir(order["folder"])
        os.environ.update(order["environment"])
        sys.path += [entry for entry in order["path"] if entry not in sys.path]
        LogForwarder(self._log.append).install(order["log_level"])
        return self._with_log(self._worker.open(order))

    def evaluate(self, request: dict[str, Any]) -> Message:
        """See `CandidateWorker.evaluate`."""
        return self._with_log(self._worker.evaluate(request))

    def _with_log(self, message: Message) -> Message:
        records = list(self._log)
        self._log.clear()
        return {**message, "log": records}


class _RayCrew(Crew):
    def __init__(
        self,
        order: WorkOrder,
        *,
        address: str | None,
        workers: int | None,
        cpus: int,
        gpus: float,
    ) -> None:
        self.workers: list[_RayWorker] = []
        self._order = order
        self._address = address or _LOCAL
        self._workers = workers
        self._resources = {"num_cpus": cpus, "num_gpus": gpus}
        self._is_ours = False
        self._connected: Any = None

    @property
    def _ray(self) -> Any:
        """The package, connected; a connection that somebody else made is used as it is."""
        if self._connected is None:
            import ray

            if not ray.is_initialized():
                own: dict[str, Any] = (
                    {"include_dashboard": False} if self._address == _LOCAL else {}
                )
                # It would report statistics of use over the network.
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                try:
                    ray.init(self._address, logging_level=logging.WARNING, **own)
                except ImportError as error:
                    raise MissingDependencyError(
                        f"executor.address={self._address}: {error}"
                    ) from error
                except (ConnectionError, RuntimeError) as error:
                    raise ConfigError(
                        f"executor.address={self._address}: no connection to a Ray cluster: {error}"
                    ) from error
                self._is_ours = True
            self._connected = ray
        return self._connected

    @property
    def size(self) -> int:
        if self._workers is None:
            has = self._ray.cluster_resources()
            kinds = {"CPU": "num_cpus", "GPU": "num_gpus"}
            wanted = {kind: self._resources[name] for kind, name in kinds.items()}
            room = [has.get(kind, 0) / amount for kind, amount in wanted.items() if amount]
            if min(room) < 1:
                raise ConfigError(f"the Ray cluster has no room for a worker of {wanted}: {has}")
            self._workers = int(min(room))
        return self._workers

    def start(self, number: int) -> Worker:
        ray = self._ray
        actor = ray.remote(**self._resources, max_restarts=0, max_task_retries=0)(RayActor)
        worker = _RayWorker(number, ray, actor.remote(), self.workers.remove)
        self.workers.append(worker)
        order = {
            "builder": self._order.builder,
            "settings": dict(self._order.settings),
            "device": "cuda" if self._resources["num_gpus"] else "cpu",
            "threads": self._resources["num_cpus"],
            "log_level": logging.getLogger().getEffectiveLevel(),
            "folder": str(Path.cwd()),
            "path": sys.path,
            "environment": {_CACHE: os.environ[_CACHE]} if _CACHE in os.environ else {},
        }
        worker.open(order)
        return worker

    def wait(self, seconds: float) -> Sequence[tuple[Worker, Message]]:
        answers = {worker.answer: worker for worker in self.workers if worker.answer is not None}
        if not answers:
            return []
        # One is waited for; the others are taken along if they are there.
        self._ray.wait(list(answers), timeout=seconds)
        arrived, _ = self._ray.wait(list(answers), num_returns=len(answers), timeout=0)
        return [(answers[answer], answers[answer].receive()) for answer in arrived]

    def dismiss(self) -> None:
        if self._is_ours:
            self._connected.shutdown()
        self._is_ours, self._connected = False, None


class _RayWorker(Worker):
    """An actor, and the answer that it owes."""

    def __init__(
        self, number: int, ray: Any, actor: Any, forget: Callable[[_RayWorker], object]
    ) -> None:
        self.number = number
        self.answer: Any = None
        self._ray = ray
        self._actor = actor
        self._forget = forget

    def open(self, order: Message) -> None:
        self.answer = self._actor.open.remote(order)

    def ask(self, request: Message) -> None:
        self.answer = self._actor.evaluate.remote(request)

    def receive(self) -> Message:
        answer, self.answer = self.answer, None
        try:
            message: Message = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            return {"kind": "lost", "reason": f"its worker is gone: {_reason(error)}"}
        return message

    def stop(self) -> None:
        if self._actor is not None:
            self._ray.kill(self._actor)
            self._actor = None
            self._forget(self)


def _reason(error: Exception) -> str:
    """One line of Ray's report: the last where it is a traceback (of an import, say)."""
    lines = str(error).strip().splitlines()
    return lines[-1 if "ray::" in lines[0] else 0]
