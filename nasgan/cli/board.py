"""A leaderboard in the terminal: what decides, in at most 100 columns; the rest is in the files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nasgan.cli.console import heading, table
from nasgan.leaderboard.finding import selection_text
from nasgan.leaderboard.rows import AVERAGE_RANDOM, FROM_RECORDS, Row, have, metric_names
from nasgan.leaderboard.texts import duration

if TYPE_CHECKING:
    from nasgan.leaderboard.leaderboard import Leaderboard
    from nasgan.leaderboard.ranks import Comparison

__all__ = ["board_lines", "note_lines", "ranks_lines"]

_WIDTH = 100
_LEAST_NAME = 12


def board_lines(board: Leaderboard) -> list[str]:
    """A table for each task or group, and one of the papers' numbers."""
    if not board.rows:
        return ["No runs."]
    title = board.ranking_title
    shown = metric_names(board.rows, spreads=False)
    others = ", ".join(name for name in shown if name != board.ranked_by)
    lines = _wrapped(
        f"Protocol {board.protocol}, ranked by {title} within each task: mean ± standard deviation "
        f"over seeds (95 % interval).{f' Also in the files: {others}.' if others else ''}"
    )
    if board.selection:
        lines += _wrapped(f"Only runs of the selection {selection_text(board.selection)}.")
    for name, rows in board.sections():
        lines += ["", *map(heading, _wrapped(name)), *_table(board, rows), *_row_notes(rows)]
    if board.published:
        lines += ["", heading("Papers, each under a protocol of its own (sources in the files)")]
        lines += _table(board, board.published, papers=True)
    return [*lines, ""]


def ranks_lines(found: Comparison) -> list[str]:
    """The average ranks of strategies over tasks, and which pairs differ."""
    count = len(found.tasks)
    rows = [("average rank", "strategy", "95 % interval", "best in tasks")]
    for rank in found.ranks:
        average, interval, best = rank.texts
        rows.append((average, _strategy(rank.strategy), interval, best))
    differing = [
        f"{_strategy(pair.first)} and {_strategy(pair.second)} (p = {pair.p_holm:.3g})"
        for pair in found.differing
    ]
    none = f"no pair (with {count} tasks no p can be below {found.least_p_holm:.3g})"
    pairs = ", ".join(differing) if differing else none
    return [
        heading(f"Average ranks over {count} tasks, by {found.metric}"),
        *table(rows),
        *_wrapped(f"Different at the 5 % level, signed-rank tests after Holm: {pairs}.", "  "),
        "",
    ]


def note_lines(problems: Iterable[object]) -> list[str]:
    """What to know about the runs, each once; empty if there is nothing."""
    texts = dict.fromkeys(map(str, problems))
    if not texts:
        return []
    return [heading("Notes"), *(line for text in texts for line in _wrapped(text, "  ")), ""]


def _names(board: Leaderboard, rows: Sequence[Row]) -> list[str]:
    """The columns that these rows need: what all share stands in the heading above."""
    known = board.columns
    names = ["strategy"]
    names += ["architecture"] if any(row["architecture"] for row in rows) else []
    several = ("search_space", "dataset")
    names += [name for name in several if len({known[name].of(row) for row in rows}) > 1]
    if len({tuple(known[name].of(row) for name in names) for row in rows}) < len(rows):
        names.append("config_hash")
    names = [
        "rank",
        *names,
        f"{board.ranked_by}_mean",
        *(["regret"] if have(rows, "regret") else []),
    ]
    cost = "search_generator_steps"
    return [*names, "n_seeds", "n_failed", *([cost] if have(rows, cost) else [])]


def _table(board: Leaderboard, rows: Sequence[Row], *, papers: bool = False) -> list[str]:
    """An aligned table; its names are shortened where it would be too wide."""
    score = f"{board.ranked_by}_mean"
    names = ["strategy", "dataset", score] if papers else _names(board, rows)
    titles = {name: board.columns[name].title.lower() for name in names if name != score}
    titles |= {"strategy": "method"} if papers else {}
    header = [titles.get(name, board.ranking_title) for name in names]
    texts = [header, *([_cell(board, row, name) for name in names] for row in rows)]
    for name in ("architecture", "strategy", "search_space", "dataset"):
        over = max(len(line.rstrip()) for line in table(texts)) - _WIDTH
        if over > 0 and name in names:
            k = names.index(name)
            limit = max(_LEAST_NAME, max(len(line[k]) for line in texts) - over)
            for line in texts:
                line[k] = line[k] if len(line[k]) <= limit else f"{line[k][: limit - 3]}..."
    return table(texts)


def _cell(board: Leaderboard, row: Row, name: str) -> str:
    column = board.columns.get(name)  # there is none of a metric that no row has
    text = "" if column is None else column.of(row)
    if name == "strategy":
        is_paper = row["source"] != FROM_RECORDS
        text = text.removeprefix("published: ") if is_paper else _strategy(text)
    elif name == "search_generator_steps":
        text = _search_cost(row)
    elif name in ("rank", f"{board.ranked_by}_mean"):
        text = text or "-"
    return " ".join(text.split())  # a record of others may hold line breaks


def _row_notes(rows: Sequence[Row]) -> list[str]:
    """Each note once, with the rows it is about."""
    about: dict[str, list[str]] = {}
    for row in rows:
        for note in row["note"]:
            name = " ".join(
                part for part in (_strategy(row["strategy"]), row["architecture"]) if part
            )
            about.setdefault(note, []).append(name)
    lines = []
    for note, names in about.items():
        whom = "all rows" if len(names) == len(rows) > 1 else ", ".join(dict.fromkeys(names))
        lines += _wrapped(f"{whom}: {note}", "  ")
    return lines


def _strategy(name: str) -> str:
    return "average random" if name == AVERAGE_RANDOM else name


def _search_cost(row: Row) -> str:
    steps, seconds = (row.get(f"search_{unit}") for unit in ("generator_steps", "device_seconds"))
    parts = [] if steps is None else [f"{steps:.0f}"]
    return " in ".join([*parts, duration(seconds)] if seconds is not None else parts)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=2 * indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
