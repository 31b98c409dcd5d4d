"""Rows of the leaderboard: runs that differ in nothing but their seed, put together.

A row is a mapping from the names in `nasgan.leaderboard.columns`, as it is in frames and in files;
what joins several runs is a tuple in it. Beside them it holds what no file shows: its ``metrics``,
the number of values ``{metric}_n`` of each, and the unscaled ``generator_parameters`` and ``macs``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from nasgan.leaderboard.bootstrap import summarise
from nasgan.leaderboard.published import paper_of
from nasgan.leaderboard.summaries import (
    Problem,
    RandomArchitecture,
    RunSummary,
    grouped,
    space_label,
)
from nasgan.metrics.table import METRICS, in_order
from nasgan.runs.parts import UNITS

__all__ = [
    "AVERAGE_RANDOM",
    "FROM_RECORDS",
    "MIN_SEEDS",
    "STATISTICS",
    "Row",
    "Task",
    "average_random_rows",
    "have",
    "metric_names",
    "published_rows",
    "run_rows",
    "spread_of",
]

AVERAGE_RANDOM = "average random architecture"
FROM_RECORDS = "run records"
"""The ``source`` of a row that is made of run records."""

MIN_SEEDS = 3
FINAL_UNITS = UNITS[1:]  # each result is one architecture
_SIZES = (
    ("generator_parameters", "generator_parameters_m", 1e6),
    ("discriminator_parameters", "discriminator_parameters_m", 1e6),
    ("macs", "macs_g", 1e9),
)
_PROVENANCE = {
    "run_ids": "run_id",
    **{name: name for name in ("hardware", "versions", "commit", "tuning_budget")},
}
STATISTICS = ("mean", "std", "ci_low", "ci_high", "median")

Row: TypeAlias = Mapping[str, Any]


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


_task = attrgetter(*Task._fields)


def metric_names(rows: Iterable[Row], *, spreads: bool = True) -> list[str]:
    """The metrics of ``rows`` in the order of the table of metrics, unknown ones last.

    Args:
        rows: whose.
        spreads: whether those within a run are among them.
    """
    names = in_order(name for row in rows for name in row["metrics"])
    return [name for name in names if spreads or spread_of(name) is None]


def spread_of(metric: str) -> str | None:
    """The metric whose spread within a run another one is; None for all others."""
    return METRICS[metric].companion_of if metric in METRICS else None


def have(rows: Iterable[Row], name: str) -> bool:
    """Whether any of ``rows`` has something in a column."""
    return any(row.get(name) is not None for row in rows)


def run_rows(runs: Iterable[RunSummary], problems: list[Problem]) -> list[Row]:
    """One row for each setting, over its seeds.

    Of two runs of one row and seed the one that ended last counts, whatever its score or status:
    ``problems`` takes up the other.
    """
    setting = attrgetter("strategy", "architecture", *Task._fields, "config_hash")
    return [_run_row(_one_per_seed(same, problems)) for same in grouped(runs, setting).values()]


def _run_row(runs: Sequence[RunSummary]) -> Row:
    first = runs[0]
    scored = [run for run in runs if run.status == "completed" and run.metrics]
    having = scored or [run for run in runs if run.is_untrained]
    searched = having if first.kind == "search" else []
    return {
        **_row(first.strategy, first.architecture, Task(*_task(first)), runs, sized=having),
        **_scores([run.metrics or {} for run in scored]),
        **{f"search_{unit}": _mean(run.search_cost[unit] for run in searched) for unit in UNITS},
        **{f"final_{unit}": _mean(run.final_cost[unit] for run in having) for unit in FINAL_UNITS},
        "config_hash": first.config_hash,
        "n_seeds": len(having),
        "n_failed": sum(run.status == "failed" for run in runs),
        "objectives": first.objectives,
        "front_size": _mean(run.front_size for run in having),
        "regret": _mean(run.regret for run in scored),
        "note": tuple(_notes(runs, scored)),
    }


def average_random_rows(runs: Iterable[RunSummary]) -> list[Row]:
    """The rows of random architectures that were trained as the finalists were.

    Runs of several strategies with one seed may have trained the same random architecture: it
    counts once. A seed's value is the mean over its architectures.
    """
    having = [run for run in runs if run.random_architectures]
    groups = grouped(having, attrgetter(*Task._fields, "final_hash"))
    return [_average_random_row(same) for same in groups.values()]


def _average_random_row(runs: Sequence[RunSummary]) -> Row:
    by_seed: dict[int, dict[str, RandomArchitecture]] = {}
    for run in sorted(runs, key=lambda run: (run.ended, run.run_id)):
        for tried in run.random_architectures:
            by_seed.setdefault(run.seed, {}).setdefault(tried.architecture, tried)
    tried_all = [tried for seed in by_seed.values() for tried in seed.values()]
    working = [tried for tried in tried_all if not tried.failed]
    values = [
        _mean_metrics([tried.metrics for tried in seed.values() if not tried.failed])
        for seed in by_seed.values()
    ]
    scored = [value for value in values if value]
    first = runs[0]
    return {
        **_row(AVERAGE_RANDOM, "", Task(*_task(first)), runs),
        **_scores(scored),
        **{f"final_{u}": _mean(getattr(tried, u) for tried in working) for u in FINAL_UNITS},
        "config_hash": first.final_hash,
        "n_seeds": len(scored),
        "n_failed": len(values) - len(scored),
        "objectives": "",
        "note": tuple(_random_notes(tried_all, runs)),
    }


def published_rows(papers: Iterable[Any]) -> list[Row]:
    """Rows of `nasgan.leaderboard.published.PublishedResult`: of one number no statistics."""
    return [
        {
            **_row(
                f"published: {paper.name}",
                paper.architecture,
                Task(paper.search_space, 0, paper.dataset, "", "", paper.protocol),
                sized=[paper],
            ),
            "source": paper.source,
            "config_hash": "",
            "metrics": tuple(paper.metrics),
            **{_mean_column(name): value for name, value in paper.metrics.items()},
            "objectives": "",
            "note": (paper.note,) if paper.note else (),
        }
        for paper in papers
    ]


def _row(
    strategy: str,
    architecture: str,
    task: Task,
    runs: Sequence[RunSummary] = (),
    *,
    sized: Sequence[Any] = (),
) -> dict[str, Any]:
    """What all rows have.

    Args:
        strategy: its name.
        architecture: of the training of a given one.
        task: of the row.
        runs: whose distinct values, sorted, say where the numbers come from.
        sized: whose parameters and multiply-adds are averaged, in full and as tables show them.
    """
    named = {"strategy": strategy, "architecture": architecture, **task._asdict()}
    paper = paper_of(named)
    sizes = {name: _mean(getattr(each, name, None) for each in sized) for name, *_ in _SIZES}
    return {
        **dict.fromkeys(("rank", "rank_low", "rank_high")),
        **named,
        "conditional": task.num_classes > 0,
        "source": FROM_RECORDS,
        "paper_result": paper.result if paper else "",
        "paper_protocol": f"{paper.protocol} ({paper.source})" if paper else "",
        **sizes,
        **{
            column: None if (mean := sizes[name]) is None else mean / unit
            for name, column, unit in _SIZES
        },
        **{
            column: tuple(sorted({value for run in runs if (value := getattr(run, name))}))
            for column, name in _PROVENANCE.items()
        },
    }


def _one_per_seed(runs: Sequence[RunSummary], problems: list[Problem]) -> list[RunSummary]:
    """The run of each seed that ended last, by seed."""
    kept: list[RunSummary] = []
    for seed, same in grouped(runs, attrgetter("seed")).items():
        *older, latest = sorted(same, key=attrgetter("ended", "started", "run_id"))
        kept.append(latest)
        why = f"not counted: run {latest.run_id} has the same settings and seed {seed} and "
        problems += [Problem(run.run_id, f"{why}ended later") for run in older]
    return sorted(kept, key=attrgetter("seed"))


def _notes(runs: Sequence[RunSummary], scored: Sequence[RunSummary]) -> Iterator[str]:
    failed = [str(run.seed) for run in runs if run.status == "failed"]
    if failed:
        yield f"failed seeds: {', '.join(failed)}"
    untrained = sum(run.is_untrained for run in runs)
    if untrained:
        yield "no scores: the search's result was not trained (final.top_k=0)"
    fronts = [f"{run.front_size} (seed {run.seed})" for run in runs if run.front_size is not None]
    if fronts:
        yield f"objectives {runs[0].objectives}: on the Pareto front {', '.join(fronts)}"
    unscored = len(runs) - len(scored) - len(failed) - untrained
    if unscored:
        yield f"{unscored} completed without metrics"
    yield from (f"seed {run.seed}: {words}" for run in scored for words in run.breakdowns)
    having = Counter(name for run in scored for name in run.metrics or ())
    for name, count in sorted(having.items()):
        if count < len(scored):
            yield f"{name}: {count} of {len(scored)} seeds"
    yield from _commit_notes(runs)


def _commit_notes(runs: Sequence[RunSummary]) -> Iterator[str]:
    if len({run.commit for run in runs}) > 1:
        yield "runs of several commits"
    if any(run.commit.endswith("+dirty") for run in runs):
        yield "uncommitted changes"


def _random_notes(tried: Sequence[RandomArchitecture], runs: Sequence[RunSummary]) -> Iterator[str]:
    working = sum(not one.failed for one in tried)
    failed, broken = len(tried) - working, sum(one.broke_down and not one.failed for one in tried)
    if working > 1:
        yield f"mean of {working} random architectures; costs are of one of them"
    elif working:
        yield "one random architecture, trained without a search"
    yield from _commit_notes(runs)
    if failed:
        yield f"{failed} of {len(tried)} architectures failed"
    if broken:
        told = "broke down in training; their best moments before count"
        yield f"{broken} of {len(tried)} architectures {told}"


def _mean_column(metric: str) -> str:
    """Of a spread within a run only the mean over the seeds is told."""
    of = spread_of(metric)
    return f"{metric}_mean" if of is None else f"{of}_within_run_std"


def _scores(scores: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Statistics by metric, over the seeds that have it."""
    cells: dict[str, Any] = {"metrics": tuple(sorted({name for each in scores for name in each}))}
    for name in cells["metrics"]:
        values = [metrics[name] for metrics in scores if name in metrics]
        is_spread = spread_of(name) is not None
        summary = summarise(values, interval=not is_spread)
        if is_spread:
            cells[_mean_column(name)] = summary.mean
            continue
        cells |= {f"{name}_{what}": getattr(summary, what) for what in ("n", *STATISTICS)}
        # Without a known direction there is no best one.
        best = {"min": summary.least, "max": summary.most}
        cells[f"{name}_best"] = best[METRICS[name].direction] if name in METRICS else None
    return cells


def _mean(values: Iterable[float | None]) -> float | None:
    # Exactly rounded: plain sums of floats differ between versions of Python.
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
