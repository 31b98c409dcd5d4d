"""Many simulated searches held against each other: who finds more, by how much, and when.

After Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets (JMLR 7, 2006), with
seeds in place of data sets: searches of one seed see the same draws of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import friedmanchisquare, norm, rankdata, studentized_range

from nasgan.leaderboard.bootstrap import CONFIDENCE, Summary, summarise
from nasgan.metrics.table import metric_info

__all__ = [
    "FRACTIONS",
    "CriticalDifference",
    "Moment",
    "SearchLine",
    "critical_difference",
    "over_time",
    "summary_of",
]

FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Of the budget, at which searches are compared over time."""

Records = Sequence[Mapping[str, Any]]
# By strategy, by seed in one order for all; less is better, infinite without a result.
Losses = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class SearchLine:
    """The searches of one strategy together.

    Attributes:
        strategy: its name.
        judged: mean over seeds of what each search found, judged by the table.
        better: probability of finding a better one than the baseline with the same seed; ties count
            half. With the score interval of Wilson (1927), which stays honest near 0 and 1. None
            for the baseline.
        gain: by how much better, on average over the seeds in which both found something; above 0
            is better.
        rank: among the strategies, averaged over seeds; 1 is best.
        generator_steps: spent by a search, on average.
        without_result: searches that found nothing that can be judged.
    """

    strategy: str
    judged: Summary | None
    better: Summary | None
    gain: Summary | None
    rank: Summary | None
    generator_steps: float
    without_result: int


@dataclass(frozen=True)
class Moment:
    """All strategies when so much was spent.

    Attributes:
        fraction: of the budget.
        spent: in the budget's unit.
        lines: best first.
    """

    fraction: float
    spent: float
    lines: tuple[SearchLine, ...]


@dataclass(frozen=True)
class CriticalDifference:
    """Nemenyi's test (1963) of average ranks over seeds.

    Attributes:
        ranks: average rank by strategy, best first.
        seeds: N.
        difference: two strategies whose ranks differ by more differ at the 5 % level,
            ``q sqrt(k (k + 1) / (6 N))``; q of the studentised range over the square root of 2
            (Demšar 2006, section 3.2.2).
        friedman: p-value of Friedman's test that all are alike; None for two strategies.
        alike: largest sets of strategies that the test does not tell apart, best first.
    """

    ranks: Mapping[str, float]
    seeds: int
    difference: float
    friedman: float | None
    alike: tuple[tuple[str, ...], ...]


def summary_of(
    records: Records, metric: str, baseline: str, *, at: tuple[str, float] | None = None
) -> list[SearchLine]:
    """One line a strategy, best first; a search without a result is worse than any with one.

    Args:
        records: lines of ``simulations.jsonl``; seeds that not every strategy has are left out of
            what compares strategies.
        metric: by which they were judged.
        baseline: the strategy that the others are held against.
        at: unit of cost and how much of it: what was known then; None: at the end.
    """
    losses = _losses(records, metric, at)
    ranks = _ranks(losses)
    lines = [_line(name, records, losses, ranks, baseline, metric) for name in losses]
    return sorted(lines, key=lambda line: line.rank.mean if line.rank else math.inf)


def over_time(
    records: Records, metric: str, baseline: str, unit: str, budget: float
) -> list[Moment]:
    """`summary_of` at the `FRACTIONS` of ``budget``."""
    return [
        Moment(f, f * budget, tuple(summary_of(records, metric, baseline, at=(unit, f * budget))))
        for f in FRACTIONS
    ]


def critical_difference(records: Records, metric: str) -> CriticalDifference | None:
    """Test what the searches found; None with fewer than two strategies or seeds."""
    losses = _losses(records, metric, None)
    averages = {name: float(ranks.mean()) for name, ranks in _ranks(losses).items() if len(ranks)}
    count, seeds = len(averages), len(next(iter(losses.values()), ()))
    if count < 2 or seeds < 2:
        return None
    q = float(studentized_range.ppf(CONFIDENCE, count, np.inf)) / math.sqrt(2)
    difference = q * math.sqrt(count * (count + 1) / (6 * seeds))
    ordered = dict(sorted(averages.items(), key=lambda item: (item[1], item[0])))
    return CriticalDifference(
        ordered, seeds, difference, _friedman(losses), tuple(_alike(ordered, difference))
    )


