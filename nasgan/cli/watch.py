"""``nasgan watch``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nasgan.cli.console import say
from nasgan.cli.folders import roots_of
from nasgan.cli.key_values import run_reading

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.key_values.run_reading`."""
    return run_reading("watch", _watch, arguments)


def _watch(config: dict[str, Any]) -> int:
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
