"""Places that are tasks of Ray: on this machine, or on all of a cluster that grows and shrinks.

Optional: ``pip install 'nasgan[ray]'``. Files have the same paths on every machine (a shared file
system).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nasgan.errors import ConfigError
from nasgan.machine import usable_cores
from nasgan.supervisor.pieces import Message, do
from nasgan.supervisor.places import Places

__all__ = ["RayTasks", "check_room"]

_LOCAL = "local"
_CACHE = "NASGAN_CACHE"
_SIZE_SECONDS = 2.0
_IN_FLIGHT = 2
# What raylets dump is printed by drivers, unless it matches; read when Ray is imported.
_UNPRINTED = ("RAY_DEDUP_LOGS_SKIP_REGEX", "(?s).")


def do_elsewhere(text: str) -> str:
    """`nasgan.supervisor.pieces.do`, in the folder and with the imports of who has asked."""
    asked = json.loads(text)
    if Path(asked["folder"]).is_dir():
        os.chdir(asked["folder"])
    os.environ.update(asked["environment"])
    sys.path += [entry for entry in asked["path"] if entry not in sys.path]
    return do(text)


class RayTasks(Places):
    """As many tasks as the cluster has room for, at any time; Ray is told of twice as many.

    Args:
        address: None: a Ray of our own on this machine; ``auto``: the cluster that this machine
            belongs to; or where it is.
        cpus: CPU cores of each, and its CPU threads.
        gpus: GPUs of each; 0.5: two share one.
        workers: at once at the most; None: as many as there is room for.
    """

    queues = True

    def __init__(
        self, address: str | None, *, cpus: int, gpus: float, workers: int | None = None
    ) -> None:
        self._address = address or _LOCAL
        self._cpus = cpus
        self._gpus = gpus
        self._workers = workers
        self._tasks: dict[Any, int] = {}
        self._is_ours = False
        self._connected: Any = None
        self._remote: Any = None
        self._room = 0
        self._room_at = float("-inf")
        self._heard = False

    @property
    def _ray(self) -> Any:
        """The package, connected; a connection that somebody else made is used as it is."""
        if self._connected is None:
            os.environ.setdefault(*_UNPRINTED)
            import ray

            if not ray.is_initialized():
                self._connect(ray)
                self._is_ours = True
            self._connected = ray
            self._remote = ray.remote(do_elsewhere).options(
                num_cpus=self._cpus,
                num_gpus=self._gpus,
                # Who has lost it counts that, and begins it again.
                max_retries=0,
                scheduling_strategy="SPREAD",
            )
        return self._connected

    def _connect(self, ray: Any) -> None:
        own: dict[str, Any] = {}
        if self._address == _LOCAL:
            # Ray itself counts cores that this process may not use.
            own = {"include_dashboard": False, "num_cpus": usable_cores()}
        # It would report statistics of use over the network.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            with _own_signals():
                ray.init(self._address, logging_level=logging.ERROR, log_to_driver=False, **own)
        except (ConnectionError, RuntimeError) as error:
            raise ConfigError(
                f"executor.address={self._address}: no connection to a Ray cluster: {error}"
            ) from error

    @property
    def size(self) -> int:
        """See `Places.size`.

        Raises:
            ConfigError: no machine of the cluster has room for a single task.
        """
        now = time.monotonic()
        if now - self._room_at > _SIZE_SECONDS:
            self._room, self._room_at = self._count_room(), now
        return self._room if self._workers is None else min(self._workers, self._room)

    def _count_room(self) -> int:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if not self._heard:
            check_room(nodes, cpus=self._cpus, gpus=self._gpus)
        return sum(_room_on(node, self._cpus, self._gpus) for node in nodes)

    @property
    def depth(self) -> int:
        """See `Places.depth`: a machine that joins finds something to do."""
        return self.size * _IN_FLIGHT

    @property
    def starting(self) -> bool:
        """See `Places.starting`."""
        return bool(self._tasks) and not self._heard

    def begin(self, ticket: int, request: Message) -> None:
        """See `Places.begin`."""
        of_place = {"device": "cuda" if self._gpus else "cpu", "threads": self._cpus}
        text = json.dumps(
            {
                **request,
                "order": {**request["order"], **of_place},
                "folder": str(Path.cwd()),
                "path": sys.path,
                "environment": {_CACHE: os.environ[_CACHE]} if _CACHE in os.environ else {},
            }
        )
        assert self._ray is not None
        self._tasks[self._remote.remote(text)] = ticket

    def wait(self, seconds: float) -> Sequence[tuple[int, Message]]:
        """See `Places.wait`."""
        if not self._tasks:
            return []
        tasks = list(self._tasks)
        # One is waited for; the others are taken along if they are there.
        self._ray.wait(tasks, timeout=seconds)
        ended, _ = self._ray.wait(tasks, num_returns=len(tasks), timeout=0)
        self._heard = self._heard or bool(ended)
        return [(self._tasks.pop(task), self._message(task)) for task in ended]

    def _message(self, task: Any) -> Message:
        exceptions = self._ray.exceptions
        try:
            message: Message = json.loads(self._ray.get(task))
        except exceptions.RayTaskError as error:
            # The work's own errors are told in messages: here it could not even be begun.
            return {"kind": "lost", "reason": _reason(error), "starting": True}
        except exceptions.NodeDiedError:
            return {"kind": "lost", "reason": "its machine left the cluster"}
        except exceptions.RayError as error:
            return {"kind": "lost", "reason": f"its worker is gone: {_reason(error)}"}
        return message

    def end(self, ticket: int) -> None:
        """See `Places.end`."""
        for task in [task for task, number in self._tasks.items() if number == ticket]:
            del self._tasks[task]
            self._ray.cancel(task, force=True)

    def close(self) -> None:
        """See `Places.close`."""
        for ticket in list(self._tasks.values()):
            self.end(ticket)
        if self._is_ours:
            self._connected.shutdown()
        self._is_ours, self._connected, self._heard = False, None, False
        self._room_at = float("-inf")


def check_room(nodes: Sequence[Mapping[str, float]], *, cpus: int, gpus: float) -> None:
    """Refuse workers that none of ``nodes``, by their resources, has room for.

    Raises:
        ConfigError: so it is.
    """
    if any(_room_on(node, cpus, gpus) for node in nodes):
        return
    wanted = {"CPU": cpus, "GPU": gpus}
    each = [{kind: node.get(kind, 0) for kind in wanted} for node in nodes]
    raise ConfigError(
        f"no machine of the Ray cluster has room for a worker of {wanted}: they have "
        f"{each}; lower executor.cpus or executor.gpus"
    )


def _room_on(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    """How many workers a node takes; a part of a GPU is of one GPU."""
    room = int(node.get("CPU", 0) / cpus)
    if not gpus:
        return room
    there = int(node.get("GPU", 0))
    return min(room, int(there / gpus) if gpus >= 1 else there * int(1 / gpus + 1e-9))


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's answer to SIGTERM: Ray's ends it without a word of ours."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        # Only the main thread may, and Ray's handler is set there alone.
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _reason(error: Exception) -> str:
    """One line of Ray's report: the last where it is a traceback (of an import, say)."""
    lines = str(error).strip().splitlines()
    return lines[-1 if "ray::" in lines[0] else 0]
