"""Rows of the leaderboard: runs that differ in nothing but their seed, put together.

A row is a mapping from the names in `nasgan.leaderboard.columns`, as it is in frames and in files;
what joins several runs is a tuple in it. Beside them it holds what no file shows: its ``metrics``,
the number of values ``{metric}_n`` of each, and the unscaled ``generator_parameters`` and ``macs``.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias, TypeVar

from nasgan.leaderboard.bootstrap import Summary, summarise
from nasgan.leaderboard.published import paper_cells
from nasgan.leaderboard.summaries import Problem, RandomArchitecture, RunSummary, space_label
from nasgan.metrics.table import METRICS
from nasgan.runs.parts import UNITS

__all__ = [
    "AVERAGE_RANDOM",
    "FROM_RECORDS",
    "MIN_SEEDS",
    "STATISTICS",
    "Row",
    "Task",
    "average_random_rows",
    "has_regret",
    "metric_names",
    "published_rows",
    "run_rows",
]

AVERAGE_RANDOM = "average random architecture"
FROM_RECORDS = "run records"
"""The ``source`` of a row that is made of run records."""

MIN_SEEDS = 3
SEARCH_UNITS = UNITS
FINAL_UNITS = UNITS[1:]  # each result is one architecture
_UNRANKED = dict.fromkeys(("rank", "rank_low", "rank_high"))
STATISTICS = ("mean", "std", "ci_low", "ci_high", "median")

Row: TypeAlias = Mapping[str, Any]
Key = TypeVar("Key")
Item = TypeVar("Item")


class Task(NamedTuple):
    """What rows have to share for their numbers to say which method is better; see `RunSummary`."""

    search_space: str
    num_classes: int
    dataset: str
    dataset_checksum: str
    budget: str
    protocol: str

    @classmethod
    def of(cls, row: Row) -> Task:
        """The task of a row."""
        return cls(*(row[name] for name in cls._fields))

    @property
    def space(self) -> str:
        """The space, and whether its networks are class-conditional."""
        return space_label(self.search_space, self.num_classes)

    def __str__(self) -> str:
        return " · ".join(word for word in (self.space, self.dataset, self.budget) if word)


_SETTING = attrgetter("strategy", "architecture", *Task._fields, "config_hash")
_FINAL_SETTING = attrgetter(*Task._fields, "final_hash")


def metric_names(rows: Iterable[Row]) -> list[str]:
    """The metrics of ``rows`` in the order of the table of metrics, unknown ones last."""
    present = {name for row in rows for name in row["metrics"]}
    return [name for name in METRICS if name in present] + sorted(present - set(METRICS))


def has_regret(rows: Iterable[Row]) -> bool:
    """Whether a table judged what was found in any of ``rows``."""
    return any(row.get("regret") is not None for row in rows)


def run_rows(runs: Iterable[RunSummary], problems: list[Problem]) -> list[Row]:
    """One row for each setting, over its seeds.

    Of two runs of one row and seed the one that ended last counts, whatever its score or status:
    ``problems`` takes up the other.
    """
    groups = _group((_SETTING(run), run) for run in runs)
    return [_run_row(_one_per_seed(group, problems)) for group in groups.values()]


def _run_row(runs: Sequence[RunSummary]) -> Row:
    first = runs[0]
    scored = [run for run in runs if run.status == "completed" and run.metrics]
    having = scored or [run for run in runs if run.is_untrained]
    searched = having if first.kind == "search" else []
    return {
        **_setting(first, first.strategy, first.architecture),
        **_scores([run.metrics or {} for run in scored]),
        **_sizes(having),
        **_mean_cost("search", [run.search_cost for run in searched], SEARCH_UNITS),
        **_mean_cost("final", [run.final_cost for run in having], FINAL_UNITS),
        **_provenance(runs),
        "config_hash": first.config_hash,
        "n_seeds": len(having),
        "n_failed": sum(run.status == "failed" for run in runs),
        "objectives": first.objectives,
        "front_size": _mean(run.front_size for run in having),
        "regret": _mean(run.regret for run in scored),
        "note": _notes(runs, scored),
    }


def average_random_rows(runs: Iterable[RunSummary]) -> list[Row]:
    """The rows of random architectures that were trained as the finalists were.

    Runs of several strategies with one seed may have trained the same random architecture: it
    counts once. A seed's value is the mean over its architectures.
    """
    having = [run for run in runs if run.random_architectures]
    groups = _group((_FINAL_SETTING(run), run) for run in having)
    return [_average_random_row(group) for group in groups.values()]


def _average_random_row(runs: Sequence[RunSummary]) -> Row:
    by_seed: dict[int, dict[str, RandomArchitecture]] = defaultdict(dict)
    for run in sorted(runs, key=lambda run: (run.ended, run.run_id)):
        for tried in run.random_architectures:
            by_seed[run.seed].setdefault(tried.architecture, tried)
    tried_all = [tried for seed in by_seed.values() for tried in seed.values()]
    working = [tried for tried in tried_all if not tried.failed]
    values = [
        _mean_metrics([tried.metrics for tried in seed.values() if not tried.failed])
        for seed in by_seed.values()
    ]
    scored = [value for value in values if value]
    costs = [{unit: getattr(tried, unit) for unit in FINAL_UNITS} for tried in working]
    first = runs[0]
    return {
        **_setting(first, AVERAGE_RANDOM, ""),
        **_scores(scored),
        **_sizes([]),
        **_mean_cost("final", costs, FINAL_UNITS),
        **_provenance(runs),
        "config_hash": first.final_hash,
        "n_seeds": len(scored),
        "n_failed": len(values) - len(scored),
        "objectives": "",
        "note": _random_notes(tried_all, runs),
    }


def published_rows(papers: Iterable[Any]) -> list[Row]:
    """Rows of `nasgan.leaderboard.published.PublishedResult`: of one number no statistics."""
    return [
        {
            **_UNRANKED,
            "strategy": f"published: {paper.name}",
            "search_space": paper.search_space,
            "num_classes": 0,
            "architecture": paper.architecture,
            "dataset": paper.dataset,
            "dataset_checksum": "",
            "budget": "",
            "protocol": paper.protocol,
            "source": paper.source,
            "config_hash": "",
            "metrics": tuple(paper.metrics),
            **{_mean_column(name): value for name, value in paper.metrics.items()},
            **_sizes([paper]),
            **_provenance([]),
            **paper_cells(None),
            "objectives": "",
            "note": (paper.note,) if paper.note else (),
        }
        for paper in papers
    ]


def _setting(run: RunSummary, strategy: str, architecture: str) -> dict[str, Any]:
    """What the runs of a row share."""
    task = {name: getattr(run, name) for name in Task._fields}
    named = {"strategy": strategy, "architecture": architecture, **task}
    return {**_UNRANKED, **named, "source": FROM_RECORDS, **paper_cells(named)}


def _provenance(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """Where the numbers of a row come from: the distinct values over its runs, sorted."""
    sources = ("hardware", "versions", "commit", "run_id", "tuning_budget")
    return {
        "run_ids" if name == "run_id" else name: tuple(
            sorted({value for run in runs if (value := getattr(run, name))})
        )
        for name in sources
    }


def _one_per_seed(runs: Sequence[RunSummary], problems: list[Problem]) -> list[RunSummary]:
    """The run of each seed that ended last, by seed."""
    kept: list[RunSummary] = []
    for same in _group((run.seed, run) for run in runs).values():
        *older, latest = sorted(same, key=lambda run: (run.ended, run.started, run.run_id))
        kept.append(latest)
        problems += [
            Problem(
                run.run_id,
                f"not counted: run {latest.run_id} has the same settings and seed {run.seed} and "
                "ended later",
            )
            for run in older
        ]
    return sorted(kept, key=lambda run: run.seed)


def _notes(runs: Sequence[RunSummary], scored: Sequence[RunSummary]) -> tuple[str, ...]:
    notes: list[str] = []
    failed = [run for run in runs if run.status == "failed"]
    untrained = sum(run.is_untrained for run in runs)
    unscored = len(runs) - len(scored) - len(failed) - untrained
    if failed:
        notes.append(f"failed seeds: {', '.join(str(run.seed) for run in failed)}")
    if untrained:
        notes.append("no scores: the search's result was not trained (final.top_k=0)")
    notes += _front_notes(runs)
    if unscored:
        notes.append(f"{unscored} completed without metrics")
    notes += [f"seed {run.seed}: {words}" for run in scored for words in run.breakdowns]
    having = Counter(name for run in scored for name in run.metrics or ())
    notes += [
        f"{name}: {count} of {len(scored)} seeds"
        for name, count in sorted(having.items())
        if count < len(scored)
    ]
    return (*notes, *_commit_notes(runs))


def _front_notes(runs: Sequence[RunSummary]) -> list[str]:
    sizes = [f"{run.front_size} (seed {run.seed})" for run in runs if run.front_size is not None]
    words = f"objectives {runs[0].objectives}: on the Pareto front {', '.join(sizes)}"
    return [words] if sizes else []


def _commit_notes(runs: Sequence[RunSummary]) -> list[str]:
    notes = ["runs of several commits"] if len({run.commit for run in runs}) > 1 else []
    is_dirty = any(run.commit.endswith("+dirty") for run in runs)
    return [*notes, "uncommitted changes"] if is_dirty else notes


def _random_notes(
    tried: Sequence[RandomArchitecture], runs: Sequence[RunSummary]
) -> tuple[str, ...]:
    working = [one for one in tried if not one.failed]
    failed, broken = len(tried) - len(working), sum(one.broke_down for one in working)
    notes = [f"mean of {len(working)} random architectures; costs are of one of them"]
    if len(working) < 2:
        notes = ["one random architecture, trained without a search"][: len(working)]
    notes += _commit_notes(runs)
    if failed:
        notes.append(f"{failed} of {len(tried)} architectures failed")
    if broken:
        told = "broke down in training; their best moments before count"
        notes.append(f"{broken} of {len(tried)} architectures {told}")
    return tuple(notes)


def _group(pairs: Iterable[tuple[Key, Item]]) -> dict[Key, list[Item]]:
    groups: dict[Key, list[Item]] = {}
    for key, item in pairs:
        groups.setdefault(key, []).append(item)
    return groups


def _mean_column(metric: str) -> str:
    """Of a spread within a run only the mean over the seeds is told."""
    companion_of = METRICS[metric].companion_of if metric in METRICS else None
    return f"{metric}_mean" if companion_of is None else f"{companion_of}_within_run_std"


def _scores(scores: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Statistics by metric, over the seeds that have it."""
    cells: dict[str, Any] = {"metrics": tuple(sorted({name for each in scores for name in each}))}
    for name in cells["metrics"]:
        values = [metrics[name] for metrics in scores if name in metrics]
        is_companion = name in METRICS and METRICS[name].companion_of is not None
        summary = summarise(values, interval=not is_companion)
        if is_companion:
            cells[_mean_column(name)] = summary.mean
        else:
            cells |= {f"{name}_{what}": getattr(summary, what) for what in ("n", *STATISTICS)}
            cells[f"{name}_best"] = _best(name, summary)
    return cells


