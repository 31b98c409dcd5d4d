"""``nasgan leaderboard``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nasgan.cli.console import say
from nasgan.cli.hydra_app import run_app
from nasgan.errors import ConfigError

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.hydra_app.run_app`."""
    return run_app("leaderboard", _leaderboard, arguments)


def _leaderboard(config: dict[str, Any], _: Path) -> int:
    from nasgan.results.leaderboard import build_leaderboard, find_records

    out = Path(config["out"])
    if out.suffix != ".csv":
        raise ConfigError(f"out={out}: the leaderboard is a .csv file")
    runs = config["runs"]
    roots = [runs] if isinstance(runs, str) else list(runs)
    records, unreadable = find_records(roots)
    if not records:
        _show_problems(unreadable)
        raise ConfigError(
            f"no finished runs in {', '.join(roots)}; make one (nasgan search) or say where "
            "they are (runs=FOLDER)"
        )
    board = build_leaderboard(records, protocol=config["protocol"], rank_by=config["rank_by"])
    markdown = out.with_suffix(".md")
    board.write(out)
    board.write(markdown)
    say(board.to_markdown())
    _show_problems(unreadable)
    say(
        f"{len(records)} runs in {len(board.rows)} rows",
        f"CSV       {out}",
        f"Markdown  {markdown}",
    )
    return 0


def _show_problems(problems: Sequence[object]) -> None:
    if problems:
        say("Not counted:", *(f"  {problem}" for problem in problems), "")
