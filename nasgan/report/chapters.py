"""The runs that a report is about: by protocol, with their records and histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from nasgan.errors import ConfigError, UnknownNameError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.leaderboard.leaderboard import Leaderboard
from nasgan.leaderboard.rows import AVERAGE_RANDOM, Row, Task
from nasgan.leaderboard.summaries import Problem, RunSummary, grouped, without_duplicates
from nasgan.report.histories import RunHistory, read_run_history
from nasgan.report.svg import NEUTRAL, Style, styles_of
from nasgan.report.views import row_labels, series_of, task_labels
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
        series: see `nasgan.report.views.series_of`.
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
    def device_seconds(self) -> float:
        """Of the search and the final training."""
        return sum(phase["device_seconds"] for phase in self.record.cost.values())


@dataclass(frozen=True)
class LabelledRow:
    """A row of the leaderboard with its runs.

    Attributes:
        row: the row.
        label: its name, unlike that of every other.
        short: its name beside the others of its task.
        series: see `nasgan.report.views.series_of`.
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
    def with_history(self) -> list[tuple[Run, RunHistory]]:
        """The runs that have a history, with it."""
        return [(run, run.history) for run in self.runs if run.history is not None]

    @property
    def is_average_random(self) -> bool:
        """Whether this is the average random architecture."""
        return bool(self.row["strategy"] == AVERAGE_RANDOM)


@dataclass(frozen=True)
class SimulatedTask:
    """The simulated searches of one task.

    Attributes:
        task: theirs.
        file: that they were read from, of several the first.
        baseline: the name of the row that the others are held against.
        searches: lines of ``simulations.jsonl``, each with the name of its row as its strategy.
    """

    task: Task
    file: SimulationFile
    baseline: str
    searches: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Chapter:
    """All runs under one protocol: their numbers compare.

    Attributes:
        protocol: its id.
        board: their leaderboard.
        rows: its rows, in its order.
        simulated: those that were searches on a table, which are no `runs`.
        styles: by series, the same throughout a page.
    """

    protocol: str
    board: Leaderboard
    rows: tuple[LabelledRow, ...]
    simulated: tuple[SimulatedTask, ...] = ()
    styles: Mapping[str, Style] = field(default_factory=dict)

    @property
    def runs(self) -> list[Run]:
        """The runs of all rows, each once."""
        own = [run for row in self.rows if not row.is_average_random for run in row.runs]
        return list({run.summary.run_id: run for run in own}.values())

    @property
    def bound(self) -> Mapping[str, Any]:
        """The score of real test images, without ``metrics`` if no run has it."""
        bounds = (run.record.bound for run in self.runs if run.record.bound)
        return next(bounds, {"metrics": {}, "num_images": 0})

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
        return grouped(self.rows, lambda row: Task.of(row.row))

    @property
    def task_titles(self) -> dict[Task, str]:
        """The space of each task; with what else tells the tasks apart where it does not."""
        tasks = list(self.by_task)
        counts = Counter(task.space for task in tasks)
        several = len({task.dataset for task in tasks}) > 1
        titles = {}
        for task in tasks:
            more = [task.dataset if several else "", task.budget, self.images_of(task)]
            words = [task.space, *(filter(None, more) if counts[task.space] > 1 else ())]
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
        summaries = [run for run in summaries if _is_confined(run, roots)]
        problems = [item for item in problems if _is_inside(Path(item.source), roots)]
    by_protocol = grouped(summaries, attrgetter("protocol"))
    if protocol is not None and by_protocol:
        if protocol not in by_protocol:
            raise UnknownNameError("protocol among these runs", protocol, by_protocol)
        by_protocol = {protocol: by_protocol[protocol]}
    ordered = sorted(by_protocol.items(), key=lambda item: (-len(item[1]), item[0]))
    chapters = [_chapter(name, runs, rank_by, problems) for name, runs in ordered]
    names = {row.series for chapter in chapters for row in chapter.rows}
    styles = {**styles_of(names - {AVERAGE_RANDOM}), AVERAGE_RANDOM: NEUTRAL}
    styled = tuple(replace(chapter, styles=styles) for chapter in chapters)
    return Collection(styled, tuple(problems))


