"""Processes that work side by side, each made anew when it breaks."""

from __future__ import annotations

import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from types import TracebackType
from typing import Any, TypeVar

from nasgan.machine import follow_parent

__all__ = ["Slots"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_START_SECONDS = 60.0


def _begin() -> None:
    follow_parent()
    # Warnings of libraries are not for users, and this process has no log to put them in.
    logging.captureWarnings(True)


class _Slot:
    """A pool of one process: a pool of several dies as a whole with any of them."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin)
        # The process tells its number itself, before its first piece of work.
        self._pid: Future[int] = self._pool.submit(os.getpid)

    def submit(self, work: Callable[..., ResultT], *arguments: Any) -> Future[ResultT]:
        return self._pool.submit(work, *arguments)

    def end(self) -> None:
        """End the process with all that it has started, whatever it is doing."""
        with suppress(BrokenProcessPool, TimeoutError, ProcessLookupError):
            os.killpg(self._pid.result(_START_SECONDS), signal.SIGKILL)
        self._pool.shutdown(wait=True, cancel_futures=True)


class Slots:
    """So many processes for pieces of work; a context manager, at whose end they are ended.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._slots: list[_Slot] = []

    def __enter__(self) -> Slots:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for slot in self._slots:
            slot.end()
        self._slots.clear()

    def run(
        self, work: Callable[[int, ItemT], ResultT], items: deque[ItemT]
    ) -> Iterator[tuple[ItemT, Future[ResultT]]]:
        """Do ``work(number of the slot, item)`` for all items; the future of each when it is done.

        A future of a process that ended holds a `BrokenProcessPool`. Append to ``items`` to have
        more done, or one again.

        Args:
            work: a function of a module.
            items: taken from the left.
        """
        busy: dict[Future[ResultT], tuple[int, ItemT]] = {}
        free = list(range(self._count))
        while items or busy:
            while items and free:
                number, item = free.pop(0), items.popleft()
                busy[self._slot(number).submit(work, number, item)] = number, item
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                number, item = busy.pop(future)
                # Whatever broke it: to use a pool again that may just be breaking is a race.
                if isinstance(future.exception(), BrokenProcessPool):
                    self._slots[number].end()
                    self._slots[number] = _Slot()
                free.append(number)
                yield item, future

    def _slot(self, number: int) -> _Slot:
        while len(self._slots) <= number:
            self._slots.append(_Slot())
        return self._slots[number]
