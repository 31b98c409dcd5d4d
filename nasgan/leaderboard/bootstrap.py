"""Statistics over the seeds of a row: spread and bootstrap interval, equal on every machine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nasgan.errors import ConfigError, quoted

__all__ = ["CONFIDENCE", "RESAMPLES", "Summary", "summarise"]

RESAMPLES = 10_000
CONFIDENCE = 0.95

_SEED = 20_190_811
# Up to so many distinct resamples, sorting them is cheaper than selecting among all.
_FEW = 1000


@dataclass(frozen=True)
class Summary:
    """Statistics of one metric over seeds.

    Attributes:
        n: number of values.
        mean: their mean.
        std: sample standard deviation (n - 1); None for one value, as the interval.
        ci_low: lower end of the 95 % percentile bootstrap interval of the mean.
        ci_high: upper end.
        median: their median.
        least: the smallest value.
        most: the largest value.
    """

    n: int
    mean: float
    std: float | None
    ci_low: float | None
    ci_high: float | None
    median: float
    least: float
    most: float


def summarise(values: Sequence[float], *, interval: bool = True) -> Summary:
    """Mean, spread and the percentile bootstrap interval of the mean (Efron, 1979).

    A pure function of the values: their order does not matter, the resamples are fixed, and sums
    are exact or of fixed order, so two machines give the same digits.

    Args:
        values: at least one finite number.
        interval: whether to make the interval, by far the larger part of the work.

    Raises:
        ConfigError: no values, or one that is not finite.
    """
    if not values or not all(math.isfinite(value) for value in values):
        raise ConfigError(f"statistics need one or more finite numbers, got {quoted(list(values))}")
    ordered = sorted(float(value) for value in values)
    n = len(ordered)
    # Relative to the least value: equal values then have exactly their value as the mean.
    mean = ordered[0] + math.fsum(value - ordered[0] for value in ordered) / n
    std = low = high = None
    if n > 1:
        std = math.sqrt(math.fsum((value - mean) ** 2 for value in ordered) / (n - 1))
        if interval:
            low, high = _bootstrap_interval(ordered, mean)
    return Summary(n, mean, std, low, high, statistics.median(ordered), ordered[0], ordered[-1])


def _bootstrap_interval(ordered: Sequence[float], mean: float) -> tuple[float, float]:
    n = len(ordered)
    counts, weights = _resamples(n)
    # Deviations from the mean, added one by one: exact for equal values, and free of the order in
    # which a linear-algebra library would sum.
    deviations = np.zeros(len(weights), dtype=np.float64)
    for value, count in zip(ordered, counts, strict=True):
        deviations += count * (value - mean)
    tail = (1.0 - CONFIDENCE) / 2.0
    positions = [level * (RESAMPLES - 1) for level in (tail, 1.0 - tail)]
    ranks = [rank for position in positions for rank in (int(position), int(position) + 1)]
    a, b, c, d = _order_statistics(deviations, weights, np.array(ranks))
    low, high = (
        lower + (position - int(position)) * (upper - lower)
        for position, lower, upper in zip(positions, (a, c), (b, d), strict=True)
    )
    return mean + low / n, mean + high / n


def _order_statistics(
    values: NDArray[np.float64], weights: NDArray[np.int64], ranks: NDArray[np.int64]
) -> list[float]:
    """The values at ``ranks`` (from 0) of ``values``, each taken ``weights`` times and sorted."""
    if len(values) > _FEW:
        found = np.partition(np.repeat(values, weights), ranks)[ranks]
    else:
        order = np.argsort(values, kind="stable")
        found = values[order][np.searchsorted(np.cumsum(weights[order]), ranks, side="right")]
    return [float(value) for value in found]


@lru_cache(maxsize=64)
def _resamples(n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The fixed resamples of ``n`` values: how often each holds each value.

    Equal resamples are held once, with their number: of three values there are only ten distinct
    ones, which makes thousands of rows cheap.

    Returns:
        Counts (n, distinct) and the number of resamples each stands for (distinct,).
    """
    # The raw stream of a bit generator is the part of numpy's randomness that never changes.
    picks = (np.random.PCG64(_SEED).random_raw(RESAMPLES * n) % np.uint64(n)).astype(np.int64)
    flat = picks.reshape(RESAMPLES, n) + n * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(flat.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n)
    distinct, weights = np.unique(counts, axis=0, return_counts=True)
    return np.ascontiguousarray(distinct.T, dtype=np.float64), weights.astype(np.int64)