def _best(metric: str, summary: Summary) -> float | None:
    """The best seed's value; None without a known direction."""
    if metric not in METRICS:
        return None
    return summary.least if METRICS[metric].direction == "min" else summary.most


def _sizes(having: Sequence[Any]) -> dict[str, float | None]:
    """Means of the numbers of parameters and multiply-adds, in full and as tables show them."""
    cells: dict[str, float | None] = {}
    for name, column, unit in (
        ("generator_parameters", "generator_parameters_m", 1e6),
        ("discriminator_parameters", "discriminator_parameters_m", 1e6),
        ("macs", "macs_g", 1e9),
    ):
        mean = _mean(getattr(run, name, None) for run in having)
        cells |= {name: mean, column: None if mean is None else mean / unit}
    return cells


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _mean_metrics(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = sorted({name for metrics in scores for name in metrics})
    return {
        name: summarise(
            [metrics[name] for metrics in scores if name in metrics], interval=False
        ).mean
        for name in names
    }


def _mean_cost(
    phase: str, costs: Sequence[Mapping[str, float]], units: Sequence[str]
) -> dict[str, float]:
    # Exactly rounded: plain sums of floats differ between versions of Python.
    return {
        f"{phase}_{unit}": math.fsum(cost[unit] for cost in costs) / len(costs)
        for unit in units
        if costs
    }
