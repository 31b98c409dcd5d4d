"""What this process may use of the machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import connection

__all__ = ["follow_parent", "usable_cores"]


def usable_cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def follow_parent() -> None:
    """Let this process end with the process that started it by `multiprocessing`, however it ends.

    This process leads a group of its own from now on, which is killed with it: what it has started
    does not live on either. Ctrl-C is left to the parent.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        connection.wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
