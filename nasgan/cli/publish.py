"""``nasgan publish``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nasgan.cli.console import say
from nasgan.cli.folders import roots_of, with_lists
from nasgan.cli.hydra_app import run_app
from nasgan.cli.hydra_job import Bound

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.hydra_app.run_app`."""
    return run_app("publish", _bound, with_lists(arguments))


def _bound(config: dict[str, Any]) -> Bound:
    return partial(_publish, config)


def _publish(config: dict[str, Any], _: Path) -> int:
    from nasgan.publishing.bundle import publish

    bundle = publish(
        roots_of(config["runs"]),
        config["to"],
        title=config["title"],
        protocol=config["protocol"],
        rank_by=config["rank_by"],
        where=config["where"],
    )
    say(*(f"note: {remark}" for remark in bundle.remarks))
    say(
        f"{bundle.num_runs} runs in {len(bundle.board.rows)} rows",
        f"bundle  {bundle.folder}",
        f"digest  {bundle.digest}",
        f"verify  nasgan leaderboard verify {bundle.folder}",
    )
    return 0
