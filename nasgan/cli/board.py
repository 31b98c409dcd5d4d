"""A leaderboard in the terminal: what decides, in at most 100 columns; the rest is in the files."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from nasgan.cli.console import heading, table
from nasgan.leaderboard.amounts import duration, interval_text, short_number
from nasgan.leaderboard.columns import text_of, title_of, value_text
from nasgan.leaderboard.rows import AVERAGE_RANDOM, Row, has_regret, metric_names
from nasgan.leaderboard.selection import selection_text
from nasgan.leaderboard.tables import is_companion, metric_title

if TYPE_CHECKING:
    from nasgan.leaderboard.leaderboard import Leaderboard
    from nasgan.leaderboard.ranks import Comparison

__all__ = ["board_lines", "note_lines", "ranks_lines"]

_WIDTH = 100
_LEAST_NAME = 12

Cells = Mapping[str, Callable[[Row], str]]
"""By header what fills the cells of a column."""


def board_lines(board: Leaderboard) -> list[str]:
    """A table for each task or group, and one of the papers' numbers."""
    if not board.rows:
        return ["No runs."]
    title = metric_title(board.ranked_by, board.protocol)
    shown = [name for name in metric_names(board.rows) if not is_companion(name)]
    others = ", ".join(name for name in shown if name != board.ranked_by)
    lines = _wrapped(
        f"Protocol {board.protocol}, ranked by {title} within each task: mean ± standard deviation "
        f"over seeds (95 % interval).{f' Also in the files: {others}.' if others else ''}"
    )
    if board.selection:
        lines += _wrapped(f"Only runs of the selection {selection_text(board.selection)}.")
    for name, rows in board.sections():
        columns = _columns(rows, board.ranked_by, title)
        lines += ["", *map(heading, _wrapped(name)), *_table(rows, columns), *_row_notes(rows)]
    if board.published:
        lines += ["", heading("Papers, each under a protocol of its own (sources in the files)")]
        lines += _table(board.published, _paper_columns(board.ranked_by, title))
    return [*lines, ""]


def ranks_lines(found: Comparison) -> list[str]:
    """The average ranks of strategies over tasks, and which pairs differ."""
    count = len(found.tasks)
    rows = [("average rank", "strategy", "95 % interval", "best in tasks")]
    rows += [
        (
            short_number(rank.average_rank),
            _strategy(rank.strategy),
            interval_text(rank.ci_low, rank.ci_high),
            str(rank.n_best),
        )
        for rank in found.ranks
    ]
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


def _columns(rows: Sequence[Row], metric: str, title: str) -> Cells:
    """The columns that these rows need: what all share stands in the heading above."""
    names = ["strategy"]
    names += ["architecture"] if any(row["architecture"] for row in rows) else []
    names += [
        name
        for name in ("search_space", "dataset")
        if len({text_of(row, name) for row in rows}) > 1
    ]
    if max(Counter(tuple(text_of(row, name) for name in names) for row in rows).values()) > 1:
        names.append("config_hash")
    found = {title_of(name).lower(): partial(_text, name=name) for name in ("rank", *names)}
    found[title] = partial(_score, metric=metric)
    if has_regret(rows):
        found[title_of("regret").lower()] = partial(text_of, name="regret")
    found |= {title_of(name).lower(): partial(_text, name=name) for name in ("n_seeds", "n_failed")}
    if any("search_generator_steps" in row for row in rows):
        found[title_of("search_generator_steps").lower()] = partial(_search_cost)
    return found


def _score(row: Row, metric: str) -> str:
    return value_text(row, metric) or "-"


def _text(row: Row, name: str) -> str:
    text = text_of(row, name)
    return _strategy(text) if name == "strategy" else text or "-" * (name == "rank")


def _paper_columns(metric: str, title: str) -> Cells:
    return {
        "method": lambda row: row["strategy"].removeprefix("published: "),
        "dataset": lambda row: row["dataset"],
        title: partial(_score, metric=metric),
    }


def _table(rows: Sequence[Row], columns: Cells) -> list[str]:
    """An aligned table; its names are shortened where it would be too wide."""
    texts = [list(columns), *([_line(cell(row)) for cell in columns.values()] for row in rows)]
    for name in ("architecture", "strategy", "method", "search space", "dataset"):
        over = max(len(line.rstrip()) for line in table(texts)) - _WIDTH
        if over > 0 and name in columns:
            k = list(columns).index(name)
            limit = max(_LEAST_NAME, max(len(line[k]) for line in texts) - over)
            for line in texts:
                line[k] = line[k] if len(line[k]) <= limit else f"{line[k][: limit - 3]}..."
    return table(texts)


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


def _line(text: str) -> str:
    """``text`` without line breaks: a record of others may hold any."""
    return " ".join(text.split())


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=2 * indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
