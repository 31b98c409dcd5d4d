"""The runs below results folders, as pandas frames. Imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from nasgan.errors import ConfigError, RunDirectoryError, UnknownNameError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.leaderboard.leaderboard import Leaderboard
from nasgan.leaderboard.summaries import Problem, RunSummary, without_duplicates
from nasgan.run_settings import flat
from nasgan.runs.history import HISTORY_FILE, read_history
from nasgan.runs.record import RunRecord
from nasgan.runs.simulations import SimulationFile

__all__ = ["Study"]

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
            {**flat(_with_plain_architecture(line), "/"), **_identity(run)}
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
            units = {unit: spent.get(unit) for unit in ("generator_steps", "architectures")}
            moment = {**_identity(run), "index": line["index"], **units}
            for decision, shares in shares_of.items():
                known = names[run.run_id].get(decision, ())
                if len(known) != len(shares):
                    known = map(str, range(len(shares)))
                rows += [
                    {**moment, "decision": decision, "option": option, "share": share}
                    for option, share in zip(known, shares, strict=True)
                ]
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


def _is_among(value: Any, wanted: Any) -> bool:
    several = isinstance(wanted, Collection) and not isinstance(wanted, str)
    return value in wanted if several else value == wanted


def _identity(run: RunSummary) -> dict[str, Any]:
    return {name: getattr(run, name) for name in _IDENTITY}


def _incumbent(moment: Mapping[str, Any], file: SimulationFile) -> dict[str, Any]:
    judged = moment["judged"]
    regret = None if judged is None else file.regret(judged)
    return {**flat(moment, "/"), "regret": regret, "baseline": file.made["baseline"]}


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


def _only(history: pd.DataFrame, kind: str) -> pd.DataFrame:
    if "kind" not in history:
        return history
    lines = history[history["kind"] == kind]
    return lines.dropna(axis="columns", how="all").reset_index(drop=True)
