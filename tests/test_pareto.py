"""Non-dominated sorting by its definition, and crowding distances by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nasgan.pareto import best_first, crowding_distances, dominates, fronts


def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(np.greater_equal(a, b)) and any(np.greater(a, b))


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_each_front_is_beaten_by_the_fronts_before_it_alone(objectives: int) -> None:
    drawn = np.random.default_rng(objectives).integers(0, 6, size=(60, objectives))
    points = [tuple(map(float, row)) for row in drawn]
    found = fronts(points)
    assert sorted(i for front in found for i in front) == list(range(60))
    assert all(front == sorted(front) for front in found)
    for rank, front in enumerate(found):
        # By the definition: the length of the longest chain of points that beat one another.
        for i in front:
            above = [r for r in range(60) if beats(points[r], points[i])]
            ranks = [next(k for k, other in enumerate(found) if r in other) for r in above]
            assert max(ranks, default=-1) == rank - 1


def test_equal_points_share_a_front() -> None:
    assert fronts([(1.0, 2.0), (0.0, 0.0), (1.0, 2.0)]) == [[0, 2], [1]]
    assert fronts([]) == []
    assert not dominates((1.0, 2.0), (1.0, 2.0))


def test_crowding_distances_are_gaps_as_shares_of_the_ranges() -> None:
    points = [(1.0, 9.0), (8.0, 1.0), (4.0, 8.0), (7.0, 2.0)]
    expected = [math.inf, math.inf, (7 - 1) / 7 + (9 - 2) / 8, (8 - 4) / 7 + (8 - 1) / 8]
    assert crowding_distances(points) == pytest.approx(expected)
    assert crowding_distances([(3.0, 3.0)]) == [math.inf]
    assert crowding_distances([(1.0, 5.0)] * 3)[1] == 0.0, "no range, no division by it"


def test_an_objective_in_which_all_are_equal_has_no_ends() -> None:
    values = [(1.0, 9.0), (3.0, 7.0), (4.0, 1.0), (2.0, 8.0)]
    constant = [(first, 5.0, second) for first, second in values]
    assert crowding_distances(constant) == crowding_distances(values)
    assert best_first([(*each, 0.0) for each in values]) == best_first(values)


def test_the_very_first_is_the_best_in_the_first_objective() -> None:
    points = [(1.0, 9.0), (4.0, 8.0), (8.0, 1.0), (3.0, 3.0), (7.0, 2.0)]
    assert best_first(points) == [2, 0, 1, 4, 3], "ends, then the lonely, then the second front"


def test_one_objective_is_the_plain_order() -> None:
    values = [3.0, 9.0, 1.0, 9.0, 5.0]
    assert best_first([(value,) for value in values]) == [1, 3, 4, 0, 2]
