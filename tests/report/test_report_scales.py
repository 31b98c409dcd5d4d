from __future__ import annotations

import math

import pytest

from nasgan.leaderboard.texts import shown, with_spread
from nasgan.report.svg import Scale, spanning


def test_the_ends_of_a_scale_are_where_they_belong() -> None:
    scale = Scale(2.0, 12.0, 50.0, 250.0)
    assert [scale(value) for value in (2, 7, 12)] == [50, 150, 250]
    assert (scale(-5), scale(99)) == (50, 250), "outside moves to the nearest end"
    downward = Scale(0.0, 1.0, 200.0, 0.0)
    assert downward(0.25) == 150


def test_a_logarithmic_scale_gives_each_decade_equal_room() -> None:
    scale = Scale(1.0, 1000.0, 0.0, 300.0, is_log=True)
    assert [scale(value) for value in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300])
    assert scale(0.0) == 0


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.13, 0.42, [0.2, 0.3, 0.4]),
        (-3, 3, [-2, 0, 2]),
        (0, 52_000, [0, 20_000, 40_000]),
    ],
)
def test_ticks_are_round_numbers_inside(low: float, high: float, expected: list[float]) -> None:
    ticks = Scale(low, high, 0, 100).ticks()
    assert ticks == pytest.approx(expected)
    assert all(low <= tick <= high for tick in ticks)


def test_labels_have_equally_many_decimals() -> None:
    assert [label for _, label in Scale(0, 1.1, 0, 1).labels()] == [
        "0", "0.25", "0.50", "0.75", "1.00",
    ]  # fmt: skip
    assert [label for _, label in Scale(0, 60_000, 0, 1).labels(3)] == ["0", "20k", "40k", "60k"]


def test_logarithmic_ticks_are_there_within_one_decade_too() -> None:
    for low, high in ((11, 95), (3, 4000), (1.2, 1.9), (0.001, 7)):
        ticks = Scale(low, high, 0, 100, is_log=True).ticks()
        assert 2 <= len(ticks) <= 8
        assert all(low <= tick <= high for tick in ticks)


def test_an_axis_shows_all_values_with_room() -> None:
    scale = spanning([3, 9, 5], 0, 100)
    assert scale.low < 3 < 9 < scale.high
    assert not scale.is_log
    assert spanning([1, 1000], 0, 100).is_log
    assert not spanning([-1, 1000], 0, 100).is_log, "no logarithm of negative numbers"
    assert not spanning([0.0, 5.0], 0, 100, log=True).is_log
    assert spanning([4, 8], 0, 100, zero=True).low == 0


@pytest.mark.parametrize(
    "values", [[], [5.0], [0.0, 0.0], [-2.0, -2.0], [1e-300, 1e300], [-1e308, 1e308]]
)
def test_odd_values_still_make_an_axis(values: list[float]) -> None:
    scale = spanning(values, 0, 100)
    assert scale.high > scale.low
    assert all(math.isfinite(scale(value)) for value in values)
    assert scale.labels()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (12.345, "12.3"), (0.01234, "0.0123"), (1234.5, "1234"), (12_345, "12.3k"),
        (9_999.9, "10k"), (4_405_251, "4.41M"), (1_765_015_552, "1.77G"), (-0.5, "-0.5"),
        (1e-7, "1.00e-07"), (100, "100"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("mean", "spread", "words"),
    [
        (8.546, 0.0961, "8.546 ± 0.096"),
        (1115.2, 262.4, "1115 ± 262"),
        (14_240.0, 2_663.0, "14.2k ± 2.7k"),
        (0.0052, 0.00902, "0.0052 ± 0.0090"),
        (12.4159, 0.00003, "12.42 ± 0.00"),
        (999.96, 3.2, "1000.0 ± 3.2"),
        (9_990.0, 20_000.0, "10k ± 20k"),
        (0.0, 0.0, "0 ± 0"),
        (3.0, 0.0, "3 ± 0"),
        (2e-6, 1e-6, "2.000e-06 ± 1.0e-06"),
    ],
)
def test_a_mean_and_its_spread_have_one_unit(mean: float, spread: float, words: str) -> None:
    assert with_spread(mean, spread) == words
