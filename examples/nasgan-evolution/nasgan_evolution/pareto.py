"""Non-dominated sorting and crowding distances (NSGA-II: Deb et al. 2002, section III)."""

import math
from collections.abc import Sequence
from itertools import pairwise

Point = tuple[float, float]  # more is better, in both


def dominates(a: Point, b: Point) -> bool:
    """Whether ``a`` is nowhere worse than ``b`` and somewhere better."""
    return a != b and a[0] >= b[0] and a[1] >= b[1]


def fronts(points: Sequence[Point]) -> list[list[int]]:
    """Indices by front: the first is dominated by nobody, the second by the first alone, ..."""
    found: list[list[int]] = []
    left = list(range(len(points)))
    while left:
        found.append([i for i in left if not any(dominates(points[j], points[i]) for j in left)])
        left = [i for i in left if i not in found[-1]]
    return found


def crowding(points: Sequence[Point]) -> list[float]:
    """How far apart each point's neighbours on its front are; infinite at the ends."""
    distances = [0.0] * len(points)
    for axis in (0, 1):
        order = sorted(range(len(points)), key=lambda i: points[i][axis])
        span = points[order[-1]][axis] - points[order[0]][axis] or 1.0
        distances[order[0]] = distances[order[-1]] = math.inf
        for (before, i), (_, after) in pairwise(pairwise(order)):
            distances[i] += (points[after][axis] - points[before][axis]) / span
    return distances
