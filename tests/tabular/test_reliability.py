"""Noise and what explains the rest, against independent formulas in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nasgan.tabular.reliability import explained_by, rank_agreement, reliability


def drawn(sizes, between=0.3, within=0.2, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(rng.normal(0, between), within, size) for size in sizes]


def icc_from_f(groups):
    """From scipy's F test: F = (1 + n0 icc / (1 - icc)) has this inverse."""
    f = stats.f_oneway(*groups).statistic
    sizes = [len(group) for group in groups]
    n0 = (sum(sizes) - sum(n * n for n in sizes) / sum(sizes)) / (len(sizes) - 1)
    return (f - 1) / (f + n0 - 1)


@pytest.mark.parametrize("sizes", [[2] * 30, [2] * 20 + [6] * 5, [3, 2, 4, 2, 2, 7]])
def test_icc_is_that_of_the_f_test(sizes):
    groups = drawn(sizes)
    found = reliability(groups)
    assert found.icc == pytest.approx(icc_from_f(groups), rel=1e-12)
    assert (found.architectures, found.trainings) == (len(sizes), sum(sizes))


def test_components_are_those_of_the_mean_squares():
    groups = drawn([4] * 40)
    found = reliability(groups)
    within = np.mean([group.var(ddof=1) for group in groups])
    between = np.var([group.mean() for group in groups], ddof=1) - within / 4
    assert found.within == pytest.approx(math.sqrt(within), rel=1e-12)
    assert found.between == pytest.approx(math.sqrt(between), rel=1e-12)
    assert found.icc == pytest.approx(between / (between + within), rel=1e-12)


def test_the_interval_is_the_bootstrap_over_architectures():
    groups = drawn([2] * 30)
    found = reliability(groups)
    rng = np.random.default_rng(5)
    again = [
        icc_from_f([groups[k] for k in rng.integers(len(groups), size=len(groups))])
        for _ in range(1500)
    ]
    low, high = np.percentile(again, [2.5, 97.5])
    assert found.icc_low == pytest.approx(low, abs=0.04)
    assert found.icc_high == pytest.approx(high, abs=0.04)
    assert reliability(groups) == found


def test_architectures_without_repeats_are_left_out_and_few_tell_nothing():
    groups = drawn([2, 2, 3, 1, 1])
    assert reliability(groups) == reliability(groups[:3])
    assert reliability(groups[1:]) is None


def test_pure_noise_has_an_icc_about_zero_and_a_ceiling_of_none():
    noise = reliability(drawn([2] * 200, between=0.0))
    assert abs(noise.icc) < 0.15
    negative = reliability([np.array([0.0, 1.0]) + shift for shift in (0, 1e-3, 2e-3)])
    assert negative.icc < 0
    assert (negative.between, negative.of_mean(2), negative.tau_ceiling(2)) == (0.0, 0.0, 0.0)


def test_the_ceilings_are_what_true_scores_reach():
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 0.3, 4000)
    runs = truth[:, None] + rng.normal(0, 0.2, (4000, 2))
    found = reliability(list(runs))
    means = runs.mean(1)
    assert found.of_mean(2) == pytest.approx(stats.pearsonr(truth, means).statistic ** 2, abs=0.02)
    assert found.tau_ceiling(2) == pytest.approx(stats.kendalltau(truth, means).statistic, abs=0.02)
    assert found.of_mean(1) == pytest.approx(found.icc)


def test_rank_agreement_leaves_out_what_broke_down():
    a = np.array([1.0, 2, 3, 4, np.nan, 6])
    b = np.array([2.0, 1, np.nan, 5, 4, 7])
    found, number = rank_agreement(a, b)
    assert number == 4
    assert found == pytest.approx(1 - 6 * (1 + 1) / (4 * 15))
    assert math.isnan(rank_agreement(a[:2], b[:2])[0])
    assert math.isnan(rank_agreement(a, np.zeros(6))[0])


def test_explained_variance_is_adjusted_for_chance():
    rng = np.random.default_rng(2)
    options = rng.integers(3, size=90)
    scores = 0.5 * options + rng.normal(0, 0.4, 90)
    groups = [scores[options == k] for k in range(3)]
    f, n, k = stats.f_oneway(*groups).statistic, 90, 3
    r2 = f * (k - 1) / (f * (k - 1) + n - k)
    assert explained_by(options, scores) == pytest.approx(1 - (1 - r2) * (n - 1) / (n - k))
    chance = [explained_by(rng.integers(3, size=90), scores) for _ in range(200)]
    assert abs(np.mean(chance)) < 0.01
    assert explained_by(np.zeros(90, int), scores) == 0.0
    assert math.isnan(explained_by(np.arange(3), scores[:3]))
