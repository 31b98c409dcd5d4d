"""``nasgan search``, ``train``, ``tabulate``, ``evaluate`` and ``sample``: verbs that compute."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nasgan.cli.console import say, table
from nasgan.cli.hydra_app import run_app
from nasgan.cli.hydra_job import Bound, Work
from nasgan.errors import ConfigError

__all__ = ["run"]


# A variable that only its processes have.
_TORCHRUN = "TORCHELASTIC_RUN_ID"
_DEVICES = "trainer.devices="


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.hydra_app.run_app`.

    Of the processes that torchrun starts for a training the first runs it, and the others follow.
    """
    if verb != "train" or _TORCHRUN not in os.environ:
        return run_app(verb, _WORK[verb], arguments)
    from nasgan.engine.follower import follow
    from nasgan.engine.replicas import joined

    with joined() as replicas:
        if replicas.rank == 0:
            return run_app(verb, _train, _on_devices(arguments, replicas.count))
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


def _search(config: dict[str, Any]) -> Bound:
    from nasgan.engine import bind, run

    return partial(run, bind(config))


def _train(config: dict[str, Any]) -> Bound:
    from nasgan.engine import bind, run
    from nasgan.factory import load_architecture

    parts = bind(config)
    if isinstance(config["architecture"], str):
        load_architecture(config["architecture"])  # a name that is misspelt leaves no folder
    return partial(run, parts)


def _tabulate(config: dict[str, Any]) -> Bound:
    def tabulate(_: Path) -> int:
        from nasgan.engine.tabulate import tabulate

        table = tabulate(config)
        say(*table.summary_lines)
        return int(bool(table.left))

    return tabulate


def _evaluate(config: dict[str, Any]) -> Bound:
    def evaluate(_: Path) -> int:
        from nasgan.engine import evaluate_run
        from nasgan.metrics.protocol import display_name

        result = evaluate_run(config)
        protocol = str(result["protocol"])
        if result["remark"]:
            say(f"note   {result['remark']}")
        scores = result["metrics"].items()
        say(f"protocol {protocol}, latents of seed {result['seed']}")
        rows = [(display_name(name, protocol), f"{value:.6g}") for name, value in scores]
        for name, values in result["per_class"].items():
            label = display_name(name, protocol)
            rows += [(f"{label}, class {k}", f"{value:.6g}") for k, value in enumerate(values)]
        say(*table(rows))
        return 0

    return evaluate


def _sample(config: dict[str, Any]) -> Bound:
    def sample(_: Path) -> int:
        from nasgan.engine import sample_run

        say(f"images: {sample_run(config)}")
        return 0

    return sample


_WORK: Mapping[str, Work] = {
    "search": _search,
    "train": _train,
    "tabulate": _tabulate,
    "evaluate": _evaluate,
    "sample": _sample,
}
