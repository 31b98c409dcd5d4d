"""A process of a training on several devices that follows the one that leads."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack, suppress

import torch
from torch._C._distributed_c10d import TCPStore

from nasgan.engine.device import prepared_torch
from nasgan.engine.replicas import HOST, STEP, joined_at, presence
from nasgan.errors import NasganError, ReplicaLostError, TrainingDiverged
from nasgan.training import AdversarialTrainer
from nasgan.training.replicas import Replicas

__all__ = ["follow"]


def follow(replicas: Replicas) -> None:
    """Do what the process that leads does, step by step, until it says that this is the end.

    Raises:
        ReplicaLostError: another process has ended.
    """
    # Ctrl-C reaches all processes of a terminal: the one that leads says what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    device = torch.device("cpu")
    trainer: AdversarialTrainer | None = None
    with ExitStack() as prepared:
        while True:
            order, given = replicas.heard()
            if order == "end":
                return
            if order == "device":
                switches, kind, first = given
                if kind == "cuda":
                    device = torch.device("cuda", first + int(os.environ["LOCAL_RANK"]))
                prepared.enter_context(prepared_torch(switches, device))
            elif order == "build":
                trainer = AdversarialTrainer(**given, device=device, replicas=replicas)
            elif order == "state":
                assert trainer is not None
                trainer.load_state_dict(given)
            else:
                assert trainer is not None
                # All see the same losses: the one that leads ends the training.
                with suppress(TrainingDiverged):
                    trainer.iteration()


def _main() -> int:
    """A process that `nasgan.engine.replicas.training_replicas` has started."""
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = TCPStore(HOST, int(os.environ["MASTER_PORT"]), count, timeout=STEP)
    store.set(presence(rank), "")
    try:
        with joined_at(rank, count, store) as replicas:
            follow(replicas)
    except ReplicaLostError:
        return 1
    except NasganError as error:
        sys.stderr.write(f"nasgan: device {rank}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
