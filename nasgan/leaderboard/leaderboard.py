"""A finished leaderboard, as a frame and as it is written: CSV, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from nasgan import atomic
from nasgan.errors import ConfigError
from nasgan.leaderboard.columns import Cell, Column, cells_of, columns
from nasgan.leaderboard.ranks import Comparison
from nasgan.leaderboard.rows import Row, Task, has_regret, metric_names
from nasgan.leaderboard.selection import Selection, selection_text
from nasgan.leaderboard.summaries import Problem
from nasgan.leaderboard.tables import (
    comparison_markdown,
    csv_line,
    escape_markdown,
    markdown_code,
    markdown_table,
    ranks_csv,
)
from nasgan.reading import open_file

__all__ = [
    "FORMAT",
    "GROUPS",
    "SUFFIXES",
    "VERSION",
    "Leaderboard",
    "group_value",
    "is_board_markdown",
]

FORMAT = "nasgan-leaderboard"
VERSION = 1
SUFFIXES = (".csv", ".md", ".json")
GROUPS = (
    "strategy",
    "search_space",
    "num_classes",
    "conditional",
    "architecture",
    "dataset",
    "budget",
)
"""What tables can be split by."""

_BEGIN, _NO_RUNS = "Protocol ", "No runs.\n"


@dataclass(frozen=True)
class Leaderboard:
    """Ranked rows of one protocol.

    Attributes:
        protocol: its id; empty if there are no rows.
        ranked_by: the metric behind the ranks.
        rows: by task best first, those without a rank last; or by ``group_by`` first.
        problems: what a reader has to know about the records: duplicates, runs not counted.
        published: rows of the papers, each with a protocol of its own.
        comparison: of the strategies over the tasks, where there are several of both.
        selection: the filters that chose the runs.
        group_by: what the tables are split by; empty for the tasks.
    """

    protocol: str
    ranked_by: str
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()
    published: tuple[Row, ...] = ()
    comparison: Comparison | None = None
    selection: Selection = field(default_factory=dict)
    group_by: tuple[str, ...] = ()

    @property
    def all_rows(self) -> tuple[Row, ...]:
        """The rows, and below them the papers'."""
        return self.rows + self.published

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The columns of the CSV, of the rows in JSON and of `frame`, in order."""
        with_fronts = any(row["objectives"] for row in self.rows)
        return columns(
            metric_names(self.all_rows),
            with_fronts=with_fronts,
            with_regret=has_regret(self.rows),
        )

    @cached_property
    def cells(self) -> list[dict[str, Cell]]:
        """All rows as files hold them."""
        names = list(self.columns)
        shared = {"ranked_by": self.ranked_by, "selection": selection_text(self.selection)}
        return [cells_of(row, names, shared) for row in self.all_rows]

    @property
    def frame(self) -> pd.DataFrame:
        """All rows as a pandas frame."""
        cells = pd.DataFrame(self.cells, columns=list(self.columns), dtype=object)
        return cells.convert_dtypes()

    def to_csv(self) -> str:
        """The rows as CSV with a header line; numbers with ten digits, unknown ones empty."""
        return "".join(csv_line(line) for line in (self.columns, *map(dict.values, self.cells)))

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON data; the rows by the names of the CSV's columns, numbers in full."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "protocol": self.protocol,
            "ranked_by": self.ranked_by,
            "selection": {name: list(values) for name, values in self.selection.items()},
            "group_by": list(self.group_by),
            "rows": self.cells,
            "comparison": None if self.comparison is None else _plain(asdict(self.comparison)),
            "problems": [{"source": p.source, "message": p.message} for p in self.problems],
        }

    def to_markdown(self) -> str:
        """A table for each task (or group), the papers' numbers, the comparison, the problems."""
        if not self.rows:
            return _NO_RUNS
        parts = [
            f"{_BEGIN}{markdown_code(self.protocol)}, ranked by {self.ranked_by} within each "
            "task: mean ± standard deviation over seeds (95 % bootstrap interval). Rows whose "
            "interval overlaps the best one's share its rank; in brackets, the ranks that the "
            "intervals allow.\n"
        ]
        if self.selection:
            chosen = markdown_code(selection_text(self.selection))
            parts.append(f"Only runs of the selection {chosen}.\n")
        for title, rows in self.sections():
            parts += [
                f"### {escape_markdown(title)}\n",
                markdown_table(rows, self.protocol, self.ranked_by),
            ]
        if self.published:
            parts += [
                "### Published: numbers of the papers, each under a protocol of its own\n",
                markdown_table(self.published, self.protocol, self.ranked_by),
                "".join(f"- {line}\n" for line in _sources(self.published)),
            ]
        if self.comparison is not None:
            parts.append(comparison_markdown(self.comparison))
        if self.problems:
            lines = [f"{problem.source}: {problem.message}" for problem in self.problems]
            parts += ["### What to know about the runs\n"]
            parts.append("".join(f"- {escape_markdown(line)}\n" for line in lines))
        return "\n".join(parts)

    def ranks_csv(self) -> str:
        """The comparison as CSV: a line for each strategy, a p-value for each other one.

        Raises:
            ConfigError: there is no comparison.
        """
        if self.comparison is None:
            raise ConfigError("average ranks need two strategies with ranked rows in two tasks")
        return ranks_csv(self.comparison)

    def text(self, suffix: str) -> str:
        """The contents of a file of a kind.

        Args:
            suffix: one of `SUFFIXES`.

        Raises:
            ConfigError: it is another.
        """
        if suffix == ".csv":
            return self.to_csv()
        if suffix == ".md":
            return self.to_markdown()
        if suffix == ".json":
            return json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n"
        raise ConfigError(f"a leaderboard is a .csv, .md or .json file, not {suffix or 'without'}")

    def write(self, path: str | Path) -> None:
        """Write the leaderboard atomically, as what the file's ending says.

        Raises:
            ConfigError: the ending is not one of `SUFFIXES`.
            StorageError: the file cannot be written.
        """
        path = Path(path)
        atomic.write_text(path, self.text(path.suffix.lower()))

    def sections(self) -> list[tuple[str, list[Row]]]:
        """The rows by task or group, with a title."""
        checksums = {row["dataset_checksum"] for row in self.rows}
        sections: dict[str, list[Row]] = {}
        for row in self.rows:
            title = " · ".join(self._group_words(row)) or str(Task.of(row))
            if len(checksums) > 1 and not self.group_by:
                title += f" · images {row['dataset_checksum'][:12]}"
            sections.setdefault(title, []).append(row)
        return list(sections.items())

    def _group_words(self, row: Row) -> list[str]:
        words = []
        for name in self.group_by:
            value = group_value(row, name)
            if name == "num_classes":
                words.append(f"{value} classes" if value else "unconditional")
            elif name == "conditional":
                words.append("conditional" if value else "unconditional")
            else:
                words.append(str(value) or f"no {name}")
        return words


def group_value(row: Row, name: str) -> Any:
    """What a row has of a group in `GROUPS`."""
    return row["num_classes" if name == "conditional" else name]


def is_board_markdown(path: Path) -> bool:
    """Whether a file is what `Leaderboard.to_markdown` gives, to judge by its beginning.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        with open_file(path) as stream:
            begin = stream.read(100)
    except OSError as error:
        raise atomic.storage_error(path, error) from error
    return begin.startswith(f"{_BEGIN}`".encode()) or begin == _NO_RUNS.encode()


def _sources(rows: Sequence[Row]) -> list[str]:
    """Where the papers' numbers stand, and how they were taken."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        name = f"{row['strategy'].removeprefix('published: ')} ({row['dataset']})"
        found.setdefault((row["source"], row["protocol"]), []).append(name)
    return [
        escape_markdown(f"{source}: {'; '.join(names)}. Protocol: {protocol}.")
        for (source, protocol), names in found.items()
    ]


def _plain(value: Any) -> Any:
    """``value`` with lists where there are tuples: what JSON gives back."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
