"""The one reader of results folders: the runs below them, as pandas frames. Imports no torch."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from nasgan.errors import ConfigError, RunDirectoryError, UnknownNameError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.leaderboard import Leaderboard
from nasgan.leaderboard.summaries import Problem, RunSummary, without_duplicates
from nasgan.reading import walk
from nasgan.runs.history import HISTORY_FILE, read_history
from nasgan.runs.record import RECORD_FILE, RunRecord
from nasgan.runs.simulations import SEARCHES_FILE, SimulationFile
from nasgan.runs.status import STATUS_FILE, Status

__all__ = ["Study", "find_records"]

# What tells the rows of a run apart in all frames but `Study.runs`.
_IDENTITY = ("run_id", "strategy", "search_space", "num_classes", "dataset", "protocol", "seed")
# Held as several columns, or not at all: see `Study.runs`.
_SPLIT = ("path", "metrics", "search_cost", "final_cost", "breakdowns", "random_architectures")
# Held by frames of their own.
_APART = ("options",)


class Study:
    """The finished runs below some folders.

    The frames are made when they are first asked for, and then kept. A run that is found several
    times is there once. This is told in `problems`, as are runs that cannot be counted, and those
    that have no record yet.

    Args:
        roots: folders of results, or record files.

    Raises:
        ConfigError: there is no such folder.
    """

    def __init__(self, *roots: str | Path) -> None:
        if not roots:
            raise ConfigError("a study needs a folder of results: Study('outputs')")
        self._found, self.problems = find_records(roots)
        # A copy of a run is no further seed: as for the leaderboard, each run is there once.
        self._summaries = without_duplicates(self._found, self.problems)

    @classmethod
    def _of(cls, summaries: list[RunSummary], problems: list[Problem]) -> Study:
        study = cls.__new__(cls)
        study._found, study._summaries, study.problems = summaries, summaries, list(problems)
        return study

    def __len__(self) -> int:
        return len(self._summaries)

    def __repr__(self) -> str:
        cells = {(run.strategy, run.space_label, run.dataset) for run in self._summaries}
        more = f", {len(self.problems)} problems" if self.problems else ""
        return (
            f"<Study: {len(self)} runs in {len(cells)} cells of strategy, space and data set{more}>"
        )

    def where(self, **wanted: Any) -> Study:
        """The runs whose attributes are as given: ``study.where(strategy="random", seed=[0, 1])``.

        Args:
            wanted: a value or several, for attributes of `RunSummary`.

        Raises:
            UnknownNameError: runs have no such attribute.
        """
        known = [item.name for item in fields(RunSummary) if item.name not in _SPLIT]
        for name in wanted:
            if name not in known:
                raise UnknownNameError("attribute of a run", name, known)
        kept = [
            run
            for run in self._summaries
            if all(_is_among(getattr(run, name), values) for name, values in wanted.items())
        ]
        return self._of(kept, self.problems)

    def leaderboard(self, **settings: Any) -> Leaderboard:
        """The leaderboard of these runs; its ``frame`` holds the rows.

        Args:
            settings: of `nasgan.leaderboard.build.build_leaderboard`: ``rank_by``, ...

        Raises:
            ConfigError: as there.
        """
        return build_leaderboard(self._found, **settings)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row for each run, failed ones too.

        Columns: the attributes of `RunSummary`; a column for each metric (``fid``, ``is``,
        ``is_std``, ...); costs by phase and unit (``search_generator_steps``,
        ``final_device_seconds``, ...); ``folder``. ``started`` and ``ended`` are moments in UTC.
        """
        frame = pd.DataFrame([_row(run) for run in self._summaries])
        for name in ("started", "ended"):
            if name in frame:
                frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
        return frame

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row for each line of the runs' histories, in their order; `where` keeps it small.

        Columns: what names the run (``run_id``, ``strategy``, ``seed``, ...), ``index``, ``kind``,
        ``phase`` and all that lines of that kind hold, with a slash between the names of nested
        values: ``values/loss_generator``, ``metrics/fid``, ``spent/generator_steps``.
        ``architecture`` is the id of the one that the line is about. The shares of options are in
        `options`.

        A run whose history is missing or damaged is left out, and in `problems`.
        """
        lines = (
            {**_flat(_with_plain_architecture(line)), **_identity(run)}
            for run, _, line in self._lines()
        )
        return pd.DataFrame(list(lines))

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """One row for each architecture scored, in the search and in the final phase.

        Columns as in `history`, without those that only other lines have: ``score``, ``fidelity``,
        ``incumbent`` (the best so far, by its id), ``role`` in the final phase, ``failure``,
        ``metrics/...``, ``spent/...`` and the architecture's ``choices/...``.
        """
        return _only(self.history, "evaluation")

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row for each point of the final trainings at which networks were scored.

        Columns as in `history`: ``architecture``, ``generator_steps``, ``score``, ``metrics/...``,
        ``spent/...``.
        """
        return _only(self.history, "checkpoint")

    @cached_property
    def options(self) -> pd.DataFrame:
        """How often or how probably a search chose each option of each decision, over time.

        One row for each option at each moment of which a strategy told. Columns: what names the
        run, ``index`` of the history's line, ``generator_steps`` and ``architectures`` spent by
        then, ``decision``, ``option``, ``share``.
        """
        rows: list[dict[str, Any]] = []
        names: dict[str, Mapping[str, Any]] = {}
        for run, path, line in self._lines():
            shares_of, spent = line.get("options"), line.get("spent", {})
            if not shares_of:
                continue
            if not (_is_table(shares_of) and isinstance(spent, Mapping)):
                told = f"line {line['index'] + 1}: its options are no lists of shares: left out"
                self._note(path, told)
                continue
            if run.run_id not in names:
                names[run.run_id] = self._record(run, "decisions") or {}
            moment = {
                **_identity(run),
                "index": line["index"],
                **{unit: spent.get(unit) for unit in ("generator_steps", "architectures")},
            }
            for decision, shares in shares_of.items():
                known = names[run.run_id].get(decision, ())
                if len(known) != len(shares):
                    known = [str(k) for k in range(len(shares))]
                rows.extend(
                    {**moment, "decision": decision, "option": option, "share": share}
                    for option, share in zip(known, shares, strict=True)
                )
        return pd.DataFrame(rows)

    @cached_property
    def incumbents(self) -> pd.DataFrame:
        """One row for each moment at which a simulated search knew a better architecture.

        Columns: what names the run, ``baseline`` (the strategy that the others are held against),
        ``architecture`` (its id), ``judged`` (its mean over seeds), ``regret`` and ``spent/...``.
        """
        simulated = {run.run_id: run for run in self._summaries if run.is_simulated}
        rows: list[dict[str, Any]] = []
        for path in sorted({run.path for run in simulated.values() if run.path is not None}):
            file = SimulationFile.open(path)
            for search, record in file.read(lambda told: None):
                if record.run_id in simulated:
                    named = _identity(simulated[record.run_id])
                    rows += [{**named, **_incumbent(each, file)} for each in search["incumbents"]]
        return pd.DataFrame(rows)

    @cached_property
    def proxy(self) -> pd.DataFrame:
        """Scores in the search against those after training, of the architectures that have both.

        One row for each. Columns: what names the run, ``metric``, ``fidelity``, ``architecture``
        (its id), ``search_metric`` (another than ``metric`` where an evaluator names its scores
        itself), ``search``, ``final``, and the run's ``spearman`` and ``kendall`` correlation; see
        `nasgan.runs.proxy.proxy_correlation`.
        """
        rows: list[dict[str, Any]] = []
        for run in self._summaries:
            proxy = self._record(run, "proxy_correlation")
            if proxy:
                kept = {k: proxy[k] for k in ("metric", "fidelity", "spearman", "kendall")}
                kept["search_metric"] = proxy.get("search_metric", proxy["metric"])
                rows.extend({**_identity(run), **kept, **point} for point in proxy["points"])
        return pd.DataFrame(rows)

    def _lines(self) -> Iterator[tuple[RunSummary, Path, dict[str, Any]]]:
        for run in self._summaries:
            if run.path is None or run.is_simulated:
                continue
            path = run.path.with_name(HISTORY_FILE)
            try:
                lines = read_history(path)
            except RunDirectoryError as error:
                self._note(path, error)
                continue
            for line in lines:
                yield run, path, line

    def _record(self, run: RunSummary, field: str) -> Any:
        """A field of the run's whole record; None if it can no longer be read."""
        if run.path is None or run.is_simulated:
            return None
        try:
            return getattr(RunRecord.read(run.path), field)
        except ConfigError as error:
            self._note(run.path, error)
            return None

    def _note(self, path: Path, error: Exception | str) -> None:
        problem = Problem(str(path), str(error).removeprefix(f"{path}: "))
        if problem not in self.problems:
            self.problems.append(problem)


