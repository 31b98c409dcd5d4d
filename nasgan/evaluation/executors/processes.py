"""Workers that are processes of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from nasgan.errors import ConfigError
from nasgan.evaluation.executors.device_room import trainings_on
from nasgan.evaluation.executors.executor import WorkerExecutor
from nasgan.machine import usable_cores
from nasgan.supervisor import Slots

__all__ = ["AutoExecutor", "ProcessExecutor"]

# A process is ready after some seconds; that many steps of small networks take longer.
_LONG_TRAINING = 500


@dataclass(frozen=True, kw_only=True)
class ProcessExecutor(WorkerExecutor):
    """Several pieces at once, each in a process of this machine.

    Attributes:
        workers: as in `WorkerExecutor`; null: as many as the CUDA devices, or the CPU cores, have
            room for.
        threads: torch's CPU threads of each worker; null: those of the run, whose numbers it makes.
        devices: ``auto``: the run's; if that is ``cuda``, all of them in turn. Or their names.
    """

    threads: int | None = None
    devices: str | tuple[str, ...] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("threads", self.threads)
        if "auto" in self.named_devices:
            raise ConfigError("executor.devices must be auto, or names of devices without auto")

    @property
    def named_devices(self) -> tuple[str, ...]:
        """See `Executor.named_devices`."""
        if self.devices == "auto":
            return ()
        return (self.devices,) if isinstance(self.devices, str) else self.devices

    @property
    def own_arithmetic(self) -> dict[str, Any]:
        """See `Executor.own_arithmetic`."""
        own = {"threads": self.threads, "devices": list(self.named_devices)}
        return {name: value for name, value in own.items() if value}

    def places(self, device: torch.device, threads: int, memory: int | None = None) -> Slots:
        """See `WorkerExecutor.places`."""
        devices = self.named_devices or _all_like(device)
        threads = self.threads or threads
        on_cpu = all(torch.device(name).type == "cpu" for name in devices)
        room = max(1, usable_cores() // threads)
        if not on_cpu:
            # Each launches its kernels from a core of its own.
            fitting = min(trainings_on(name, memory) for name in devices)
            room = len(devices) * max(1, min(fitting, room // len(devices)))
        return Slots(self.workers or room, threads=threads, devices=devices)


def _all_like(device: torch.device) -> tuple[str, ...]:
    """All CUDA devices if none was chosen by its number; the run's own, the first, last."""
    if device.type == "cuda" and device.index is None:
        count = torch.cuda.device_count()
        return tuple(f"cuda:{index % count}" for index in range(1, count + 1))
    return (str(device),)


@dataclass(frozen=True, kw_only=True)
class AutoExecutor(ProcessExecutor):
    """Candidates in the search's own process; long final trainings as by `ProcessExecutor`."""

    in_process = True

    def pays_for(self, *, generator_steps: int, threads: int) -> bool:
        """See `Executor.pays_for`: not for what takes no longer than the start of a process."""
        return generator_steps >= _LONG_TRAINING or threads > 1
