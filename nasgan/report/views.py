"""What the page's templates are handed: figures, tables and keys, all as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

from markupsafe import Markup

from nasgan.leaderboard.amounts import shown

__all__ = ["Cell", "Figure", "Key", "Tab", "Table", "Value", "interval_words", "number_cell"]


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
class Key:
    """What a style stands for.

    Attributes:
        sample: a small picture of it.
        name: what it stands for.
    """

    sample: Markup
    name: str


@dataclass(frozen=True)
class Tab:
    """One of several views of the same.

    Attributes:
        title: on the tab.
        figures: behind it.
        note: below them.
    """

    title: str
    figures: Sequence[Figure] = field(default_factory=tuple)
    note: str = ""
