"""``nasgan publish``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nasgan.cli.console import say
from nasgan.cli.folders import roots_of
from nasgan.cli.key_values import run_reading

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.key_values.run_reading`."""
    return run_reading("publish", _publish, arguments)


def _publish(config: dict[str, Any]) -> int:
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
