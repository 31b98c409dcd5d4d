"""``nasgan evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nasgan.cli.console import say, table
from nasgan.cli.hydra_app import run_app
from nasgan.cli.hydra_job import Bound

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.hydra_app.run_app`."""
    return run_app("evaluate", _bound, arguments)


def _bound(config: dict[str, Any]) -> Bound:
    return partial(_evaluate, config)


def _evaluate(config: dict[str, Any], _: Path) -> int:
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
