"""The runs that a report is about: by protocol, with their records and histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasgan.errors import ConfigError, UnknownNameError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.leaderboard.leaderboard import Leaderboard
from nasgan.leaderboard.rows import AVERAGE_RANDOM, Row, Task
from nasgan.leaderboard.summaries import (
    Problem,
    RunSummary,
    space_label,
    without_duplicates,
)
from nasgan.report.histories import RunHistory, read_run_history
from nasgan.report.labels import row_labels, series_of, task_labels
from nasgan.runs.history import HISTORY_FILE
from nasgan.runs.record import RunRecord
from nasgan.runs.simulations import MANIFEST_FILE, SimulationFile

__all__ = ["Chapter", "Collection", "LabelledRow", "Run", "SimulatedTask", "collect"]


@dataclass(frozen=True)
class Run:
    """A run with all that is known of it.

    Attributes:
        summary: as the leaderboard reads it.
        record: its record.
        history: its history; None if there is none beside the record.
        grid: where its sample grid would be; None for a record without a folder.
        row: the name of its row.
        series: see `nasgan.report.labels.series_of`.
    """

    summary: RunSummary
    record: RunRecord
    history: RunHistory | None
    grid: Path | None
    row: str
    series: str

    @property
    def name(self) -> str:
        """The row and the seed."""
        return f"{self.row}, seed {self.summary.seed}"

    @property
    def space(self) -> str:
        """The space, and whether its networks are class-conditional."""
        return self.summary.space_label


@dataclass(frozen=True)
class LabelledRow:
    """A row of the leaderboard with its runs.

    Attributes:
        row: the row.
        label: its name, unlike that of every other.
        short: its name beside the others of its task.
        series: see `nasgan.report.labels.series_of`.
        runs: that it is made of, by seed; for the average random architecture those of others.
        simulated: those of them that were searches on a table, and have neither record nor folder.
    """

    row: Row
    label: str
    short: str
    series: str
    runs: tuple[Run, ...]
    simulated: tuple[RunSummary, ...] = ()

    @property
    def space(self) -> str:
        """The space, and whether its networks are class-conditional."""
        return Task.of(self.row).space

    @property
    def is_average_random(self) -> bool:
        """Whether this is the average random architecture."""
        return bool(self.row["strategy"] == AVERAGE_RANDOM)


@dataclass(frozen=True)
class SimulatedTask:
    """The simulated searches of one task.

    Attributes:
        task: theirs.
        made: how they were made, see `nasgan.runs.simulations.SimulationFile`.
        baseline: the name of the row that the others are held against.
        searches: lines of ``simulations.jsonl``, each with the name of its row as its strategy.
        regret: by how much a score is worse than the best that the table knows.
    """

    task: Task
    made: Mapping[str, Any]
    baseline: str
    searches: tuple[Mapping[str, Any], ...]
    regret: Callable[[float], float]


@dataclass(frozen=True)
class Chapter:
    """All runs under one protocol: their numbers compare.

    Attributes:
        protocol: its id.
        board: their leaderboard.
        rows: its rows, in its order.
        simulated: those that were searches on a table, which are no `runs`.
    """

    protocol: str
    board: Leaderboard
    rows: tuple[LabelledRow, ...]
    simulated: tuple[SimulatedTask, ...] = ()

    @property
    def runs(self) -> list[Run]:
        """The runs of all rows, each once."""
        own = [run for row in self.rows if not row.is_average_random for run in row.runs]
        return list({run.summary.run_id: run for run in own}.values())

    @property
    def search_rows(self) -> list[LabelledRow]:
        """The rows of searches."""
        return [
            row
            for row in self.rows
            if not row.is_average_random and any(run.record.kind == "search" for run in row.runs)
        ]

    @property
    def spaces(self) -> list[str]:
        """The search spaces, sorted."""
        return sorted({row.space for row in self.rows})

    @property
    def by_task(self) -> dict[Task, list[LabelledRow]]:
        """The rows of each task: numbers of different tasks do not rank methods."""
        found: dict[Task, list[LabelledRow]] = {}
        for row in self.rows:
            found.setdefault(Task.of(row.row), []).append(row)
        return found

    @property
    def task_titles(self) -> dict[Task, str]:
        """The space of each task; with what else tells the tasks apart where it does not."""
        tasks = list(self.by_task)
        names = {task: space_label(task.search_space, task.num_classes) for task in tasks}
        counts = Counter(names.values())
        datasets = {task.dataset for task in tasks}
        titles = {}
        for task, name in names.items():
            others = [task.dataset] if len(datasets) > 1 else []
            others += [task.budget, self.images_of(task)]
            words = [name, *filter(None, others)] if counts[name] > 1 else [name]
            titles[task] = " · ".join(words)
        return titles

    def images_of(self, task: Task) -> str:
        """Which images these are, where some of one name differ; else empty."""
        several = len({row.row["dataset_checksum"] for row in self.rows}) > 1
        return f"images {task.dataset_checksum[:12]}" if several else ""


@dataclass(frozen=True)
class Collection:
    """What was found.

    Attributes:
        chapters: by protocol, the one with most runs first.
        problems: what could not be counted, or has to be known of what was.
    """

    chapters: tuple[Chapter, ...]
    problems: tuple[Problem, ...]

    @property
    def runs(self) -> list[Run]:
        """The runs of all chapters."""
        return [run for chapter in self.chapters for run in chapter.runs]

    @property
    def simulated(self) -> list[RunSummary]:
        """The simulated searches of all chapters."""
        return [run for chapter in self.chapters for row in chapter.rows for run in row.simulated]


def collect(
    roots: Sequence[str | Path],
    *,
    protocol: str | None = None,
    rank_by: str | None = None,
    confined: bool = False,
) -> Collection:
    """Read the runs below ``roots``.

    Args:
        roots: folders that hold runs, or record files.
        protocol: the only one to keep; by default each gets its chapter.
        rank_by: see `nasgan.leaderboard.build.build_leaderboard`.
        confined: leave out what links lead to outside of ``roots``.

    Raises:
        ConfigError: a root does not exist, or none of the runs has ``protocol`` or ``rank_by``.
    """
    summaries, problems = find_records(roots)
    if confined:
        summaries = [run for run in summaries if all(_is_inside(p, roots) for p in _read_of(run))]
        problems = [item for item in problems if _is_inside(Path(item.source), roots)]
    by_protocol: dict[str, list[RunSummary]] = {}
    for summary in summaries:
        by_protocol.setdefault(summary.protocol, []).append(summary)
    if protocol is not None and by_protocol:
        if protocol not in by_protocol:
            raise UnknownNameError("protocol among these runs", protocol, by_protocol)
        by_protocol = {protocol: by_protocol[protocol]}
    ordered = sorted(by_protocol.items(), key=lambda item: (-len(item[1]), item[0]))
    chapters = [_chapter(name, runs, rank_by, problems) for name, runs in ordered]
    return Collection(tuple(chapters), tuple(problems))


def _chapter(
    protocol: str, summaries: Sequence[RunSummary], rank_by: str | None, problems: list[Problem]
) -> Chapter:
    board = build_leaderboard(summaries, protocol=protocol, rank_by=rank_by)
    problems += board.problems
    # The leaderboard's problems tell of duplicates already.
    latest = {run.run_id: run for run in without_duplicates(summaries, [])}
    ids = [
        sorted(
            (name for name in row["run_ids"] if name in latest),
            key=lambda name: (latest[name].seed, name),
        )
        for row in board.rows
    ]
    labels = row_labels(board.rows)
    known: dict[str, Run] = {}
    for row, label, names in zip(board.rows, labels, ids, strict=True):
        if row["strategy"] != AVERAGE_RANDOM:
            own = (latest[name] for name in names if not latest[name].is_simulated)
            found = (_run(run, row, label, problems) for run in own)
            known.update({run.summary.run_id: run for run in found if run is not None})
    rows = [
        LabelledRow(
            row,
            label,
            short,
            series_of(row),
            tuple(known[name] for name in names if name in known),
            tuple(latest[name] for name in names if latest[name].is_simulated),
        )
        for row, label, short, names in zip(
            board.rows, labels, task_labels(board.rows), ids, strict=True
        )
    ]
    return Chapter(protocol, board, tuple(rows), tuple(_simulated(rows)))


def _simulated(rows: Sequence[LabelledRow]) -> Iterator[SimulatedTask]:
    """The simulated searches by task; those of one seed that do not count are left out."""
    row_of = {run.run_id: row for row in rows for run in row.simulated}
    paths = {run.path for row in rows for run in row.simulated if run.path is not None}
    searches: dict[Task, list[dict[str, Any]]] = {}
    files: dict[Task, SimulationFile] = {}
    baselines: dict[Task, str] = {}
    for path in sorted(paths):
        file = SimulationFile.open(path)
        for search, record in file.read(lambda told: None):
            row = row_of.get(record.run_id)
            if row is None:
                continue
            task = Task.of(row.row)
            files.setdefault(task, file)
            if search["strategy"] == file.made["baseline"]:
                baselines.setdefault(task, row.short)
            searches.setdefault(task, []).append({**search, "strategy": row.short})
    for task, found in searches.items():
        file = files[task]
        baseline = baselines.get(task, file.made["baseline"])
        yield SimulatedTask(task, file.made, baseline, tuple(found), file.regret)


def _run(summary: RunSummary, row: Row, label: str, problems: list[Problem]) -> Run | None:
    assert summary.path is not None, "found on disk"
    folder = summary.path.parent
    try:
        record = RunRecord.read(summary.path)
    except ConfigError as error:  # it changed since it was found
        problems.append(Problem(str(summary.path), str(error)))
        return None
    history = _history(folder)
    if history is not None and history.damaged:
        problems.append(
            Problem(str(folder / HISTORY_FILE), f"{history.damaged} damaged lines were left out")
        )
    grid = folder / "samples" / "final.png"
    return Run(summary, record, history, grid, label, series_of(row))


def _history(folder: Path) -> RunHistory | None:
    path = folder / HISTORY_FILE
    if not _is_inside(path, [folder]):
        return None
    return read_run_history(path)


def _read_of(run: RunSummary) -> list[Path | None]:
    """The files that a run was read from."""
    if run.path is None or not run.is_simulated:
        return [run.path]
    return [run.path, run.path.with_name(MANIFEST_FILE)]


def _is_inside(path: Path | None, roots: Sequence[str | Path]) -> bool:
    if path is None:
        return False
    real = path.resolve()
    return any(real.is_relative_to(Path(root).resolve()) for root in roots)
