"""``nasgan report``, ``watch`` and ``publish``: what many runs say, for others to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasgan.cli.console import say
from nasgan.cli.key_values import roots_of, run_reading, settings_of
from nasgan.errors import ConfigError

__all__ = ["run"]


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.key_values.run_reading`."""
    return run_reading(verb, _WORK[verb], arguments)


def _report(config: dict[str, Any]) -> int:
    from nasgan.report.page import build_report, build_table_report

    out = Path(config["out"])
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"out={out}: the report is an .html file")
    if config["table"] is not None:
        _refuse_runs(config)
        build_table_report(roots_of(config["table"])).write(out)
        say(f"report  {out}")
        return 0
    roots = roots_of(config["runs"])
    report = build_report(roots, protocol=config["protocol"], rank_by=config["rank_by"])
    report.write(out)
    size = out.stat().st_size / 1e6
    say(f"{report.num_runs} runs, {size:.1f} MB; it opens offline in any browser", f"report  {out}")
    return 0


def _refuse_runs(config: dict[str, Any]) -> None:
    """A page is about tables or about runs."""
    usual = settings_of("report")
    for name in ("runs", "protocol", "rank_by"):
        if config[name] != usual[name]:
            raise ConfigError(
                f"table= makes a page about tables alone; leave out {name}=, or make another page"
            )


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


_WORK: Mapping[str, Callable[[dict[str, Any]], int]] = {
    "report": _report,
    "watch": _watch,
    "publish": _publish,
}
