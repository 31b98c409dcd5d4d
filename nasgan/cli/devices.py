"""Which device a job of a sweep runs on, when several jobs run at once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nasgan.errors import RunDirectoryError
from nasgan.runs.locking import RunLock

__all__ = ["share_of_devices"]


@contextmanager
def share_of_devices(
    number: int, folder: Path, count: Callable[[], int] | None = None
) -> Iterator[str]:
    """A CUDA device for a job of a sweep, its own while no more jobs run than there are devices.

    The search for a free one starts at ``number`` modulo the number of devices; if all are taken,
    that one is shared. Where a queue gives each job its device, the job sees that one alone.

    Args:
        number: the job's, from 0.
        folder: of the sweep, seen by all its jobs: holds which devices are taken.
        count: gives the number of devices; by default torch's.

    Yields:
        ``"cuda:N"``; nothing where there is no choice, with one device or none.
    """
    devices = (count or _cuda_devices)()
    if devices < 2:
        yield ""
        return
    first = number % devices
    with ExitStack() as held:
        for index in (*range(first, devices), *range(first)):
            try:
                held.enter_context(RunLock(folder / f"{socket.gethostname()}-cuda{index}"))
            except RunDirectoryError:
                continue
            yield f"cuda:{index}"
            return
        yield f"cuda:{first}"


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count()
