"""The leaderboard: a pure function of run records, and how it is written: CSV, Markdown, JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nasgan import atomic
from nasgan.errors import ConfigError, NasganError, UnknownNameError
from nasgan.leaderboard.columns import Cell, Column, cells_of, columns
from nasgan.leaderboard.published import published_in
from nasgan.leaderboard.ranks import Comparison, compare_strategies, rank_rows
from nasgan.leaderboard.rows import (
    Row,
    Task,
    average_random_rows,
    metric_names,
    published_rows,
    run_rows,
)
from nasgan.leaderboard.selection import (
    Selection,
    resolve_selection,
    select_runs,
    selection_of,
    selection_text,
)
from nasgan.leaderboard.summaries import Problem, RunSummary, without_duplicates
from nasgan.leaderboard.tables import (
    comparison_markdown,
    csv_line,
    escape_markdown,
    markdown_code,
    markdown_table,
    ranks_csv,
)
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.table import METRICS
from nasgan.reading import open_file
from nasgan.runs.record import RunRecord

__all__ = [
    "FORMAT",
    "GROUPS",
    "SUFFIXES",
    "VERSION",
    "Leaderboard",
    "build_leaderboard",
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

_DEFAULT_RANKING = "fid"
_TRIALS = "debug/"
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
    def columns(self) -> dict[str, Column]:
        """The columns of the CSV, of the rows in JSON and of `frame`, in order."""
        with_fronts = any(row["objectives"] for row in self.rows)
        return columns(metric_names(self.all_rows), with_fronts=with_fronts)

    @property
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
            value = _group_value(row, name)
            if name == "num_classes":
                words.append(f"{value} classes" if value else "unconditional")
            elif name == "conditional":
                words.append("conditional" if value else "unconditional")
            else:
                words.append(str(value) or f"no {name}")
        return words


def build_leaderboard(
    records: Iterable[RunSummary | RunRecord],
    *,
    protocol: str | None = None,
    rank_by: str | None = None,
    where: Mapping[str, Any] | None = None,
    group_by: Sequence[str] = (),
    published: bool = True,
) -> Leaderboard:
    """Put runs together by seed, add the average random architectures, and rank within tasks.

    A row is a strategy (or trained architecture) on a task with one configuration. A run that is
    found several times (equal run id) counts once; of several runs of one row and seed the last
    counts. Both are told in ``problems``, as is a run that repeats another's numbers and times.

    Args:
        records: of `nasgan.leaderboard.study.find_records`, or whole records.
        protocol: the id to keep; needed where the records that ``where`` keeps have several. Those
            that only trial runs have (of ``+experiment=debug/...``) are left out if that leaves
            one; ``problems`` tells.
        rank_by: metric to rank by; by default FID, or where no run has it the objective of the
            searches.
        where: values to keep by filter; see `nasgan.leaderboard.selection.FILTERS`. The beginning
            of a configuration's hash stands for the whole.
        group_by: what the tables are split by, of `GROUPS`; by default the tasks. Ranks are
            always within one task.
        published: whether to add the papers' rows where the protocol's features are Inception's.

    Raises:
        ConfigError: the records mix protocols, or none has ``protocol``, ``rank_by`` or what a
            filter asks for.
    """
    runs = [RunSummary.of(item) if isinstance(item, RunRecord) else item for item in records]
    for name in group_by:
        if name not in GROUPS:
            raise UnknownNameError("group_by", name, GROUPS)
    # Names that no run has are told before several protocols are: those hide nothing then.
    selection = resolve_selection(selection_of(where), runs)
    kept = select_runs(runs, selection)
    if rank_by is not None:
        _check_ranking(rank_by, _scores(runs))
    problems: list[Problem] = []
    chosen = _choose_protocol(runs if protocol else kept or runs, protocol, problems)
    of_protocol = [run for run in runs if run.protocol == chosen]
    selected = select_runs(of_protocol, selection, among=f"the runs of {chosen}")
    counted = without_duplicates(selected, problems)
    problems += _repeated(counted)
    rows = run_rows(counted, problems)
    of_seeds = {name for row in rows for name in row["run_ids"]}
    rows += average_random_rows(run for run in counted if run.run_id in of_seeds)
    metric = _choose_metric(counted, rows, rank_by)
    problems += _different_data(rows)
    ranked = rank_rows(rows, metric)
    comparison = compare_strategies(ranked, metric, problems)
    if group_by:
        ranked.sort(key=lambda row: [_group_value(row, name) for name in group_by])
    return Leaderboard(
        protocol=chosen,
        ranked_by=metric,
        rows=tuple(ranked),
        problems=tuple(problems),
        published=tuple(_published(chosen, rows, selection) if published else ()),
        comparison=comparison,
        selection=selection,
        group_by=tuple(group_by),
    )


def _choose_protocol(
    runs: Sequence[RunSummary], protocol: str | None, problems: list[Problem]
) -> str:
    counts = Counter(run.protocol for run in runs)
    if protocol is not None:
        if runs and protocol not in counts:
            raise UnknownNameError("protocol among these runs", protocol, counts)
        return protocol
    trials = counts.keys() - {run.protocol for run in runs if not _is_trial(run)}
    if len(counts) - len(trials) == 1:
        problems += [_left_out(name, counts.pop(name)) for name in sorted(trials)]
    if len(counts) > 1:
        listed = ", ".join(f"{name} ({count} runs)" for name, count in sorted(counts.items()))
        raise ConfigError(
            f"these runs were scored under {len(counts)} protocols, whose numbers do not compare: "
            f"{listed}; choose one with protocol=ID"
        )
    return next(iter(counts), "")


def _is_trial(run: RunSummary) -> bool:
    # Several experiments of one run are joined by "+".
    return any(name.startswith(_TRIALS) for name in run.experiment.split("+"))


def _left_out(protocol: str, count: int) -> Problem:
    what = "1 trial run" if count == 1 else f"{count} trial runs"
    verb, pronoun = ("is", "it") if count == 1 else ("are", "them")
    return Problem(
        protocol,
        f"{what} of +experiment={_TRIALS}... {verb} left out; protocol={protocol} shows {pronoun}",
    )


def _scores(runs: Sequence[RunSummary]) -> set[str]:
    """The metrics that any run, or a random architecture beside it, has."""
    found = {name for run in runs for name in run.metrics or ()}
    return found | {
        name for run in runs for tried in run.random_architectures for name in tried.metrics
    }


def _choose_metric(runs: Sequence[RunSummary], rows: Sequence[Row], rank_by: str | None) -> str:
    known = metric_names(rows)
    if rank_by is not None:
        _check_ranking(rank_by, known)
        return rank_by
    if _DEFAULT_RANKING in known or not runs:
        return _DEFAULT_RANKING
    return Counter(sorted(run.objective for run in runs)).most_common(1)[0][0]


def _check_ranking(rank_by: str, known: Collection[str]) -> None:
    if known and rank_by not in known:
        raise UnknownNameError("metric among these runs", rank_by, known)
    if rank_by not in METRICS:
        raise ConfigError(
            f"rank_by={rank_by}: whether less or more of it is better is not known here; "
            "install the package that brings this metric"
        )
    if METRICS[rank_by].companion_of is not None:
        raise ConfigError(
            f"rank_by={rank_by}: a spread ranks nothing; take {METRICS[rank_by].companion_of}"
        )


def _repeated(runs: Sequence[RunSummary]) -> list[Problem]:
    """Runs that cannot be runs of their own: another one has all their scores and seconds.

    Equal scores alone are no proof: two strategies may find one architecture with one seed, and
    generators that broke down in the same way may score the same.
    """
    problems = []
    first: dict[tuple[Any, ...], RunSummary] = {}
    for run in sorted(runs, key=lambda run: (run.seed, run.run_id)):
        if not run.metrics:
            continue
        scores = tuple(sorted(run.metrics.items()))
        other = first.setdefault((scores, *_seconds(run)), run)
        if other is not run:
            message = (
                f"has the scores and seconds of run {other.run_id} (seed {other.seed}), as seed "
                f"{run.seed}: one of them is a copy"
            )
            problems.append(Problem(run.run_id, message, is_grave=True))
            continue
        other = first.setdefault((scores, run.strategy, run.config_hash), run)
        if other.seed != run.seed:
            message = (
                f"has exactly the scores of run {other.run_id} (seed {other.seed}), as seed "
                f"{run.seed}: make sure that neither is a copy"
            )
            problems.append(Problem(run.run_id, message))
    return problems


def _seconds(run: RunSummary) -> tuple[Any, ...]:
    """What no two runs share: measured durations, or where there are none the moments."""
    measured = (run.search_cost["device_seconds"], run.final_cost["device_seconds"])
    return measured if any(measured) else (run.started, run.ended)


def _published(protocol: str, rows: Sequence[Row], selection: Selection) -> list[Row]:
    """The papers' rows; their IS and FID do not stand in columns of other features."""
    try:
        features = Protocol.parse(protocol).features
    except NasganError:
        return []
    if features != "inceptionv3":
        return []
    return published_rows(published_in((row["dataset"] for row in rows), selection))


def _different_data(rows: Sequence[Row]) -> list[Problem]:
    checksums = sorted({row["dataset_checksum"] for row in rows})
    if len(checksums) < 2:
        return []
    return [
        Problem(
            rows[0]["protocol"],
            f"the runs were trained on {len(checksums)} different image sets of this name "
            f"(checksums {', '.join(text[:16] for text in checksums)}): they are ranked apart",
        )
    ]


def _group_value(row: Row, name: str) -> Any:
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
