from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from nasgan.errors import ConfigError
from nasgan.leaderboard import bootstrap as statistics
from nasgan.leaderboard.bootstrap import RESAMPLES, summarise


def test_mean_deviation_and_median_are_numpys() -> None:
    values = [12.42, 13.67, 13.87, 12.9]
    summary = summarise(values)
    assert summary.mean == pytest.approx(np.mean(values), rel=1e-15)
    assert summary.std == pytest.approx(np.std(values, ddof=1), rel=1e-14)
    assert summary.median == pytest.approx(np.median(values), rel=1e-15)
    assert (summary.n, summary.least, summary.most) == (4, 12.42, 13.87)


@pytest.mark.parametrize("n", [2, 3, 5, 12, 40])
def test_the_interval_is_scipys_within_monte_carlo_error(n: int) -> None:
    values = np.random.default_rng(n).gamma(2.0, 3.0, size=n)
    summary = summarise(values.tolist())
    expected = [
        stats.bootstrap(
            (values,), np.mean, n_resamples=RESAMPLES, method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        for seed in range(8)
    ]  # fmt: skip
    for own, theirs in (
        (summary.ci_low, [interval.low for interval in expected]),
        (summary.ci_high, [interval.high for interval in expected]),
    ):
        assert own is not None
        # Ends of few values jump between order statistics; eight repetitions show by how much.
        error = max(4 * float(np.std(theirs)), 1e-9)
        assert min(theirs) - error <= own <= max(theirs) + error


@pytest.mark.parametrize("n", [2, 3, 7, 30])
def test_the_interval_equals_a_plain_bootstrap_on_the_same_resamples(n: int) -> None:
    values = np.sort(np.random.default_rng(n).normal(50, 3, size=n))
    picks = np.random.PCG64(statistics._SEED).random_raw(RESAMPLES * n) % np.uint64(n)
    means = values[picks.astype(int)].reshape(RESAMPLES, n).mean(axis=1)
    summary = summarise(values.tolist())
    assert [summary.ci_low, summary.ci_high] == pytest.approx(
        list(np.quantile(means, [0.025, 0.975])), rel=1e-12
    )


@pytest.mark.parametrize("few", [0, 1000])
def test_order_statistics_are_those_of_the_repeated_values(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "_FEW", few)
    values, weights = np.array([3.0, -1.0, 2.0]), np.array([2, 1, 4])
    found = statistics._order_statistics(values, weights, np.arange(7))
    assert found == [-1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0]


def test_the_same_values_give_the_same_digits_in_any_order() -> None:
    values = [random.Random(3).gauss(20, 2) for _ in range(9)]
    first = summarise(values)
    statistics._resamples.cache_clear()
    assert summarise(values[::-1]) == first
    # Fixed once and for all: a CSV made elsewhere or years ago has to be reproduced.
    known = summarise([10.0, 11.0, 13.5])
    assert (known.ci_low, known.ci_high) == (10.0, 13.5)


def test_equal_values_have_an_interval_of_no_width() -> None:
    summary = summarise([0.1, 0.1, 0.1])
    assert (summary.mean, summary.std, summary.ci_low, summary.ci_high) == (0.1, 0.0, 0.1, 0.1)


def test_one_value_has_no_spread() -> None:
    summary = summarise([5.0])
    assert (summary.n, summary.mean, summary.median) == (1, 5.0, 5.0)
    assert summary.std is summary.ci_low is summary.ci_high is None


def test_more_seeds_narrow_the_interval() -> None:
    summaries = [summarise([1.0, 2.0, 3.0, 5.0] * times) for times in (1, 4, 16)]
    widths = [(s.ci_high or math.inf) - (s.ci_low or -math.inf) for s in summaries]
    assert all(wide > narrow for wide, narrow in pairwise(widths))


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_nothing_and_nan_are_refused(values: list[float]) -> None:
    with pytest.raises(ConfigError, match="finite"):
        summarise(values)