def find_records(roots: Sequence[str | Path]) -> tuple[list[RunSummary], list[Problem]]:
    """Read all records below ``roots``, sorted by path.

    Args:
        roots: folders, searched through links and all depths, or record files.

    Returns:
        Summaries of the records, and what could not be counted: unreadable records and folders,
        damaged lines of simulated searches, and runs that have a status but no record yet.

    Raises:
        ConfigError: a root does not exist.
    """
    records: list[RunSummary] = []
    problems: list[Problem] = []
    simulated: dict[str, Path] = {}
    for path in sorted(iter_record_files(roots, problems)):
        try:
            if path.name == SEARCHES_FILE:
                records += _simulated(path, simulated, problems)
            else:
                records.append(RunSummary.of(RunRecord.read(path), path))
        except ConfigError as error:
            problems.append(Problem(str(path), str(error).removeprefix(f"{path}: ")))
    return records, problems


def _simulated(path: Path, known: dict[str, Path], problems: list[Problem]) -> list[RunSummary]:
    """The searches of a file, unless another one holds the ``known`` same."""
    file = SimulationFile.open(path)
    first = known.setdefault(file.identity, path)
    if first != path:
        problems.append(Problem(str(path), f"holds the searches of {first}: they count once"))
        return []

    def told(sentence: str) -> None:
        problems.append(Problem(str(path), sentence))

    return [RunSummary.of(record, path, is_simulated=True) for _, record in file.read(told)]


