"""``nasgan search``, ``tabulate``, ``evaluate`` and ``sample``: verbs that compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nasgan.cli.console import say, table
from nasgan.cli.hydra_app import run_app
from nasgan.cli.hydra_job import Bound, Work

__all__ = ["run"]


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.hydra_app.run_app`."""
    return run_app(verb, _WORK[verb], arguments)


def _search(config: dict[str, Any]) -> Bound:
    from nasgan.engine import bind, run

    return partial(run, bind(config))


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
    "tabulate": _tabulate,
    "evaluate": _evaluate,
    "sample": _sample,
}
