"""Non-dominated sorting of what has several objectives (NSGA-II: Deb et al. 2002, section III).

A point holds one number for each objective, turned so that more is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

__all__ = [
    "Point",
    "best_first",
    "by_crowding",
    "crowding_distances",
    "dominates",
    "first_front",
    "fronts",
]

Point = Sequence[float]


def dominates(a: Point, b: Point) -> bool:
    """Whether ``a`` is nowhere worse than ``b`` and somewhere better."""
    return tuple(a) != tuple(b) and all(x >= y for x, y in zip(a, b, strict=True))


def fronts(points: Sequence[Point]) -> list[list[int]]:
    """Indices of ``points`` by front, each in the points' order.

    The first front is dominated by nobody, the second by members of the first alone, and so on.
    """
    left = list(range(len(points)))
    found: list[list[int]] = []
    while left:
        found.append(_front(points, left))
        taken = set(found[-1])
        left = [i for i in left if i not in taken]
    return found


def _front(points: Sequence[Point], among: Sequence[int]) -> list[int]:
    """Those of ``among`` that none of them dominates."""
    front: list[int] = []
    # What dominates a point stands before it in this order.
    for i in sorted(among, key=lambda i: tuple(-value for value in points[i])):
        if not any(dominates(points[held], points[i]) for held in front):
            front.append(i)
    return sorted(front)


def crowding_distances(points: Sequence[Point]) -> list[float]:
    """How far apart each point's neighbours on its front are; infinite at the ends.

    An objective in which several are all equal has no ends.

    Args:
        points: of one front.

    Returns:
        The sum over the objectives of the gap between the neighbours, as a share of the range.
    """
    distances = [0.0] * len(points)
    for axis in range(len(points[0]) if points else 0):
        order = sorted(range(len(points)), key=lambda i: points[i][axis])
        span = points[order[-1]][axis] - points[order[0]][axis]
        if span == 0 and len(points) > 1:
            continue
        for (before, i), (_, after) in pairwise(pairwise(order)):
            distances[i] += (points[after][axis] - points[before][axis]) / span
        distances[order[0]] = distances[order[-1]] = math.inf
    return distances


def by_crowding(points: Sequence[Point], front: Sequence[int]) -> list[int]:
    """The indices ``front`` by crowding distance, the lonely first.

    Of equals the one that is better in the first objective comes first, then the earlier: the very
    first is the best of all in the first objective.
    """
    distances = crowding_distances([points[i] for i in front])
    order = sorted(zip(front, distances, strict=True), key=lambda p: (-p[1], -points[p[0]][0]))
    return [i for i, _ in order]


def first_front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that nothing dominates, in the points' order: the Pareto front."""
    return _front(points, range(len(points)))


def best_first(points: Sequence[Point]) -> list[int]:
    """Indices of ``points`` by front, within a front as `by_crowding`.

    With one objective this is its order.
    """
    return [i for front in fronts(points) for i in by_crowding(points, front)]
