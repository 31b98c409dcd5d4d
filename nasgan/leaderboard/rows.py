"""Rows of the leaderboard: runs that differ in nothing but their seed, put together."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple, TypeVar

from nasgan.leaderboard.bootstrap import Summary, summarise
from nasgan.leaderboard.collection import Problem, RandomArchitecture, RunSummary, space_label
from nasgan.metrics.table import METRICS

__all__ = ["AVERAGE_RANDOM", "MIN_SEEDS", "Row", "Task", "average_random_rows", "run_rows"]

AVERAGE_RANDOM = "average random architecture"
MIN_SEEDS = 3

SEARCH_UNITS = ("architectures", "generator_steps", "images", "device_seconds")
FINAL_UNITS = ("generator_steps", "images", "device_seconds")

Key = TypeVar("Key")
Item = TypeVar("Item")


class Task(NamedTuple):
    """What rows have to share for their numbers to say which method is better.

    Attributes:
        search_space: the space.
        num_classes: of class-conditional networks; 0 for unconditional ones.
        dataset: identity of the image set.
        dataset_checksum: of the images trained on.
        budget: what the search might spend and how the result was trained, in words.
        protocol: how it was scored.
    """

    search_space: str
    num_classes: int
    dataset: str
    dataset_checksum: str
    budget: str
    protocol: str

    def __str__(self) -> str:
        words = [space_label(self.search_space, self.num_classes), self.dataset, self.budget]
        return " · ".join(word for word in words if word)


_SETTING = attrgetter("strategy", "architecture", *Task._fields, "config_hash")
_FINAL_SETTING = attrgetter(*Task._fields, "final_hash")


@dataclass(frozen=True)
class Provenance:
    """Where the numbers of a row come from: the distinct values over its runs, sorted.

    Attributes:
        hardware: the devices.
        versions: the sets of versions.
        commits: the commits of nasgan.
        run_ids: the runs, failed ones too.
        tuning_budgets: what was spent on tuning the settings before.
    """

    hardware: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    tuning_budgets: tuple[str, ...] = ()

    @classmethod
    def of(cls, runs: Sequence[RunSummary]) -> Provenance:
        """The provenance of ``runs`` together."""
        return cls(
            hardware=_distinct(run.hardware for run in runs),
            versions=_distinct(run.versions for run in runs),
            commits=_distinct(run.commit for run in runs),
            run_ids=_distinct(run.run_id for run in runs),
            tuning_budgets=_distinct(run.tuning_budget for run in runs),
        )


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard.

    Attributes:
        strategy: the strategy, ``"train"`` for the training of a given architecture, or
            `AVERAGE_RANDOM`.
        search_space: the space.
        architecture: for ``"train"``, the name or id of the architecture; else empty.
        dataset: identity of the image set.
        dataset_checksum: of the images trained on.
        protocol: the protocol's id.
        config_hash: of the configuration without the seed; for `AVERAGE_RANDOM`, without what
            concerns the search alone, too.
        n_seeds: seeds with a result.
        n_failed: seeds without.
        num_classes: of class-conditional networks; 0 for unconditional ones.
        budget: what the search might spend and how the result was trained, in words.
        metrics: statistics over the seeds by metric.
        generator_parameters: mean over the seeds, as all of the following numbers.
        discriminator_parameters: as above.
        macs: multiply-adds of the generator for one image.
        search_cost: by unit, empty where nothing was searched.
        final_cost: by unit; for `AVERAGE_RANDOM` the cost of one architecture.
        provenance: where the numbers come from.
        notes: what a reader has to know.
        objectives: of searches by several, in words; empty for one.
        front_size: architectures on the Pareto front of such a search, mean over the seeds.
        rank: within the task, from 1; None if it is not ranked.
        rank_low: the best rank that the intervals allow.
        rank_high: the worst one.
        source: where a paper says this; empty for a row made of run records.
    """

    strategy: str
    search_space: str
    architecture: str
    dataset: str
    dataset_checksum: str
    protocol: str
    config_hash: str
    n_seeds: int
    n_failed: int
    metrics: Mapping[str, Summary]
    generator_parameters: float | None = None
    discriminator_parameters: float | None = None
    macs: float | None = None
    search_cost: Mapping[str, float] = field(default_factory=dict)
    final_cost: Mapping[str, float] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    notes: tuple[str, ...] = ()
    objectives: str = ""
    front_size: float | None = None
    rank: int | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    num_classes: int = 0
    budget: str = ""
    source: str = ""

    @property
    def task(self) -> Task:
        """What it was done on: rows of one task are ranked against each other."""
        return Task(*(getattr(self, name) for name in Task._fields))

    @property
    def space_label(self) -> str:
        """The space, and whether its networks are class-conditional."""
        return space_label(self.search_space, self.num_classes)

    def best(self, metric: str) -> float | None:
        """The best seed's value of ``metric``; None without values or a known direction."""
        if metric not in self.metrics or metric not in METRICS:
            return None
        summary = self.metrics[metric]
        return summary.least if METRICS[metric].direction == "min" else summary.most


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
    searched = first.kind == "search"
    return Row(
        strategy=first.strategy,
        search_space=first.search_space,
        architecture=first.architecture,
        dataset=first.dataset,
        dataset_checksum=first.dataset_checksum,
        protocol=first.protocol,
        config_hash=first.config_hash,
        num_classes=first.num_classes,
        budget=first.budget,
        n_seeds=len(having),
        n_failed=sum(run.status == "failed" for run in runs),
        metrics=_summaries([run.metrics or {} for run in scored]),
        generator_parameters=_mean(run.generator_parameters for run in having),
        discriminator_parameters=_mean(run.discriminator_parameters for run in having),
        macs=_mean(run.macs for run in having),
        search_cost=_mean_cost([r.search_cost for r in having], SEARCH_UNITS) if searched else {},
        final_cost=_mean_cost([run.final_cost for run in having], FINAL_UNITS),
        objectives=first.objectives,
        front_size=_mean(run.front_size for run in having),
        notes=_notes(runs, scored),
        provenance=Provenance.of(runs),
    )


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
    failed = len(tried_all) - len(working)
    notes = [_random_words(len(working)), *_commit_notes(runs)] if working else _commit_notes(runs)
    notes += [f"{failed} of {len(tried_all)} architectures failed"] if failed else []
    broken = sum(tried.broke_down for tried in working)
    if broken:
        told = "broke down in training; their best moments before count"
        notes.append(f"{broken} of {len(tried_all)} architectures {told}")
    first = runs[0]
    return Row(
        strategy=AVERAGE_RANDOM,
        search_space=first.search_space,
        architecture="",
        dataset=first.dataset,
        dataset_checksum=first.dataset_checksum,
        protocol=first.protocol,
        config_hash=first.final_hash,
        num_classes=first.num_classes,
        budget=first.budget,
        n_seeds=len(scored),
        n_failed=len(values) - len(scored),
        metrics=_summaries(scored),
        final_cost=_mean_cost(
            [{unit: getattr(tried, unit) for unit in FINAL_UNITS} for tried in working],
            FINAL_UNITS,
        ),
        notes=tuple(notes),
        provenance=Provenance.of(runs),
    )


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


def _random_words(count: int) -> str:
    if count == 1:
        return "one random architecture, trained without a search"
    return f"mean of {count} random architectures; costs are of one of them"


def _group(pairs: Iterable[tuple[Key, Item]]) -> dict[Key, list[Item]]:
    groups: dict[Key, list[Item]] = {}
    for key, item in pairs:
        groups.setdefault(key, []).append(item)
    return groups


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({text for text in texts if text}))


def _summaries(scores: Sequence[Mapping[str, float]]) -> dict[str, Summary]:
    """Statistics by metric, over the seeds that have it."""
    names = sorted({name for metrics in scores for name in metrics})
    return {
        name: summarise(
            [metrics[name] for metrics in scores if name in metrics],
            interval=name not in METRICS or METRICS[name].companion_of is None,
        )
        for name in names
    }


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


def _mean_cost(costs: Sequence[Mapping[str, float]], units: Sequence[str]) -> dict[str, float]:
    # Exactly rounded: plain sums of floats differ between versions of Python.
    return {unit: math.fsum(cost[unit] for cost in costs) / len(costs) for unit in units if costs}
