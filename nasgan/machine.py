"""What this process may use of the machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from pathlib import Path

__all__ = [
    "available_memory",
    "cpu_quota",
    "ending_signal",
    "follow_parent",
    "interrupted_by_sigterm",
    "load",
    "usable_cores",
]


def usable_cores() -> int:
    """Cores that this process may use: by its affinity, and by the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The least quota of cores of the control groups that this process is in; None without one.

    Args:
        root: of the file system.

    Source: Linux kernel documentation, "Control Group v2" (``cpu.max``) and "CFS Bandwidth Control"
        (``cpu.cfs_quota_us``).
    """
    with suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        return min(_quotas(lines, root / "sys/fs/cgroup"), default=None)
    return None


def _quotas(lines: list[str], mount: Path) -> Iterator[float]:
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Controllers of the first version that are mounted together have one folder.
        tops = {mount / "cpu", mount / controllers} if controllers else {mount}
        # Limits of the groups above hold too; a container sees its own group as the top.
        inner = Path(place.lstrip("/"))
        for folder in (top / above for top in tops for above in (inner, *inner.parents, Path())):
            with suppress(OSError, ValueError):
                yield _quota(folder, first=bool(controllers))


def _quota(folder: Path, *, first: bool) -> float:
    """Cores that the group of ``folder`` may use; of the first or second version of groups.

    Raises:
        OSError: nothing is said there.
        ValueError: there is no limit.
    """
    if first:
        texts = [(folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
    else:
        texts = (folder / "cpu.max").read_text().split()
    quota, period = map(int, texts)
    if quota <= 0 or period <= 0:
        raise ValueError("no limit")
    return quota / period


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes of memory that this process may still take, of the machine and of its container.

    Args:
        root: of the file system.

    Returns:
        None where the system does not say.
    """
    known = []
    with suppress(OSError, ValueError, StopIteration):
        lines = (root / "proc/meminfo").read_text().splitlines()
        known.append(1024 * int(next(x for x in lines if x.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):
        group = root / "sys/fs/cgroup"
        limit = int((group / "memory.max").read_text())
        known.append(limit - int((group / "memory.current").read_text()))
    return min(known, default=None)


def load() -> float:
    """Processes that want a core of this machine, on the average of the last minute."""
    return os.getloadavg()[0]


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """End the block as by Ctrl-C when a scheduler asks to, unless SIGTERM means something else."""
    own = signal.SIG_DFL
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not own:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, own)


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


def ending_signal(number: int) -> str:
    """The name of the signal that has ended a process, and what it may mean."""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"{name} (out of memory?)" if number == signal.SIGKILL else name
