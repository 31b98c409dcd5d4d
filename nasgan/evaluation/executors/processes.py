"""Workers that are processes of this machine.

They are started as programs of their own, so that nothing of this process (threads, CUDA, locks,
its main module) is copied or imported again, and talk through one pipe each: what happens to one
cannot hold up another. Nothing but JSON goes through the pipes.
"""

from __future__ import annotations

import json
import logging
import multiprocessing.connection as connections
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import Any

import torch

from nasgan.contracts import EvaluationPool, Evaluator, Ledger
from nasgan.errors import ConfigError, NasganError
from nasgan.evaluation.executors.crew import Crew, Message, Worker
from nasgan.evaluation.executors.executor import WorkerExecutor, WorkOrder
from nasgan.evaluation.executors.worker_pool import WorkerPool
from nasgan.machine import usable_cores

__all__ = ["ProcessCrew", "ProcessExecutor"]

# The interpreter's path is set before anything is imported: the worker imports what we would.
_START = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from nasgan.evaluation.executors.process_worker import main; main(int(sys.argv[1]))"
)
_END_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class ProcessExecutor(WorkerExecutor):
    """Several candidates at once, each in a process of this machine.

    Attributes:
        workers: as in `WorkerExecutor`; null: one for each CUDA device, or CPU core.
        threads: torch's CPU threads of each worker; null: the cores divided by the workers, but no
            more than this process has.
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

    def open(self, evaluator: Evaluator, ledger: Ledger, order: WorkOrder) -> EvaluationPool:
        """See `Executor.open`."""
        devices = self.named_devices or _all_like(order.device)
        on_cpu = all(torch.device(name).type == "cpu" for name in devices)
        workers = self.workers or (usable_cores() if on_cpu else len(devices))
        share = max(1, usable_cores() // workers)
        crew = ProcessCrew(
            order,
            size=workers,
            threads=self.threads or min(share, torch.get_num_threads()),
            devices=devices,
        )
        return WorkerPool(evaluator, ledger, crew, attempts=self.attempts, timeout=self.timeout)


def _all_like(device: torch.device) -> tuple[str, ...]:
    """All CUDA devices if none was chosen by its number."""
    if device.type == "cuda" and device.index is None:
        return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    return (str(device),)


class ProcessCrew(Crew):
    """Workers as local processes; they end with this one, however it ends.

    Args:
        order: how they come to their evaluator.
        size: how many there can be.
        threads: of each.
        devices: taken in turn.
    """

    def __init__(
        self, order: WorkOrder, *, size: int, threads: int, devices: Sequence[str]
    ) -> None:
        self.workers: list[ProcessWorker] = []
        self._order = order
        self._size = size
        self._threads = threads
        self._devices = tuple(devices)

    @property
    def size(self) -> int:
        """See `Crew.size`."""
        return self._size

    def start(self, number: int) -> Worker:
        """See `Crew.start`."""
        order = {
            "builder": self._order.builder,
            "settings": dict(self._order.settings),
            "device": self._devices[number % len(self._devices)],
            "threads": self._threads,
            "log_level": logging.getLogger().getEffectiveLevel(),
        }
        try:
            worker = ProcessWorker(number, self._threads, self.workers.remove)
        except OSError as error:
            raise NasganError(
                f"worker process {number} of {self._size} cannot be started: {error}; lower "
                "executor.workers, or raise the limits of this account"
            ) from error
        self.workers.append(worker)
        worker.ask(order)
        return worker

    def wait(self, seconds: float) -> Sequence[tuple[Worker, Message]]:
        """See `Crew.wait`."""
        connections.wait([worker.connection for worker in self.workers], seconds)
        return [(worker, item) for worker in list(self.workers) for item in worker.receive()]


class ProcessWorker(Worker):
    """One process and its pipe.

    Args:
        number: its place.
        threads: for the libraries that read it from the environment when they start.
        forget: called when it is stopped.
    """

    def __init__(
        self, number: int, threads: int, forget: Callable[[ProcessWorker], object]
    ) -> None:
        self.number = number
        self._forget = forget
        self.connection, theirs = Pipe()
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter, with our own program
            [sys.executable, "-c", _START, str(theirs.fileno()), *sys.path],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=2,  # standard output is for the run's result
            env={"OMP_NUM_THREADS": str(threads), **os.environ},
            # Ctrl-C is for this process, which decides; and `stop` ends the worker's own children.
            start_new_session=True,
        )
        theirs.close()

    def ask(self, request: Message) -> None:
        """See `Worker.ask`."""
        with suppress(OSError):
            self.connection.send_bytes(json.dumps(request).encode())

    def receive(self) -> list[dict[str, Any]]:
        """What has arrived; at the end a message ``lost`` if the process is there no more."""
        is_over = self.process.poll() is not None
        messages = []
        try:
            while self.connection.poll():
                messages.append(json.loads(self.connection.recv_bytes()))
        except (EOFError, OSError):
            is_over = True
        if is_over:
            messages.append({"kind": "lost", "reason": self._end()})
        return messages

    def _end(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)
        self.stop()
        code = self.process.returncode
        if code >= 0:
            return f"its worker ended with exit code {code}"
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"its worker was killed by {name}{hint}"

    def stop(self) -> None:
        """See `Worker.stop`; a second time it does nothing."""
        if self.connection.closed:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.connection.close()
        self._forget(self)
