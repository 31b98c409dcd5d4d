"""Processes of this machine that work side by side, each made anew when it breaks.

Each is a pool of one process: a pool of several dies as a whole with any of them. Nothing but JSON
travels between them and this process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

from nasgan.errors import NasganError
from nasgan.machine import ending_signal, follow_parent
from nasgan.supervisor.pieces import Message, do
from nasgan.supervisor.places import Places

__all__ = ["Slots"]

_TRIES = 3


def _begin(threads: int) -> None:
    """The first that a process does, before torch is imported."""
    follow_parent()
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    # Standard output is for the run's result.
    os.dup2(2, 1)


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Keep a process that starts now from importing our main module: it may lack a guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class _Process(SpawnProcess):
    def start(self) -> None:
        with _no_main_module():
            super().start()


class _Context(SpawnContext):
    """Remembers the process that a pool of one starts."""

    process: SpawnProcess | None = None

    def Process(self, *arguments: Any, **settings: Any) -> SpawnProcess:  # type: ignore[override] # noqa: N802
        self.process = _Process(*arguments, **settings)
        return self.process


class _Slot:
    """A pool of one process."""

    def __init__(self, number: int, threads: int) -> None:
        self.number = number
        self._context = _Context()
        self._pool = ProcessPoolExecutor(1, self._context, initializer=_begin, initargs=(threads,))
        self._ready: Future[int] = self._pool.submit(os.getpid)

    @property
    def process(self) -> SpawnProcess:
        process = self._context.process
        assert process is not None
        return process

    @property
    def is_ready(self) -> bool:
        """Whether its process has begun to work."""
        return self._ready.done() and not self._failed_to_start

    @property
    def _failed_to_start(self) -> bool:
        return self._ready.cancelled() or self._ready.exception() is not None

    def submit(self, text: str) -> Future[str]:
        return self._pool.submit(do, text)

    def end(self) -> str:
        """End the process with all that it has started; says how it ended."""
        process = self.process
        if process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            # Before it leads a group of its own, and again where it is gone already.
            with suppress(ProcessLookupError):
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
        return _words(process.exitcode)


def _words(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its worker ended with exit code {code}"
    return f"its worker was killed by {ending_signal(-code)}"


class Slots(Places):
    """So many processes of this machine; they end with this one, however it ends.

    Args:
        size: how many.
        threads: CPU threads of each.
        devices: taken in turn.
    """

    ours = 1

    def __init__(self, size: int, *, threads: int = 1, devices: Sequence[str] = ("cpu",)) -> None:
        self._size = size
        self._threads = threads
        self._devices = tuple(devices)
        self._slots: dict[int, _Slot] = {}
        self._busy: dict[int, tuple[_Slot, Future[str]]] = {}

    @property
    def size(self) -> int:
        """See `Places.size`."""
        return self._size

    @property
    def starting(self) -> bool:
        """See `Places.starting`."""
        return bool(self._slots) and not any(slot.is_ready for slot in self._slots.values())

    @property
    def pids(self) -> list[int]:
        """The processes, in the order of their places."""
        found = (slot.process.pid for _, slot in sorted(self._slots.items()))
        return [pid for pid in found if pid is not None]

    def begin(self, ticket: int, request: Message) -> None:
        """See `Places.begin`."""
        taken = {slot.number for slot, _ in self._busy.values()}
        number = next(n for n in range(self._size) if n not in taken)
        order = {**request["order"], "device": self._device(number), "threads": self._threads}
        self._busy[ticket] = self._submitted(number, json.dumps({**request, "order": order}))

    def _device(self, number: int) -> str:
        return self._devices[number % len(self._devices)]

    def _submitted(self, number: int, text: str) -> tuple[_Slot, Future[str]]:
        """A process may have died while it had nothing to do."""
        for _ in range(_TRIES):
            slot = self._slot(number)
            try:
                return slot, slot.submit(text)
            except BrokenProcessPool:
                self._end(slot)
        raise NasganError(f"worker process {number} of {self._size} ends again and again")

    def _slot(self, number: int) -> _Slot:
        if number not in self._slots:
            try:
                self._slots[number] = _Slot(number, self._threads)
            except OSError as error:
                raise NasganError(
                    f"worker process {number} of {self._size} cannot be started: {error}; lower "
                    "the number of workers, or raise the limits of this account"
                ) from error
        return self._slots[number]

    def _end(self, slot: _Slot) -> str:
        self._slots.pop(slot.number, None)
        return slot.end()

    def wait(self, seconds: float) -> Sequence[tuple[int, Message]]:
        """See `Places.wait`."""
        wait([future for _, future in self._busy.values()], seconds, FIRST_COMPLETED)
        ended = [ticket for ticket, (_, future) in self._busy.items() if future.done()]
        return [(ticket, self._message(*self._busy.pop(ticket))) for ticket in ended]

    def _message(self, slot: _Slot, future: Future[str]) -> Message:
        try:
            message: Message = json.loads(future.result())
        # Whatever broke it: to use a pool again that may just be breaking is a race.
        except (BrokenProcessPool, CancelledError):
            was_ready = slot.is_ready
            return {"kind": "lost", "reason": self._end(slot), "starting": not was_ready}
        except Exception as error:  # what cannot be read of a result
            message = {"kind": "failed", "reason": f"{type(error).__name__}: {error}", "trace": ""}
        if message["kind"] == "failed":
            # Nobody knows what state it is in.
            self._end(slot)
        return {**message, "worker": slot.number}

    def end(self, ticket: int) -> None:
        """See `Places.end`."""
        slot, _ = self._busy.pop(ticket)
        self._end(slot)

    def close(self) -> None:
        """See `Places.close`."""
        self._busy.clear()
        for slot in list(self._slots.values()):
            self._end(slot)
