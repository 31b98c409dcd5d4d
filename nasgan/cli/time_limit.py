"""An end for code of others that does not come to one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["TookTooLongError", "time_limit"]

_AGAIN_SECONDS = 1.0


class TookTooLongError(BaseException):
    """The time is over; no `Exception`, which what has hung might catch."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop what takes longer, by a signal; a thread other than the main one has no limit.

    Raises:
        TookTooLongError: within what has taken too long, and again each second until it ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLongError(f"it has not ended within {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
