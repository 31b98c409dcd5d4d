"""Many simulated searches held against each other: who finds more, by how much, and when.

After Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets (JMLR 7, 2006), with
seeds in place of data sets: searches of one seed see the same draws of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, norm, studentized_range

from nasgan.leaderboard.bootstrap import CONFIDENCE, Summary, summarise
from nasgan.leaderboard.summaries import grouped
from nasgan.metrics.table import metric_info

__all__ = [
    "FRACTIONS",
    "CriticalDifference",
    "Moment",
    "SearchLine",
    "critical_difference",
    "judged_at",
    "over_time",
    "summary_of",
]

FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Of the budget, at which searches are compared over time."""

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class SearchLine:
    """The searches of one strategy together.

    Attributes:
        strategy: its name.
        judged: mean over its seeds of what each search found, judged by the table.
        better: probability of finding a better one than the baseline with the same seed, over those
            that both have; ties count half. With the score interval of Wilson (1927), which stays
            honest near 0 and 1. None for the baseline.
        gain: by how much better, on average over the seeds in which both found something; above 0
            is better.
        rank: among the strategies, averaged over the seeds that all have; 1 is best.
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
        records: lines of ``simulations.jsonl``.
        metric: by which they were judged.
        baseline: the strategy that the others are held against.
        at: unit of cost and how much of it: what was known then; None: at the end.
    """
    losses = _losses(records, metric, at)
    ranks = losses.dropna().rank(axis=1)
    lines = [_line(name, records, losses, ranks[name], baseline, metric) for name in losses]
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
    ranks = _losses(records, metric, None).dropna().rank(axis=1)
    seeds, count = ranks.shape
    if count < 2 or seeds < 2:
        return None
    q = float(studentized_range.ppf(CONFIDENCE, count, np.inf)) / math.sqrt(2)
    difference = q * math.sqrt(count * (count + 1) / (6 * seeds))
    averages = {str(name): float(ranks[name].mean()) for name in ranks}
    ordered = dict(sorted(averages.items(), key=lambda item: (item[1], item[0])))
    friedman = None
    if count > 2:
        are_alike = bool((ranks.nunique(axis=1) == 1).all())
        friedman = 1.0 if are_alike else float(friedmanchisquare(*ranks.T.to_numpy()).pvalue)
    return CriticalDifference(ordered, seeds, difference, friedman, _alike(ordered, difference))


def _alike(ordered: Mapping[str, float], difference: float) -> tuple[tuple[str, ...], ...]:
    names, ranks = list(ordered), list(ordered.values())
    found: list[tuple[str, ...]] = []
    reached = 0
    for first in range(len(names)):
        last = max(k for k in range(len(names)) if ranks[k] - ranks[first] <= difference)
        if last > first and last + 1 > reached:
            found.append(tuple(names[first : last + 1]))
        reached = max(reached, last + 1)
    return tuple(found)


def _losses(records: Records, metric: str, at: tuple[str, float] | None) -> pd.DataFrame:
    """By seed and strategy; less is better, infinite without a result, NaN without a search."""
    sign, losses = _sign(metric), {}
    for name, own in grouped(records, itemgetter("strategy")).items():
        judged = {record["seed"]: judged_at(record, at) for record in own}
        losses[name] = {k: math.inf if v is None else sign * v for k, v in judged.items()}
    return pd.DataFrame(losses).sort_index()


def _sign(metric: str) -> float:
    return 1.0 if metric_info(metric).direction == "min" else -1.0


def judged_at(record: Mapping[str, Any], at: tuple[str, float] | None) -> float | None:
    """What the record's search had found by the end, or by ``at``, so much spent of a unit."""
    if at is None:
        judged: float | None = record["judged"]
        return judged
    unit, spent = at
    # Costs are sums of numbers that have no exact form.
    known = [i for i in record["incumbents"] if i["spent"][unit] <= spent * (1 + 1e-9)]
    return known[-1]["judged"] if known else None


def _line(
    name: str,
    records: Records,
    losses: pd.DataFrame,
    ranks: pd.Series[float],
    baseline: str,
    metric: str,
) -> SearchLine:
    steps = [r["spent"]["generator_steps"] for r in records if r["strategy"] == name]
    alone = losses[name].dropna().to_numpy()
    found = alone[np.isfinite(alone)]
    is_compared = name != baseline and baseline in losses
    better, gain = _against(losses[[name, baseline]].dropna()) if is_compared else (None, None)
    return SearchLine(
        strategy=name,
        judged=_mean(_sign(metric) * found),
        better=better,
        gain=gain,
        rank=_mean(ranks.to_numpy()),
        generator_steps=sum(steps) / len(steps),
        without_result=len(alone) - len(found),
    )


def _against(pairs: pd.DataFrame) -> tuple[Summary | None, Summary | None]:
    """`SearchLine.better` and ``gain`` of the first column over the second."""
    own, other = pairs.to_numpy().T
    if not len(own):
        return None, None
    both = np.isfinite(own) & np.isfinite(other)
    better = _proportion(0.5 * ((own < other) + 1.0 * (own <= other)))
    return better, _mean(other[both] - own[both])


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
