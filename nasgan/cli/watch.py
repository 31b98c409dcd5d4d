"""``nasgan watch``."""

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
    return run_app("watch", _bound, with_lists(arguments))


def _bound(config: dict[str, Any]) -> Bound:
    return partial(_watch, config)


def _watch(config: dict[str, Any], _: Path) -> int:
    from nasgan.report.live import LivePage, LiveServer

    roots = roots_of(config["runs"])
    page = LivePage(roots, protocol=config["protocol"], rank_by=config["rank_by"])
    server = LiveServer(page, host=config["host"], port=config["port"])
    say(f"{', '.join(roots)} at {server.url} (Ctrl-C ends it)")
    try:
        server.serve()
    except KeyboardInterrupt:
        say("ended")
    return 0
