"""The Pareto front of two criteria."""

from __future__ import annotations

from collections.abc import Iterable

from nasgan.pareto import first_front

__all__ = ["pareto_front"]


def pareto_front(
    points: Iterable[tuple[float, float]], *, smaller_is_better: bool
) -> list[tuple[float, float]]:
    """The points ``(cost, score)`` that no other beats in both, by ascending cost.

    Args:
        points: the less of the first, the better; the second as the next argument says.
        smaller_is_better: the direction of the second.
    """
    sign = -1.0 if smaller_is_better else 1.0
    distinct = sorted(set(points))
    return [distinct[i] for i in first_front([(-cost, sign * score) for cost, score in distinct])]