def _friedman(losses: Losses) -> float | None:
    if len(losses) < 3:
        return None
    ranks = _ranks(losses)
    if all(np.ptp(column) == 0 for column in zip(*ranks.values(), strict=True)):
        return 1.0
    return float(friedmanchisquare(*ranks.values()).pvalue)


def _alike(ordered: Mapping[str, float], difference: float) -> list[tuple[str, ...]]:
    names, ranks = list(ordered), list(ordered.values())
    found: list[tuple[str, ...]] = []
    reached = 0
    for first in range(len(names)):
        last = max(k for k in range(len(names)) if ranks[k] - ranks[first] <= difference)
        if last > first and last + 1 > reached:
            found.append(tuple(names[first : last + 1]))
        reached = max(reached, last + 1)
    return found


def _losses(records: Records, metric: str, at: tuple[str, float] | None) -> dict[str, np.ndarray]:
    by_strategy: dict[str, dict[int, Mapping[str, Any]]] = {}
    for record in records:
        by_strategy.setdefault(record["strategy"], {})[record["seed"]] = record
    seeds = sorted(set.intersection(*map(set, by_strategy.values()))) if by_strategy else []
    sign = 1.0 if metric_info(metric).direction == "min" else -1.0
    return {
        name: np.array([_loss(_judged(held[seed], at), sign) for seed in seeds])
        for name, held in by_strategy.items()
    }


def _judged(record: Mapping[str, Any], at: tuple[str, float] | None) -> float | None:
    """What the record's search had found, by the end or by then."""
    if at is None:
        judged: float | None = record["judged"]
        return judged
    unit, spent = at
    # Costs are sums of numbers that have no exact form.
    known = [i for i in record["incumbents"] if i["spent"][unit] <= spent * (1 + 1e-9)]
    return known[-1]["judged"] if known else None


def _loss(judged: float | None, sign: float) -> float:
    return math.inf if judged is None else sign * judged


def _ranks(losses: Losses) -> dict[str, np.ndarray]:
    if not losses:
        return {}
    ranks = rankdata(np.stack(list(losses.values())), axis=0)
    return dict(zip(losses, ranks, strict=True))


def _line(
    name: str, records: Records, losses: Losses, ranks: Losses, baseline: str, metric: str
) -> SearchLine:
    own = [record for record in records if record["strategy"] == name]
    sign = 1.0 if metric_info(metric).direction == "min" else -1.0
    found = losses[name][np.isfinite(losses[name])]
    better = gain = None
    if name != baseline and len(losses.get(baseline, ())):
        other = losses[baseline]
        better = _proportion(0.5 * ((losses[name] < other) + 1.0 * (losses[name] <= other)))
        both = np.isfinite(losses[name]) & np.isfinite(other)
        gain = _mean(other[both] - losses[name][both])
    return SearchLine(
        strategy=name,
        judged=_mean(sign * found),
        better=better,
        gain=gain,
        rank=_mean(ranks[name]),
        generator_steps=sum(r["spent"]["generator_steps"] for r in own) / len(own),
        without_result=len(losses[name]) - len(found),
    )


def _mean(values: np.ndarray) -> Summary | None:
    return summarise(values.tolist()) if len(values) else None


def _proportion(wins: np.ndarray) -> Summary:
    """The mean of numbers from 0 to 1 with Wilson's interval, as if each were a win or a loss.

    Half a win varies less than that: with ties the interval is too wide, never too narrow.
    """
    n, z = len(wins), float(norm.ppf(0.5 + CONFIDENCE / 2))
    p = float(wins.mean())
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return replace(
        summarise(wins.tolist(), interval=False), ci_low=centre - half, ci_high=centre + half
    )
