"""Performance over time: the incumbent's score against what was spent, over the seeds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from nasgan.leaderboard.bootstrap import summarise
from nasgan.report.charts import Band
from nasgan.report.histories import RunHistory

__all__ = ["Curve", "incumbent_curve", "mean_curve", "training_curve"]

Curve: TypeAlias = "list[tuple[float, float]]"
"""``(cost, score)`` by ascending cost; the score holds until the next."""

_MOST_PLACES = 120


def incumbent_curve(history: RunHistory, unit: str, *, stage: int | None) -> Curve:
    """The score of the incumbent as the search saw it, against the cost of the search.

    Args:
        history: of one run.
        unit: of the cost, e.g. ``"generator_steps"``.
        stage: the last one of a progressive search: scores of its earlier stages are of smaller
            images and do not compare; None where there are no stages.
    """
    latest: dict[str, float] = {}
    curve: Curve = []
    for scored in history.scored:
        if scored.stage not in (None, stage):
            continue
        if scored.score is not None:
            latest[scored.architecture] = scored.score
        if scored.incumbent in latest:
            curve.append((scored.spent[unit], latest[scored.incumbent]))
    return _by_cost(curve)


def training_curve(
    history: RunHistory, unit: str, metric: str, *, smaller_is_better: bool, before: float = 0.0
) -> Curve:
    """The best score so far of the final trainings of a run's results, against the cost.

    Args:
        history: of one run; random architectures trained for comparison are left out.
        unit: of the cost.
        metric: the score.
        smaller_is_better: its direction.
        before: what the search cost: the curve begins after it.
    """
    curve: Curve = []
    best: float | None = None
    for point in history.checkpoints:
        if history.finalists and point.architecture not in history.finalists:
            continue
        value = point.metrics.get(metric)
        if value is None:
            continue
        better = best is None or (value < best if smaller_is_better else value > best)
        best = value if better else best
        assert best is not None
        curve.append((before + point.spent[unit], best))
    return _by_cost(curve)


def mean_curve(curves: Sequence[Curve]) -> list[Band]:
    """The mean over seeds with its 95 % bootstrap interval, on a grid common to all.

    Each curve is a step function. The grid begins where the last of them does (before that, a mean
    would be over some seeds only) and goes on to the end of the longest; a search that ended
    earlier keeps its result.
    """
    curves = [curve for curve in curves if curve]
    if not curves:
        return []
    start = max(curve[0][0] for curve in curves)
    end = max(curve[-1][0] for curve in curves)
    places = sorted({start, end, *(x for curve in curves for x, _ in curve if x >= start)})
    if len(places) > _MOST_PLACES:
        step = (end - start) / (_MOST_PLACES - 1)
        places = [start + k * step for k in range(_MOST_PLACES - 1)] + [end]
    bands = []
    for place in places:
        mean, low, high = _statistics(tuple(sorted(_value_at(curve, place) for curve in curves)))
        bands.append(Band(place, mean, low, high))
    return bands


def _value_at(curve: Curve, place: float) -> float:
    return curve[bisect_right(curve, (place, float("inf"))) - 1][1]


@lru_cache(maxsize=4096)
def _statistics(values: tuple[float, ...]) -> tuple[float, float, float]:
    summary = summarise(values)
    if summary.ci_low is None or summary.ci_high is None:
        return summary.mean, summary.mean, summary.mean
    return summary.mean, summary.ci_low, summary.ci_high


def _by_cost(curve: Curve) -> Curve:
    """One point for each cost: of several the last, which is what was known then."""
    return sorted(dict(curve).items())