def _chapter(
    protocol: str, summaries: Sequence[RunSummary], rank_by: str | None, problems: list[Problem]
) -> Chapter:
    board = build_leaderboard(summaries, protocol=protocol, rank_by=rank_by)
    problems += board.problems
    # The leaderboard's problems tell of duplicates already.
    latest = {run.run_id: run for run in without_duplicates(summaries, [])}
    named = list(zip(board.rows, row_labels(board.rows), task_labels(board.rows), strict=True))
    runs_of = [
        sorted((latest[i] for i in row["run_ids"] if i in latest), key=attrgetter("seed", "run_id"))
        for row in board.rows
    ]
    known: dict[str, Run] = {}
    for (row, label, _), own in zip(named, runs_of, strict=True):
        for run in own:
            if row["strategy"] != AVERAGE_RANDOM and not run.is_simulated:
                found = _run(run, row, label, problems)
                known |= {} if found is None else {run.run_id: found}
    rows = [
        LabelledRow(
            row,
            label,
            short,
            series_of(row),
            tuple(known[run.run_id] for run in own if run.run_id in known),
            tuple(run for run in own if run.is_simulated),
        )
        for (row, label, short), own in zip(named, runs_of, strict=True)
    ]
    return Chapter(protocol, board, tuple(rows), tuple(_simulated(rows)))


def _simulated(rows: Sequence[LabelledRow]) -> Iterator[SimulatedTask]:
    """The simulated searches by task and metric; those of one seed that do not count are left out.

    What was searched for FID and what for IS are judged in different units.
    """
    row_of = {run.run_id: row for row in rows for run in row.simulated}
    paths = {run.path for row in rows for run in row.simulated if run.path is not None}
    searches: dict[tuple[Task, str], list[dict[str, Any]]] = {}
    files: dict[tuple[Task, str], SimulationFile] = {}
    baselines: dict[tuple[Task, str], str] = {}
    for path in sorted(paths):
        file = SimulationFile.open(path)
        for search, record in file.read(lambda told: None):
            row = row_of.get(record.run_id)
            if row is None:
                continue
            key = Task.of(row.row), file.made["metric"]
            files.setdefault(key, file)
            if search["strategy"] == file.made["baseline"]:
                baselines.setdefault(key, row.short)
            searches.setdefault(key, []).append({**search, "strategy": row.short})
    for key, found in searches.items():
        baseline = baselines.get(key, files[key].made["baseline"])
        yield SimulatedTask(key[0], files[key], baseline, tuple(found))


def _run(summary: RunSummary, row: Row, label: str, problems: list[Problem]) -> Run | None:
    assert summary.path is not None, "found on disk"
    folder = summary.path.parent
    try:
        record = RunRecord.read(summary.path)
    except ConfigError as error:  # it changed since it was found
        problems.append(Problem(str(summary.path), str(error)))
        return None
    path = folder / HISTORY_FILE
    history = read_run_history(path) if _is_inside(path, [folder]) else None
    if history is not None and history.damaged:
        problems.append(Problem(str(path), f"{history.damaged} damaged lines were left out"))
    grid = folder / "samples" / "final.png"
    return Run(summary, record, history, grid, label, series_of(row))


def _is_confined(run: RunSummary, roots: Sequence[str | Path]) -> bool:
    """Whether all that a run was read from lies in ``roots``."""
    path = run.path
    files = [path, path.with_name(MANIFEST_FILE)] if path and run.is_simulated else [path]
    return all(file is not None and _is_inside(file, roots) for file in files)


def _is_inside(path: Path, roots: Sequence[str | Path]) -> bool:
    real = path.resolve()
    return any(real.is_relative_to(Path(root).resolve()) for root in roots)
