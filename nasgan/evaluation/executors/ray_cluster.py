"""Workers on the machines of a Ray cluster."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import torch

from nasgan.errors import ConfigError, MissingDependencyError, quoted
from nasgan.evaluation.executors.device_room import trainings_on
from nasgan.evaluation.executors.executor import WorkerExecutor
from nasgan.machine import usable_cores
from nasgan.supervisor import Places
from nasgan.supervisor.ray_address import reach
from nasgan.supervisor.ray_tasks import RayTasks, check_room

__all__ = ["RayExecutor"]


@dataclass(frozen=True, kw_only=True)
class RayExecutor(WorkerExecutor):
    """Several pieces at once, on the machines of a Ray cluster.

    Attributes:
        workers: as in `WorkerExecutor`; null: as many as the cluster has room for at the time.
        address: null: a Ray of our own on this machine; ``auto``: the cluster that this machine
            belongs to; or its ``HOST:6379``.
        cpus: CPU cores of each worker, and torch's threads in it; null: the run's threads, with
            GPUs one.
        gpus: GPUs of each worker; 0.5: two workers share one; null: if the run is on CUDA, the part
            of a GPU like this machine's that a training needs.
    """

    address: str | None = None
    cpus: int | None = None
    gpus: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("cpus", self.cpus)
        gpus = self.gpus
        if gpus is not None and (gpus < 0 or (gpus > 1 and gpus != int(gpus))):
            raise ConfigError(
                f"executor.gpus must be a part of one GPU or a whole number, got {quoted(gpus)}"
            )

    def check_installed(self, device: torch.device, threads: int) -> None:
        """See `Executor.check_installed`."""
        if importlib.util.find_spec("ray") is None:
            raise MissingDependencyError(
                "executor=ray needs the package ray: pip install 'nasgan[ray]'"
            )
        nodes = [_this_machine()] if self.address is None else reach(self.address)
        # How many share a GPU is found out later; here whether there is one.
        gpus = self.gpus if self.gpus is not None else _part(int(device.type == "cuda"))
        if nodes:
            check_room(nodes, cpus=self._cpus(gpus, threads), gpus=gpus)

    @property
    def own_arithmetic(self) -> dict[str, Any]:
        """See `Executor.own_arithmetic`; the machines of a cluster are not this one."""
        return {"cluster": self.address, "cpus": self.cpus, "gpus": self.gpus}

    def kinds_of_devices(self, device: torch.device) -> set[str]:
        """See `Executor.kinds_of_devices`."""
        if self.gpus is None:
            return super().kinds_of_devices(device)
        return {"cuda" if self.gpus else "cpu"}

    def _cpus(self, gpus: float, threads: int) -> int:
        return self.cpus or (1 if gpus else threads)

    def places(self, device: torch.device, threads: int, memory: int | None = None) -> Places:
        """See `WorkerExecutor.places`."""
        gpus = self.gpus
        if gpus is None:
            gpus = _part(trainings_on(device, memory)) if device.type == "cuda" else 0.0
        cpus = self._cpus(gpus, threads)
        return RayTasks(self.address, cpus=cpus, gpus=gpus, workers=self.workers)


def _this_machine() -> dict[str, float]:
    """What a Ray of our own has at the most."""
    return {"CPU": usable_cores(), "GPU": torch.cuda.device_count()}


def _part(count: int) -> float:
    """Of a GPU that so many share; 0 for none. Ray knows four digits."""
    return int(10_000 / count) / 10_000 if count else 0.0
