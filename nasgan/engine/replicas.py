"""The processes of one training on several devices: how they start and meet.

``torchrun -m nasgan train ...`` starts them all; with ``trainer.devices=N`` alone, the process of
the run starts the others.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import Store, TCPStore

from nasgan.errors import ConfigError, ReplicaLostError
from nasgan.machine import usable_cores
from nasgan.training.replicas import Replicas

__all__ = ["HOST", "STEP", "check_devices", "joined", "joined_at", "presence", "training_replicas"]

HOST = "127.0.0.1"
#: Nobody waits longer for the others within a step.
STEP = timedelta(minutes=10)
# The others wait for an order while the first one scores.
_ORDER = timedelta(days=7)
_END_SECONDS = 60

#: Those that torchrun has started, while they run.
_launched: list[Replicas] = []


def check_devices(count: int, device: torch.device) -> None:
    """Refuse a training on more devices than there are.

    Raises:
        ConfigError: so many are not here.
    """
    here = int(os.environ.get("LOCAL_WORLD_SIZE", count)) if _launched else count
    if device.type == "cuda":
        there = torch.cuda.device_count() - (device.index or 0)
        what = f"torch sees {there} CUDA devices here"
        if device.index:
            what += f" from device={device} on"
    else:
        there = usable_cores()
        what = f"this process may use {there} cores, and on a CPU each of them is a device"
    if here > there:
        raise ConfigError(f"trainer.devices={count}: {what}; take at most {max(there, 1)}")


@contextmanager
def training_replicas(config: Mapping[str, Any], device: torch.device) -> Iterator[Replicas]:
    """Around a run on several devices: the processes of its training, of which this one leads.

    Args:
        config: of the run, settled.
        device: of this process.

    Raises:
        ReplicaLostError: one of them has ended.
    """
    count = config["trainer"]["devices"]
    switches = {
        "threads": config["threads"],
        "deterministic": config.get("deterministic", True),
        "trainer": {"compile": config["trainer"]["compile"]},
    }
    with _leading(count) as replicas:
        replicas.tell("device", (switches, device.type, device.index or 0))
        yield replicas


@contextmanager
def _leading(count: int) -> Iterator[Replicas]:
    if _launched:
        yield _launched[-1]
        return
    store = TCPStore(HOST, 0, count, is_master=True, wait_for_workers=False, timeout=STEP)
    others: list[subprocess.Popen[bytes]] = []
    try:
        # One by one: those that started are in it where another one cannot.
        others.extend(_start(rank, count, store.port) for rank in range(1, count))
        _await(store, others)
        with joined_at(0, count, store) as replicas:
            yield replicas
            replicas.tell("end")
            for other in others:
                other.wait(_END_SECONDS)
    finally:
        for other in others:
            other.kill()
            other.wait()


def _start(rank: int, count: int, port: int) -> subprocess.Popen[bytes]:
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
    variables = {**os.environ, **{name: str(value) for name, value in names.items()}}
    command = [sys.executable, "-m", "nasgan.engine.follower"]
    return subprocess.Popen(  # noqa: S603 - this interpreter, a module of ours
        command, env=variables, stdin=subprocess.DEVNULL
    )


def _await(store: TCPStore, others: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until all are there.

    Raises:
        ReplicaLostError: one has ended.
    """
    keys = [presence(rank) for rank in range(1, len(others) + 1)]
    while not store.check(keys):
        for rank, other in enumerate(others, 1):
            if other.poll() is not None:
                raise ReplicaLostError(
                    f"the process of device {rank} ended before the training began, with the exit "
                    f"code {other.returncode}; what it said stands above"
                )
        time.sleep(0.02)


def presence(rank: int) -> str:
    """What a process sets in the store when it is there."""
    return f"nasgan/here/{rank}"


@contextmanager
def joined_at(rank: int, count: int, store: Store | None) -> Iterator[Replicas]:
    """The group of ``count`` processes that meet at ``store``; None: where torchrun says."""
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    where: dict[str, Any] = {"init_method": "env://"} if store is None else {"store": store}
    dist.init_process_group(backend, rank=rank, world_size=count, timeout=STEP, **where)
    try:
        orders = dist.new_group(backend="gloo", timeout=_ORDER)
        assert isinstance(orders, dist.ProcessGroup)
        yield Replicas(rank, count, orders)
    finally:
        dist.destroy_process_group()


@contextmanager
def joined() -> Iterator[Replicas]:
    """The processes that torchrun has started, this one among them."""
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    with joined_at(rank, count, None) as replicas:
        _launched.append(replicas)
        try:
            yield replicas
            replicas.tell("end")
        finally:
            _launched.remove(replicas)