def iter_record_files(
    roots: Iterable[str | Path], problems: list[Problem] | None = None
) -> Iterator[Path]:
    """The record files below ``roots``, each once however many links and roots lead to it.

    Args:
        roots: folders or record files.
        problems: takes up folders that cannot be read and runs without a record.

    Raises:
        ConfigError: a root does not exist.
    """
    problems = [] if problems is None else problems
    visited: set[tuple[int, int]] = set()
    for root in map(Path, roots):
        try:
            is_file, is_folder = root.is_file(), root.is_dir()
        except OSError as error:
            raise ConfigError(f"{root}: cannot be looked at: {error.strerror}") from error
        if is_file:
            if _first_visit(root, visited):
                yield root
            continue
        if not is_folder:
            raise ConfigError(f"{root}: there is no such results folder; give one with runs=")
        yield from _walk(root, visited, problems)


def _walk(root: Path, visited: set[tuple[int, int]], problems: list[Problem]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        problems.append(Problem(str(error.filename), f"cannot be read: {error.strerror}"))

    for folder, subfolders, files in walk(root, unreadable, through_links=True):
        # A link to a folder above, or a second link to the same one, ends here.
        if not _first_visit(folder, visited):
            subfolders.clear()
            continue
        for path in (folder / name for name in (RECORD_FILE, SEARCHES_FILE) if name in files):
            fault = _fault(path)
            if fault:
                problems.append(Problem(str(path), fault))
            elif _first_visit(path, visited):
                yield path
        if STATUS_FILE in files and RECORD_FILE not in files:
            problems.append(Problem(str(folder), _unfinished(Path(folder, STATUS_FILE))))


def _fault(path: Path) -> str:
    """Why a file that is listed cannot be read; empty if it may be."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is a link that leads nowhere"
    except OSError as error:  # of a folder that may be listed, but not entered
        return f"cannot be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "is no plain file"  # a pipe would never end


def _first_visit(path: Path, visited: set[tuple[int, int]]) -> bool:
    try:
        found = path.stat()
    except OSError:
        # It vanished, or may not be entered: reading it will say so.
        return True
    key = (found.st_dev, found.st_ino)
    if key in visited:
        return False
    visited.add(key)
    return True


def _unfinished(path: Path) -> str:
    try:
        state: str = Status.read(path).state
    except RunDirectoryError:
        state = "unreadable"
    return f"has no record yet (its last status is {state!r}), so it is not counted"


def _is_among(value: Any, wanted: Any) -> bool:
    several = isinstance(wanted, Collection) and not isinstance(wanted, str)
    return value in wanted if several else value == wanted


def _identity(run: RunSummary) -> dict[str, Any]:
    return {name: getattr(run, name) for name in _IDENTITY}


def _incumbent(moment: Mapping[str, Any], file: SimulationFile) -> dict[str, Any]:
    judged = moment["judged"]
    regret = None if judged is None else file.regret(judged)
    return {**_flat(moment), "regret": regret, "baseline": file.made["baseline"]}


def _row(run: RunSummary) -> dict[str, Any]:
    plain = {item.name: getattr(run, item.name) for item in fields(run) if item.name not in _SPLIT}
    costs = {"search": run.search_cost, "final": run.final_cost}
    return {
        **plain,
        "breakdowns": "; ".join(run.breakdowns),
        **(run.metrics or {}),
        **{f"{phase}_{unit}": n for phase, cost in costs.items() for unit, n in cost.items()},
        "folder": "" if run.path is None else str(run.path.parent),
    }


def _with_plain_architecture(line: Mapping[str, Any]) -> dict[str, Any]:
    """``line`` with the id of its architecture, and the choices beside it."""
    plain = {key: value for key, value in line.items() if key not in _APART}
    architecture = line.get("architecture")
    if isinstance(architecture, Mapping):
        choices = architecture.get("choices", {})
        plain |= {"architecture": architecture.get("id"), "choices": choices}
    return plain


def _is_table(options: Any) -> bool:
    return isinstance(options, Mapping) and all(isinstance(v, list) for v in options.values())


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{key}/"))
        else:
            found[f"{prefix}{key}"] = value
    return found


def _only(history: pd.DataFrame, kind: str) -> pd.DataFrame:
    if "kind" not in history:
        return history
    lines = history[history["kind"] == kind]
    return lines.dropna(axis="columns", how="all").reset_index(drop=True)
