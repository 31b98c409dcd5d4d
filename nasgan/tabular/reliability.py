"""How much a table's scores can be trusted: noise between seeds, and what explains the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Reliability", "explained_by", "rank_agreement", "reliability"]

_RESAMPLES = 2000
_CONFIDENCE = 0.95
_SEED = 20_190_811
_FEWEST = 3

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """One-way random-effects analysis of variance of scores, by architecture.

    Attributes:
        architectures: with at least two scores.
        trainings: of them.
        icc: share of the variance of one training's score that the architecture explains
            (ICC(1), Shrout and Fleiss 1979); below 0 if architectures differ less than chance.
        icc_low: lower end of its 95 % percentile bootstrap interval over architectures.
        icc_high: upper end.
        between: standard deviation of architectures, noise removed.
        within: standard deviation of seeds of one architecture.
    """

    architectures: int
    trainings: int
    icc: float
    icc_low: float
    icc_high: float
    between: float
    within: float

    def of_mean(self, seeds: float) -> float:
        """Reliability of a mean over ``seeds`` (Spearman 1910, Brown 1910): a surrogate's R2 bound.

        No prediction can explain more of the variance of such means.
        """
        icc = min(max(self.icc, 0.0), 1.0)
        return seeds * icc / (1 + (seeds - 1) * icc)

    def tau_ceiling(self, seeds: float) -> float:
        """Kendall's tau of the true scores with a mean over ``seeds``, if both are normal.

        Of two normal variables with correlation r it is 2/pi arcsin r (Kendall and Gibbons 1990).
        """
        return 2 / math.pi * math.asin(math.sqrt(self.of_mean(seeds)))


def reliability(groups: Sequence[Values]) -> Reliability | None:
    """Analyse the scores of each architecture, over its seeds.

    Args:
        groups: one array of finite scores an architecture; those with fewer than two are left out.

    Returns:
        None with fewer than three architectures that have two scores.
    """
    groups = [np.asarray(group, dtype=np.float64) for group in groups if len(group) > 1]
    if len(groups) < _FEWEST:
        return None
    count = np.array([len(group) for group in groups], dtype=np.float64)
    mean = np.array([group.mean() for group in groups])
    inner = np.array([((group - group.mean()) ** 2).sum() for group in groups])
    icc, between, within = _components(count[None], mean[None], inner[None])
    rng = np.random.Generator(np.random.PCG64(_SEED))
    drawn = rng.integers(len(groups), size=(_RESAMPLES, len(groups)))
    resampled, _, _ = _components(count[drawn], mean[drawn], inner[drawn])
    tail = 100 * (1 - _CONFIDENCE) / 2
    low, high = np.nanpercentile(resampled, [tail, 100 - tail])
    return Reliability(
        architectures=len(groups),
        trainings=int(count.sum()),
        icc=float(icc[0]),
        icc_low=float(low),
        icc_high=float(high),
        between=float(between[0]),
        within=float(within[0]),
    )


def _components(count: Values, mean: Values, inner: Values) -> tuple[Values, Values, Values]:
    """ICC and standard deviations between and within, for each row of groups."""
    groups = count.shape[1]
    total = count.sum(1)
    grand = (count * mean).sum(1) / total
    between = (count * (mean - grand[:, None]) ** 2).sum(1) / (groups - 1)
    within = inner.sum(1) / (total - groups)
    # Of unequal groups, the size that makes the expected mean square right (Searle 1971).
    size = (total - (count**2).sum(1) / total) / (groups - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        icc = (between - within) / (between + (size - 1) * within)
    spread = np.sqrt(np.maximum(0.0, (between - within) / size))
    return icc, spread, np.sqrt(within)


def rank_agreement(first: Values, second: Values) -> tuple[float, int]:
    """Spearman's rank correlation over the pairs in which both are finite, and their number.

    NaN with fewer than three pairs, or where one side does not vary.
    """
    both = np.isfinite(first) & np.isfinite(second)
    number = int(both.sum())
    a, b = first[both], second[both]
    if number < _FEWEST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan, number
    from scipy.stats import spearmanr  # a second, in every process that trains

    return float(spearmanr(a, b).statistic), number


def explained_by(options: NDArray[np.integer], scores: Values) -> float:
    """Share of the variance of ``scores`` that one decision explains by itself.

    Epsilon squared (Kelley 1935): R2 of the options' means, less what chance would explain; NaN
    where there is too little to tell.

    Args:
        options: the option's index for each architecture.
        scores: finite, one an architecture.
    """
    levels = np.unique(options)
    free = len(scores) - len(levels)
    total = float(((scores - scores.mean()) ** 2).sum())
    if len(levels) < 2 or free < 1 or total == 0:
        return 0.0 if len(levels) == 1 else math.nan
    inner = sum(float(((s - s.mean()) ** 2).sum()) for s in (scores[options == k] for k in levels))
    return 1 - (inner / free) / (total / (len(scores) - 1))
