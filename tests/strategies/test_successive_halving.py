"""Arithmetic of the halving schedule."""

from __future__ import annotations

import pytest

from nasgan.errors import ConfigError
from nasgan_strategies.random.halving import HalvingSchedule


def test_the_textbook_schedule():
    schedule = HalvingSchedule(candidates=27, min_steps=100, max_steps=2700, factor=3)
    assert schedule.rungs == [(27, 100), (9, 300), (3, 900), (1, 2700)]
    # Survivors continue: 27 x 100 + 9 x 200 + 3 x 600 + 1 x 1800.
    assert schedule.generator_steps == 2700 + 1800 + 1800 + 1800


def test_the_last_rung_trains_to_max_steps_whatever_the_factor():
    assert HalvingSchedule(32, 100, 1000, 3).rungs == [(32, 100), (10, 300), (3, 900), (1, 1000)]
    assert HalvingSchedule(100, 10, 30, 2).rungs == [(100, 10), (50, 20), (25, 30)]


def test_a_single_candidate_and_a_single_length_have_one_rung():
    assert HalvingSchedule(1, 10, 500, 3).rungs == [(1, 500)]
    assert HalvingSchedule(8, 40, 40, 2).rungs == [(8, 40)]
    assert HalvingSchedule(8, 40, 40, 2).generator_steps == 320


@pytest.mark.parametrize("factor", [1.2, 1.5, 2, 3, 4.7])
@pytest.mark.parametrize("candidates", [1, 2, 7, 50])
@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 100), (30, 31)])
def test_rungs_shrink_and_lengthen_and_never_empty(factor, candidates, low, high):
    rungs = HalvingSchedule(candidates, low, high, factor).rungs
    counts, steps = [list(column) for column in zip(*rungs, strict=True)]
    assert counts[0] == candidates
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 1
    assert steps == sorted(set(steps))
    assert steps[-1] == high
    assert all(low <= step <= high for step in steps)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"candidates": 0, "min_steps": 1, "max_steps": 2}, "num_candidates"),
        ({"candidates": 2, "min_steps": 0, "max_steps": 2}, "min_steps"),
        ({"candidates": 2, "min_steps": 3, "max_steps": 2}, "min_steps"),
        ({"candidates": 2, "min_steps": 1, "max_steps": 2, "factor": 1}, "halving_factor"),
    ],
)
def test_impossible_schedules_are_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        HalvingSchedule(**settings)
