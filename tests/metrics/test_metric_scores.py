"""Each score against torch-fidelity's feature-level function or an independent float64 formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from nasgan.errors import ConfigError
from nasgan.metrics.images import MetricError
from nasgan.metrics.scores import (
    KernelSettings,
    frechet_distance,
    inception_score,
    kernel_distance,
    neighbourhood_scores,
    pairs,
)
from nasgan.metrics.scores.frechet import frechet_reference
from nasgan.metrics.scores.kernel_distance import KernelDistance, real_kernel_sums
from nasgan.metrics.scores.neighbourhoods import (
    NeighbourhoodScores,
    NeighbourhoodSettings,
    neighbourhood_reference,
)
from nasgan.metrics.scores.pairs import score_pairs


def image_features(count: int, width: int, seed: int, shift: float = 0.0) -> Tensor:
    """Features as a network gives them: non-negative, correlated, of very unequal variance."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=torch.Generator().manual_seed(99))
    scales = torch.arange(1, width + 1) ** -0.6
    latent = torch.randn(count, width, generator=generator) * scales
    return (latent @ mixing / width**0.5 + 0.2 + shift).relu()


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tiles, the last ones not full, even at test sizes."""
    monkeypatch.setattr(pairs, "_CPU_TILE", 96)


# --- Inception score ------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10, 203, 1000])
def test_inception_score_equals_torch_fidelity(count: int) -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = 3.0 * torch.randn(count, 50, generator=torch.Generator().manual_seed(1))
    expected = isc_features_to_metric(logits, splits=10, shuffle=False)
    mean, std = inception_score(logits)
    assert mean == pytest.approx(expected["inception_score_mean"], rel=1e-9)
    assert std == pytest.approx(expected["inception_score_std"], rel=1e-6, abs=1e-12)


def test_inception_score_of_certain_balanced_predictions_is_the_number_of_classes() -> None:
    logits = 1e4 * torch.eye(7).repeat(30, 1)  # probabilities underflow to exact zeros
    mean, std = inception_score(logits, splits=1)
    assert (mean, std) == (pytest.approx(7.0, rel=1e-12), 0.0)


def test_inception_score_of_a_constant_prediction_is_one() -> None:
    mean, std = inception_score(torch.ones(100, 10))
    assert mean == pytest.approx(1.0, abs=1e-12)
    assert std == pytest.approx(0.0, abs=1e-12)


def test_inception_score_needs_an_image_in_every_split() -> None:
    with pytest.raises(MetricError, match="at least 10 images, got 9"):
        inception_score(torch.randn(9, 5))


# --- Frechet distance -----------------------------------------------------------------------


def frechet_by_singular_values(first: Tensor, second: Tensor) -> float:
    """tr((S1 S2)^(1/2)) is the nuclear norm of A1 A2' for S = A'A: exact for singular S as well."""
    a, b = (x.double() - x.double().mean(0) for x in (first, second))
    a, b = a / math.sqrt(len(a) - 1), b / math.sqrt(len(b) - 1)
    shift = (first.double().mean(0) - second.double().mean(0)).square().sum()
    cross = torch.linalg.svdvals(a @ b.T).sum()
    return float(shift + a.square().sum() + b.square().sum() - 2.0 * cross)


@pytest.mark.parametrize(("count", "real_count"), [(900, 700), (300, 900)])
def test_fid_equals_torch_fidelity(count: int, real_count: int) -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    generated, real = image_features(count, 64, 1, 0.1), image_features(real_count, 64, 2)
    first, second = (fid_features_to_statistics(x.double()) for x in (generated, real))
    expected = fid_statistics_to_metric(first, second, False)["frechet_inception_distance"]
    assert frechet_distance(generated, frechet_reference(real)) == pytest.approx(
        expected, rel=1e-6, abs=1e-6
    )


@pytest.mark.parametrize(
    ("count", "real_count"), [(900, 800), (900, 40), (40, 900), (40, 30), (30, 40), (300, 301)]
)
def test_fid_is_exact_with_singular_covariances(count: int, real_count: int) -> None:
    """Tighter than 1e-6: zero eigenvalues, treated as the others, would cost 2e-8 here."""
    generated = 10.0 * image_features(count, 300, 1, 0.1)
    real = 10.0 * image_features(real_count, 300, 2)
    expected = frechet_by_singular_values(generated, real)
    assert frechet_distance(generated, frechet_reference(real)) == pytest.approx(expected, rel=5e-9)


@pytest.mark.parametrize("count", [800, 301, 300, 50, 2])
def test_fid_of_a_set_against_itself_is_zero(count: int) -> None:
    features = 10.0 * image_features(count, 300, 1)
    assert frechet_distance(features, frechet_reference(features)) == pytest.approx(0, abs=1e-6)


def test_fid_ignores_dead_features_and_handles_a_constant_generator() -> None:
    real = image_features(400, 32, 1)
    real[:, 5:9] = 0.0
    constant = real[3:4].expand(300, -1)
    expected = frechet_by_singular_values(constant, real)
    assert frechet_distance(constant, frechet_reference(real)) == pytest.approx(expected, rel=1e-6)


def test_fid_does_not_depend_on_the_order_of_images() -> None:
    generated, real = image_features(300, 32, 1), image_features(300, 32, 2)
    reference = frechet_reference(real)
    assert frechet_distance(generated.flip(0), reference) == pytest.approx(
        frechet_distance(generated, reference), rel=1e-9
    )


def test_fid_refuses_features_of_another_extractor() -> None:
    with pytest.raises(MetricError, match="same extractor"):
        frechet_distance(torch.randn(10, 8), frechet_reference(torch.randn(10, 9)))


def test_fid_needs_two_images() -> None:
    with pytest.raises(MetricError, match="at least 2 images"):
        frechet_distance(torch.randn(1, 8), frechet_reference(torch.randn(10, 8)))


# --- Kernel distance ------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "real_count", "size"), [(500, 400, 100), (250, 400, 250)])
def test_kid_equals_torch_fidelity(count: int, real_count: int, size: int) -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    generated, real = image_features(count, 64, 1, 0.05), image_features(real_count, 64, 2)
    expected = kid_features_to_metric(
        generated.double(), real.double(), kid_subsets=20, kid_subset_size=size, verbose=False
    )
    mean, std = kernel_distance(generated, real, KernelSettings(subsets=20, subset_size=size))
    assert mean == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9, abs=1e-12)
    assert std == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-6, abs=1e-12)


def test_kid_subsets_shrink_to_the_smaller_set() -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    generated, real = image_features(150, 32, 1), image_features(90, 32, 2)
    expected = kid_features_to_metric(
        generated.double(), real.double(), kid_subsets=100, kid_subset_size=90, verbose=False
    )
    mean, _ = kernel_distance(generated, real)
    assert mean == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9, abs=1e-12)


def test_kid_is_about_zero_for_equal_and_positive_for_different_distributions() -> None:
    settings = KernelSettings(subsets=20, subset_size=200)
    real = image_features(600, 32, 1)
    same, std = kernel_distance(image_features(600, 32, 2), real, settings)
    other, _ = kernel_distance(image_features(600, 32, 2, 0.3), real, settings)
    assert abs(same) < 3 * std
    assert other > 0.1


def test_kid_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="at least 2 images"):
        KernelSettings(subset_size=1)


# --- Precision, recall, density, coverage ---------------------------------------------------


def neighbourhoods_by_definition(generated: Tensor, real: Tensor) -> dict[str, float]:
    """All four from full matrices of distances, each a plain sum of squared differences."""

    def distances(a: Tensor, b: Tensor) -> np.ndarray:
        return np.stack([(row - b.double().numpy()) ** 2 for row in a.double().numpy()]).sum(-1)

    between = distances(generated, real)
    own, reals = distances(generated, generated), distances(real, real)
    radii = {k: np.sort(reals, axis=1)[:, k] for k in (3, 5)}
    own_radii = np.sort(own, axis=1)[:, 3]
    return {
        "precision": float((between <= radii[3]).any(axis=1).mean()),
        "recall": float((between <= own_radii[:, None]).any(axis=0).mean()),
        "density": float((between < radii[5]).sum() / (5 * len(generated))),
        "coverage": float((between.min(axis=0) < radii[5]).mean()),
    }


@pytest.mark.parametrize(("count", "real_count"), [(300, 250), (100, 400), (7, 9)])
def test_neighbourhood_scores_equal_their_definition(count: int, real_count: int) -> None:
    generated, real = image_features(count, 24, 1, 0.05), image_features(real_count, 24, 2)
    expected = neighbourhoods_by_definition(generated, real)
    assert neighbourhood_scores(generated, real) == pytest.approx(expected, abs=1e-12)


def test_precision_and_recall_equal_torch_fidelity() -> None:
    from torch_fidelity.metric_prc import prc_features_to_metric

    generated, real = image_features(300, 24, 1, 0.1), image_features(250, 24, 2)
    expected = prc_features_to_metric(generated.double(), real.double(), verbose=False)
    scores = neighbourhood_scores(generated, real)
    assert 0.0 < scores["recall"] != scores["precision"]
    assert scores["precision"] == pytest.approx(expected["precision"], abs=1e-6)
    assert scores["recall"] == pytest.approx(expected["recall"], abs=1e-6)


def test_exact_ties_are_decided_as_in_exact_arithmetic() -> None:
    """Sets that share images are full of ties, which rounding must not decide."""
    features = image_features(200, 24, 1)
    copies = features.repeat(2, 1)
    for generated, real in ((features, features), (copies, features), (features[::3], copies)):
        expected = neighbourhoods_by_definition(generated, real)
        assert neighbourhood_scores(generated, real) == pytest.approx(expected, abs=1e-12)


def test_neighbourhood_scores_of_a_set_against_itself() -> None:
    features = image_features(200, 24, 1)
    expected = {"precision": 1.0, "recall": 1.0, "density": 1.0, "coverage": 1.0}
    assert neighbourhood_scores(features, features) == pytest.approx(expected)


def test_a_constant_generator_is_precise_and_recalls_nothing() -> None:
    real = image_features(300, 24, 1)
    scores = neighbourhood_scores(real[7:8].expand(200, -1), real)
    assert scores["precision"] == 1.0
    assert scores["recall"] == pytest.approx(1 / 300)
    assert scores["coverage"] < 0.1


def test_neighbourhoods_need_more_images_than_neighbours() -> None:
    with pytest.raises(MetricError, match="more than 3 images, got 3"):
        neighbourhood_scores(torch.randn(3, 4), torch.randn(20, 4))
    with pytest.raises(MetricError, match="more than 5 images, got 5"):
        neighbourhood_scores(torch.randn(20, 4), torch.randn(5, 4))


# --- All of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_score_comes_from_features_that_are_not_finite(value: float) -> None:
    good = image_features(50, 8, 1)
    bad = good.clone()
    bad[4, 2] = value
    reference = frechet_reference(good)
    for score in (
        lambda: inception_score(bad),
        lambda: frechet_distance(bad, reference),
        lambda: frechet_reference(bad),
        lambda: kernel_distance(bad, good),
        lambda: kernel_distance(good, bad),
        lambda: neighbourhood_scores(bad, good),
        lambda: neighbourhood_scores(good, bad),
    ):
        with pytest.raises(
            MetricError, match=r"1 of 50 rows hold NaN or infinity \(first: row 4\)"
        ):
            score()


def test_scores_leave_global_random_generators_alone() -> None:
    features = image_features(60, 8, 1)
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    kernel_distance(features, features)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()


def test_scores_do_not_depend_on_the_size_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    generated, real = image_features(200, 16, 1), image_features(180, 16, 2)
    tiled = kernel_distance(generated, real), neighbourhood_scores(generated, real)
    monkeypatch.setattr(pairs, "_CPU_TILE", 1000)
    whole = kernel_distance(generated, real), neighbourhood_scores(generated, real)
    assert tiled[0] == pytest.approx(whole[0], rel=1e-9)
    assert tiled[1] == whole[1]


def test_cached_real_sums_give_the_same_kid() -> None:
    generated, real = image_features(120, 16, 1), image_features(150, 16, 2)
    settings = KernelSettings(subsets=5, subset_size=50)
    score = KernelDistance(generated, real, settings, real_kernel_sums(real, 120, settings))
    pairs.score_pairs(generated, real, [score])
    assert score.result() == kernel_distance(generated, real, settings)


@pytest.mark.parametrize("names", [("precision",), ("recall", "density"), ("coverage",)])
def test_neighbourhood_scores_do_not_depend_on_which_are_asked_for(names: tuple[str, ...]) -> None:
    generated, real = torch.randn(40, 6), torch.randn(30, 6)
    settings = NeighbourhoodSettings()
    balls = neighbourhood_reference(real, settings)
    score = NeighbourhoodScores(generated, real, balls, settings, names)
    score_pairs(generated, real, [score])
    every = neighbourhood_scores(generated, real)
    assert score.result() == {name: every[name] for name in names}
