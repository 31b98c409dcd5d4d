"""That this file is here puts its folder on the path: helpers beside it serve all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

# Before torch is imported. Tests run side by side, each in one thread; the threads of those that
# ask for several sleep while they wait. Where threads are more than cores and wait in a loop,
# small networks take fifty times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A suite that a shell has begun in the background ignores Ctrl-C, and so would what it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# What is killed here is a process, never the machine: a tenth of the time was waiting for disks.
os.fsync = lambda _: None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: no process waits at the end for another's long one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache for the time of the tests: what is fitted is fitted anew, and once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
