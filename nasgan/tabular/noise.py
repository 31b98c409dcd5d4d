"""The noise of a table: how trainings of one architecture with different seeds differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

__all__ = ["NoiseModel"]

# How far the spread may depend on the level, in log units a standard deviation of the level: a weak
# prior, without which a few repeats would bend it.
_BEND = 0.3
# Share of the identity in the correlation between points, which few repeats cannot tell exactly.
_SHRINKAGE = 0.1


class NoiseModel:
    """Normal residuals whose spread depends on the level, correlated over points and metrics.

    Args:
        values: (N, C), a row a training and a column a score at a point; NaN where there is none.
        group: int (N,), the architecture of each training.
    """

    def __init__(self, values: np.ndarray, group: np.ndarray) -> None:
        residuals, degrees, levels = _within(values, group)
        columns = range(values.shape[1])
        self._centre = np.array([_over(levels[:, c], np.mean) for c in columns])
        self._scale = np.array([_over(levels[:, c], np.std) or 1.0 for c in columns])
        self._line = np.array(
            [
                self._fit(residuals[:, c], degrees[:, c], self._standardised(c, levels[:, c]))
                for c in columns
            ]
        )
        spreads = np.stack([self.spread(c, levels[:, c]) for c in columns], axis=1)
        # A column without noise has residuals of 0, and stays 0.
        self._root = _correlation_root(residuals / np.where(spreads > 0, spreads, 1.0))

    def _standardised(self, column: int | np.ndarray, level: np.ndarray) -> np.ndarray:
        return np.asarray((level - self._centre[column]) / self._scale[column])

    def _fit(self, residuals: np.ndarray, degrees: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Intercept and slope of the logarithm of the spread, by restricted maximum likelihood.

        ``degrees``: each residual's share of its group's degrees of freedom.
        """
        used = np.isfinite(residuals) & (degrees > 0)
        if not used.any() or not np.any(residuals[used]):
            return np.array([-np.inf, 0.0])
        squares, freedom, x = residuals[used] ** 2, degrees[used], level[used]
        start = 0.5 * np.log(squares.sum() / freedom.sum())

        def loss(line: np.ndarray) -> float:
            log_spread = line[0] + line[1] * x
            fit = freedom * log_spread + squares * np.exp(-2 * log_spread) / 2
            return float(fit.sum() + 0.5 * (line[1] / _BEND) ** 2)

        def slope(line: np.ndarray) -> np.ndarray:
            each = freedom - squares * np.exp(-2 * (line[0] + line[1] * x))
            return np.array([each.sum(), each @ x + line[1] / _BEND**2])

        def curvature(line: np.ndarray) -> np.ndarray:
            each = 2 * squares * np.exp(-2 * (line[0] + line[1] * x))
            mixed = each @ x
            return np.array([[each.sum(), mixed], [mixed, each @ x**2 + _BEND**-2]])

        start_line = np.array([start, 0.0])
        line: np.ndarray = minimize(
            loss, start_line, jac=slope, hess=curvature, method="trust-exact"
        ).x
        # It ends where the loss tells two lines no longer apart, which differs from one processor
        # to the next; so to the last digits by Newton's steps.
        for _ in range(2):
            line = line - np.linalg.solve(curvature(line), slope(line))
        return line

    def spread(self, column: int | np.ndarray, level: np.ndarray) -> np.ndarray:
        """Standard deviation between trainings whose mean is ``level``, (N,) of (N,).

        ``column``: of all of them, or (N,) of each.
        """
        # Not beyond the levels that were seen. The intercept of no noise is minus infinity.
        bounded = self._standardised(column, level).clip(-2.0, 2.0)
        return np.asarray(np.exp(self._line[column, 0] + self._line[column, 1] * bounded))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The standard normal residuals of one training, correlated, (C,)."""
        return np.asarray(self._root @ rng.standard_normal(len(self._root)))


def _over(values: np.ndarray, statistic: Callable[[np.ndarray], np.floating[Any]]) -> float:
    finite = values[np.isfinite(values)]
    return float(statistic(finite)) if len(finite) else 0.0


def _within(values: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals from the group's mean, each one's share of the degrees of freedom, and the means.

    All (N, C); NaN and 0 where a group has fewer than two values.
    """
    residuals = np.full(values.shape, np.nan)
    degrees = np.zeros(values.shape)
    levels = np.full(values.shape, np.nan)
    for k in np.unique(group):
        rows = np.flatnonzero(group == k)
        block = values[rows]
        counts = np.isfinite(block).sum(axis=0)
        means = np.nansum(block, axis=0) / np.maximum(counts, 1)
        levels[rows] = np.where(counts > 0, means, np.nan)
        several = (counts > 1) & np.isfinite(block)
        residuals[rows] = np.where(several, block - means, np.nan)
        degrees[rows] = np.where(several, (counts - 1) / np.maximum(counts, 1), 0.0)
    return residuals, degrees, levels


def _correlation_root(standardised: np.ndarray) -> np.ndarray:
    """A square root of the columns' correlation matrix, from rows without gaps, (C, C).

    A column without a number goes with no other.
    """
    known = np.isfinite(standardised)
    rows = np.nan_to_num(standardised[(known | ~known.any(axis=0)).all(axis=1)])
    lengths = np.linalg.norm(rows, axis=0)
    unit = rows / np.where(lengths > 0, lengths, 1.0)
    correlation = (1 - _SHRINKAGE) * (unit.T @ unit)
    np.fill_diagonal(correlation, 1.0)
    return np.linalg.cholesky(correlation)
