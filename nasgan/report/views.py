"""What the page's templates are handed, all as plain values; names and amounts for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

from markupsafe import Markup

from nasgan.errors import NasganError
from nasgan.leaderboard.columns import metric_title
from nasgan.leaderboard.rows import Row, Task
from nasgan.leaderboard.texts import shown
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.table import METRICS

__all__ = [
    "ARROWS",
    "UNIT_WORDS",
    "Cell",
    "Figure",
    "Tab",
    "Table",
    "Value",
    "axis_label",
    "direction_of",
    "fidelity_words",
    "images_scored",
    "interval_words",
    "number_cell",
    "row_labels",
    "series_of",
    "short_commit",
    "task_labels",
]


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what is shown.
        value: what it is sorted by; None for its text, or at the end where the text is empty.
        note: small print below it.
        mark: a class of the style sheet.
    """

    text: str
    value: float | None = None
    note: str = ""
    mark: str = ""


Value: TypeAlias = "Cell | str | float | None"
"""What a table is handed for a cell: a text, a number that is shown in short, or None for none."""


def number_cell(value: float | None, digits: int = 3, note: str = "") -> Cell:
    """A number with so many digits; empty if there is none."""
    return Cell("") if value is None else Cell(shown(value, digits), value, note)


def interval_words(low: float | None, high: float | None) -> str:
    """The ends of an interval; empty without one."""
    return "" if low is None or high is None else f"{shown(low)} to {shown(high)}"


def _cell(value: Value) -> Cell:
    if isinstance(value, Cell):
        return value
    if isinstance(value, str):
        return Cell(value)
    return Cell(str(value), value) if isinstance(value, int) else number_cell(value)


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows.

    Attributes:
        caption: what it is.
        headers: of the columns.
        rows: each as long as the headers.
        numeric: the columns of numbers, by index.
        filters: the columns to choose values of, by index.
        foot: rows for comparison that are never sorted or filtered.
        headings: for each row what stands above it and its neighbours of the same; empty for no
            groups. Rows are sorted within their group.
    """

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numeric: frozenset[int] = frozenset()
    filters: Sequence[int] = ()
    foot: Sequence[Sequence[Cell]] = ()
    headings: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        caption: str,
        headers: Sequence[str],
        rows: Iterable[Sequence[Value]],
        numeric: Iterable[int] = (),
        **others: Any,
    ) -> Table:
        """The same of cells or of what is in them."""
        cells = [[_cell(value) for value in row] for row in rows]
        return cls(caption, headers, cells, frozenset(numeric), **others)

    @property
    def groups(self) -> list[tuple[str, list[Sequence[Cell]]]]:
        """The rows by heading; all of them below an empty one where there are no groups."""
        headings = self.headings or [""] * len(self.rows)
        pairs = groupby(zip(headings, self.rows, strict=True), key=itemgetter(0))
        return [(heading, [row for _, row in found]) for heading, found in pairs]

    def values(self, column: int) -> list[str]:
        """The distinct texts of a column, sorted."""
        return sorted({row[column].text for row in self.rows})


@dataclass(frozen=True)
class Figure:
    """A picture with its title.

    Attributes:
        title: above it.
        picture: an SVG that describes itself.
        note: below it.
        table: its numbers, for those who do not see it.
    """

    title: str
    picture: Markup
    note: str = ""
    table: Table | None = None


@dataclass(frozen=True)
class Tab:
    """One of several views of the same.

    Attributes:
        title: on the tab.
        figures: behind it.
    """

    title: str
    figures: Sequence[Figure]


# Names and amounts as a person reads them

UNIT_WORDS: Mapping[str, str] = {
    "device_seconds": "device seconds",
    "generator_steps": "generator steps",
    "images": "images",
    "architectures": "architectures",
}

ARROWS: Mapping[str, str] = {"min": " ↓", "max": " ↑"}
"""Where better lies, by direction."""

_FIDELITIES: Mapping[str, str] = {
    "shared": "with shared weights",
    "scratch": "after a short training from scratch",
    "table": "from a table",
}


def fidelity_words(fidelity: str) -> str:
    """How a search took its scores."""
    return _FIDELITIES.get(fidelity, fidelity)


def axis_label(metric: str, protocol: str) -> str:
    """The same with an arrow to where better lies."""
    arrow = ARROWS.get(direction_of(metric), "")
    return metric_title(metric, protocol) + arrow


def images_scored(protocol: str) -> int | None:
    """How many generated images a score under the protocol is of; None if its id is not known."""
    try:
        return Protocol.parse(protocol).num_images
    except NasganError:
        return None


def direction_of(metric: str, otherwise: str = "") -> str:
    """``"min"`` or ``"max"``, or ``otherwise`` for a metric that is not known."""
    return METRICS[metric].direction if metric in METRICS else otherwise


def series_of(row: Row) -> str:
    """What gets a colour of its own: a strategy, or a trained architecture."""
    return f"train {row['architecture']}" if row["strategy"] == "train" else row["strategy"]


def row_labels(rows: Sequence[Row]) -> list[str]:
    """A name for each row, no two alike: those of equal names get their configuration's hash."""
    return _unlike(rows, [(f"{series_of(row)} · {Task.of(row).space}",) for row in rows])


def task_labels(rows: Sequence[Row]) -> list[str]:
    """A name for each row, unlike those of its own task."""
    return _unlike(rows, [(series_of(row), Task.of(row)) for row in rows])


def _unlike(rows: Sequence[Row], names: Sequence[tuple[Any, ...]]) -> list[str]:
    """The first of each of ``names``, with a hash where they are equal."""
    counts = Counter(names)
    return [
        name[0] if counts[name] == 1 else f"{name[0]} #{row['config_hash'][:6]}"
        for name, row in zip(names, rows, strict=True)
    ]


def short_commit(commit: str) -> str:
    """The first digits of a commit, and whether there were changes beside it."""
    name, plus, dirty = commit.partition("+")
    return name[:10] + plus + dirty
