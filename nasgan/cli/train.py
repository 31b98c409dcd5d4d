"""``nasgan train``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from nasgan.cli.hydra_app import run_app
from nasgan.cli.hydra_job import Bound
from nasgan.errors import ConfigError

__all__ = ["run"]

# A variable that only its processes have.
_TORCHRUN = "TORCHELASTIC_RUN_ID"
_DEVICES = "trainer.devices="


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.hydra_app.run_app`.

    Of the processes that torchrun starts the first runs it, and the others follow.
    """
    if _TORCHRUN not in os.environ:
        return run_app("train", _train, arguments)
    from nasgan.engine.follower import follow
    from nasgan.engine.replicas import joined

    with joined() as replicas:
        if replicas.rank == 0:
            return run_app("train", _train, _on_devices(arguments, replicas.count))
        follow(replicas)
    return 0


def _on_devices(arguments: Sequence[str], count: int) -> list[str]:
    """``arguments`` with the number of processes that torchrun has started.

    Raises:
        ConfigError: they ask for another number.
    """
    wanted = f"{_DEVICES}{count}"
    for argument in arguments:
        if argument.startswith(_DEVICES) and argument != wanted:
            raise ConfigError(
                f"torchrun has started {count} processes, but {argument} asks for others; leave "
                f"{_DEVICES}N out"
            )
    return [*(a for a in arguments if a != wanted), wanted]


def _train(config: dict[str, Any]) -> Bound:
    from nasgan.engine import bind, run
    from nasgan.factory import load_architecture

    parts = bind(config)
    if isinstance(config["architecture"], str):
        load_architecture(config["architecture"])  # a name that is misspelt leaves no folder
    return partial(run, parts)
