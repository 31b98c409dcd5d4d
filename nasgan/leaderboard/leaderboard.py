"""A finished leaderboard, as a frame and as it is written: CSV, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from nasgan import atomic
from nasgan.errors import ConfigError
from nasgan.leaderboard.columns import Column, columns, metric_title
from nasgan.leaderboard.finding import Selection, selection_text
from nasgan.leaderboard.ranks import Comparison
from nasgan.leaderboard.rows import Row, Task, have, metric_names
from nasgan.leaderboard.summaries import Problem, grouped
from nasgan.leaderboard.texts import (
    Cell,
    csv_line,
    escape_markdown,
    markdown_code,
    markdown_lines,
)
from nasgan.reading import open_file

__all__ = [
    "FORMAT",
    "GROUPS",
    "SUFFIXES",
    "VERSION",
    "Leaderboard",
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

_NAMES = ("strategy", "search_space", "architecture")
_DETAILS = (
    *("n_seeds", "n_failed", "generator_parameters_m", "macs_g"),
    *("search_generator_steps", "search_device_seconds", "note"),
)
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

    @property
    def ranking_title(self) -> str:
        """What people read for `ranked_by`."""
        return metric_title(self.ranked_by, self.protocol)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The columns of the CSV, of the rows in JSON and of `frame`, in order."""
        return columns(
            metric_names(self.all_rows),
            self.protocol,
            with_fronts=any(row["objectives"] for row in self.rows),
            with_regret=have(self.rows, "regret"),
        )

    @cached_property
    def cells(self) -> list[dict[str, Cell]]:
        """All rows as files hold them."""
        shared = {"ranked_by": self.ranked_by, "selection": selection_text(self.selection)}
        return [
            {
                name: "; ".join(cell) if isinstance(cell, tuple) else cell
                for name in self.columns
                for cell in (row.get(name),)
            }
            for row in ({**row, **shared} for row in self.all_rows)
        ]

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
            # As JSON gives it back: with lists where there are tuples.
            "comparison": self.comparison and json.loads(json.dumps(asdict(self.comparison))),
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
            parts += [f"### {escape_markdown(title)}\n", self._markdown_table(rows)]
        if self.published:
            parts += [
                "### Published: numbers of the papers, each under a protocol of its own\n",
                self._markdown_table(self.published),
                "".join(f"- {line}\n" for line in _sources(self.published)),
            ]
        if self.comparison is not None:
            parts.append(self.comparison.to_markdown())
        if self.problems:
            lines = [f"{problem.source}: {problem.message}" for problem in self.problems]
            parts += ["### What to know about the runs\n"]
            parts.append("".join(f"- {escape_markdown(line)}\n" for line in lines))
        return "\n".join(parts)

    def _markdown_table(self, rows: Sequence[Row]) -> str:
        """``rows`` as a table; what shares the first rank is bold in its metric."""
        known = self.columns
        named = grouped(rows, lambda row: tuple(known[name].of(row) for name in _NAMES))
        # Rows of different settings may have the same names.
        hashes = [{row["config_hash"] for row in same} for same in named.values()]
        names = ["rank", *_NAMES, *(["config_hash"] if any(len(h) > 1 for h in hashes) else [])]
        names += [f"{metric}_mean" for metric in metric_names(rows, spreads=False)]
        names += [*(["regret"] if have(rows, "regret") else []), *_DETAILS]
        best = f"{self.ranked_by}_mean"
        lines = []
        for row in rows:
            line = {name: escape_markdown(known[name].of(row)) for name in names}
            if row["rank"] == 1:
                line[best] = f"**{line[best]}**"
            lines.append([*line.values()])
        return markdown_lines([escape_markdown(known[name].title) for name in names], lines)

    def ranks_csv(self) -> str:
        """The comparison as CSV: a line for each strategy, a p-value for each other one.

        Raises:
            ConfigError: there is no comparison.
        """
        if self.comparison is None:
            raise ConfigError("average ranks need two strategies with ranked rows in two tasks")
        return self.comparison.to_csv()

    def text(self, suffix: str) -> str:
        """The contents of a file of a kind.

        Args:
            suffix: one of `SUFFIXES`.

        Raises:
            ConfigError: it is another.
        """
        if suffix not in SUFFIXES:
            raise ConfigError(
                f"a leaderboard is a .csv, .md or .json file, not {suffix or 'without'}"
            )
        if suffix == ".json":
            return json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n"
        return self.to_csv() if suffix == ".csv" else self.to_markdown()

    def write(self, path: str | Path) -> None:
        """Write the leaderboard atomically, as what the file's ending says.

        Raises:
            ConfigError: the ending is not one of `SUFFIXES`.
            StorageError: the file cannot be written.
        """
        path = Path(path)
        atomic.write_file(path, self.text(path.suffix.lower()))

    def sections(self) -> list[tuple[str, list[Row]]]:
        """The rows by task or group, with a title."""
        several = len({row["dataset_checksum"] for row in self.rows}) > 1

        def title(row: Row) -> str:
            if self.group_by:
                return " · ".join(_group_words(name, row[name]) for name in self.group_by)
            images = f" · images {row['dataset_checksum'][:12]}" if several else ""
            return f"{Task.of(row)}{images}"

        return list(grouped(self.rows, title).items())


def _group_words(name: str, value: Any) -> str:
    if name == "num_classes" and value:
        return f"{value} classes"
    if name in ("num_classes", "conditional"):
        return "conditional" if value else "unconditional"
    return str(value) or f"no {name}"


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


def _sources(rows: Sequence[Row]) -> Iterator[str]:
    """Where the papers' numbers stand, and how they were taken."""
    by_source = grouped(rows, lambda row: (row["source"], row["protocol"]))
    for (source, protocol), same in by_source.items():
        found = ((row["strategy"].removeprefix("published: "), row["dataset"]) for row in same)
        names = "; ".join(f"{name} ({dataset})" for name, dataset in found)
        yield escape_markdown(f"{source}: {names}. Protocol: {protocol}.")
