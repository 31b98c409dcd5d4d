"""The harness on real digits: sanity of every score, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasgan.data import Splits, load_digits
from nasgan.errors import ConfigError, TrainingDiverged, UnknownNameError
from nasgan.metrics import harness as harness_module
from nasgan.metrics import reference as reference_module
from nasgan.metrics.extractor import FeatureExtractor, Features, make_features
from nasgan.metrics.harness import MetricHarness, build_harness
from nasgan.metrics.images import GeneratedImages, MetricError
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.reference import ScoreSettings
from nasgan.metrics.scores.kernel_distance import KernelSettings, _subsets, kernel_distance
from nasgan.metrics.table import CLASS_METRICS, COMPUTED_METRICS, METRICS


class Replay:
    """Gives stored images in order, from the start again when they are used up."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.position = 0
        self.asked: list[int] = []

    def __call__(self, count: int) -> GeneratedImages:
        self.asked.append(count)
        indices = torch.arange(self.position, self.position + count) % len(self.images)
        self.position += count
        return GeneratedImages(self.images[indices])


@pytest.fixture(scope="module")
def digits() -> Splits:
    return load_digits()


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return make_features("digits", device="cpu")


@pytest.fixture(scope="module")
def harness(
    digits: Splits, extractor: FeatureExtractor, tmp_path_factory: pytest.TempPathFactory
) -> MetricHarness:
    folder = tmp_path_factory.mktemp("cache")
    return build_harness(digits.train, extractor, num_images=len(digits.train), cache_dir=folder)


def test_the_protocol_names_data_images_and_features(harness: MetricHarness) -> None:
    assert harness.protocol.id == "digits-train-1438-digits-v1"


def test_a_harness_can_be_there_before_its_reference(
    harness: MetricHarness,
    digits: Splits,
    extractor: FeatureExtractor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    from_images = reference_module.ReferenceStatistics.from_images

    def counted(*given: Any, **settings: Any) -> Any:
        made.append(given)
        return from_images(*given, **settings)

    monkeypatch.setattr(reference_module.ReferenceStatistics, "from_images", counted)
    count = len(digits.train)
    later = build_harness(digits.train, extractor, num_images=count, cache_dir=tmp_path, later=True)
    assert (later.protocol, later.metrics) == (harness.protocol, harness.metrics)
    assert made == []
    held = later.held_to_protocol()
    later.prepare()
    features = extractor(digits.test.images)  # type: ignore[union-attr]
    assert dict(held.score(features)) == dict(harness.score(features))
    assert len(made) == 1, "once for all copies"


def test_the_reference_against_itself_is_perfect(harness: MetricHarness, digits: Splits) -> None:
    scores = harness.evaluate(Replay(digits.train.images))
    assert list(scores) == [
        name for name in METRICS if name not in CLASS_METRICS and METRICS[name].compute is None
    ]
    assert scores["fid"] == pytest.approx(0.0, abs=1e-6)
    assert scores["precision"] == scores["recall"] == scores["coverage"] == 1.0
    assert scores["is"] > 8.0
    assert scores["kid"] < 0.0 or scores["kid"] < scores["kid_std"]


def test_a_constant_generator_is_precise_without_recall(
    harness: MetricHarness, digits: Splits
) -> None:
    scores = harness.evaluate(Replay(digits.train.images[5:6]))
    assert scores["precision"] == 1.0
    assert scores["recall"] < 0.01
    assert scores["coverage"] < 0.05
    assert scores["is"] == pytest.approx(1.0)


def test_scores_order_test_images_before_damaged_ones_before_noise(
    harness: MetricHarness, digits: Splits
) -> None:
    assert digits.test is not None
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, digits.test.images.shape, dtype=torch.uint8, generator=generator)
    damaged = torch.where(noise < 64, noise, digits.test.images)
    bound = harness.bound(digits.test.images)
    scores = [bound, harness.bound(damaged), harness.bound(noise)]
    for name in ("fid", "kid"):
        assert scores[0][name] < scores[1][name] < scores[2][name]
    for name in ("precision", "density", "coverage"):
        assert scores[0][name] > scores[1][name] >= scores[2][name]
    assert scores[0]["recall"] > 0.5 > scores[2]["recall"]


def test_evaluation_is_deterministic_and_draws_what_it_needs(
    harness: MetricHarness, digits: Splits
) -> None:
    first, second = Replay(digits.train.images), Replay(digits.train.images)
    assert harness.evaluate(first, num_images=612) == harness.evaluate(second, num_images=612)
    assert first.asked == [500, 112]


def test_candidates_can_share_one_feature_pass(
    harness: MetricHarness, digits: Splits, extractor: FeatureExtractor
) -> None:
    features = extractor(digits.train.images[:600])
    alone = harness.evaluate(Replay(digits.train.images[300:600]), num_images=300)
    assert harness.score(features[300:600]) == pytest.approx(alone, rel=1e-6, abs=1e-7)


def test_only_the_metrics_asked_for_are_computed(
    harness: MetricHarness, digits: Splits, extractor: FeatureExtractor
) -> None:
    features = extractor(digits.train.images[:300])
    every = harness.score(features)
    for metrics, names in (
        (("fid",), ["fid"]),
        (("kid", "is"), ["is", "is_std", "kid", "kid_std"]),
        (("coverage", "precision"), ["precision", "coverage"]),
    ):
        some = MetricHarness(
            extractor,
            harness.reference,
            num_images=harness.num_images,
            metrics=metrics,
            protocol=harness.protocol,
        ).score(features)
        assert some == {name: every[name] for name in names}


def test_a_cached_reference_gives_the_same_scores(
    digits: Splits, extractor: FeatureExtractor, tmp_path: Path
) -> None:
    subset = digits.train.subset(range(200))
    features = extractor(digits.train.images[200:400])
    scores = [
        build_harness(subset, extractor, num_images=200, cache_dir=tmp_path).score(features)
        for _ in range(2)
    ]
    assert scores[0] == scores[1]


def test_unusual_settings_mark_the_protocol(
    digits: Splits, extractor: FeatureExtractor, tmp_path: Path
) -> None:
    settings = ScoreSettings(inception_splits=5)
    subset = digits.train.subset(range(100))
    marked = build_harness(subset, extractor, num_images=100, settings=settings, cache_dir=tmp_path)
    assert marked.protocol.features.startswith("digits+")
    assert Protocol.parse(marked.protocol.id) == marked.protocol


def test_wrong_parts_are_refused(harness: MetricHarness, extractor: FeatureExtractor) -> None:
    def rebuilt(**changes: object) -> MetricHarness:
        arguments: dict[str, object] = {
            "num_images": harness.num_images,
            "metrics": ("fid",),
            "protocol": harness.protocol,
        }
        return MetricHarness(extractor, harness.reference, **(arguments | changes))  # type: ignore[arg-type]

    with pytest.raises(UnknownNameError, match="'fid'"):
        rebuilt(metrics=("fids",))
    with pytest.raises(ConfigError, match="at least one"):
        rebuilt(metrics=())
    with pytest.raises(ConfigError, match="does not describe 7 images"):
        rebuilt(num_images=7)


def test_bad_samples_and_features_give_an_error_not_a_score(harness: MetricHarness) -> None:
    with pytest.raises(MetricError, match="gave 3 images where 500"):
        harness.evaluate(lambda _: GeneratedImages(torch.zeros(3, 1, 16, 16, dtype=torch.uint8)))
    with pytest.raises(MetricError, match="to_uint8"):
        harness.evaluate(lambda count: GeneratedImages(torch.zeros(count, 1, 16, 16)))
    with pytest.raises(MetricError, match="rows hold NaN"):
        harness.score(Features(torch.full((50, 64), float("nan")), torch.zeros(50, 10)))
    with pytest.raises(MetricError, match="7-dimensional"):
        harness.score(Features(torch.zeros(50, 7), torch.zeros(50, 10)))
    with pytest.raises(ConfigError, match="at least 1"):
        harness.evaluate(Replay(torch.zeros(1, 1, 16, 16)), num_images=0)


def test_several_generators_share_feature_batches_and_keep_their_scores(
    digits: Splits, tmp_path: Path
) -> None:
    extractor = make_features("digits", device="cpu", batch_size=64)
    harness = build_harness(digits.train, extractor, num_images=40, cache_dir=tmp_path)
    images = digits.train.images
    samplers = [Replay(images[k * 40 : k * 40 + 40]) for k in range(4)]

    def broken(_: int) -> GeneratedImages:
        raise TrainingDiverged("the generated images are not finite", generator_step=3)

    passes: list[int] = []
    network = next(module for module in vars(extractor).values() if isinstance(module, nn.Module))
    network.register_forward_pre_hook(lambda _m, inputs: passes.append(len(inputs[0])))
    found = harness.evaluate_each([*samplers[:2], broken, *samplers[2:]])
    assert sum(passes) == 160
    assert len(passes) == 3  # 64, 64 and 32, not 4 times 40
    assert isinstance(found[2], TrainingDiverged)
    for k, scores in zip((0, 1, 3, 4), [found[0], found[1], found[3], found[4]], strict=True):
        alone = harness.evaluate(Replay(images[(k - (k > 2)) * 40 :][:40]))
        assert scores == pytest.approx(alone, rel=1e-4)
    (one,) = harness.evaluate_each([samplers[0]], metrics=["fid"])
    assert list(one) == ["fid"]


def test_fid_alone_asks_for_no_neighbourhoods(
    digits: Splits, extractor: FeatureExtractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("FID has no neighbours")

    for name in ("neighbourhood_reference", "real_kernel_sums"):
        monkeypatch.setattr(reference_module, name, refuse)
    few = digits.train.subset(range(5))
    harness = build_harness(few, extractor, num_images=4, metrics=("fid",), cache_dir=tmp_path)
    assert list(harness.evaluate(Replay(digits.train.images))) == ["fid"]
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["reference"]


def test_what_the_metrics_need_is_made_before_the_first_evaluation(
    digits: Splits, extractor: FeatureExtractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = build_harness(
        digits.train.subset(range(50)), extractor, num_images=50, cache_dir=tmp_path
    )

    def refuse(*_: object) -> None:
        raise AssertionError("an evaluation would pay for it")

    for name in ("neighbourhood_reference", "real_kernel_sums"):
        monkeypatch.setattr(reference_module, name, refuse)
    assert "coverage" in harness.evaluate(Replay(digits.train.images))


@pytest.mark.parametrize(
    ("count", "metrics", "short"),
    [
        (3, ("fid", "precision"), r"precision \(at least 4\)"),
        (5, ("is", "recall", "density"), r"density \(at least 6\)"),
        (5, ("precision", "coverage"), r"coverage \(at least 6\)"),
    ],
)
def test_too_few_real_images_are_refused_by_the_scores_names(
    digits: Splits, extractor: FeatureExtractor, tmp_path: Path, count: int,
    metrics: tuple[str, ...], short: str,
) -> None:  # fmt: skip
    few = digits.train.subset(range(count))
    with pytest.raises(ConfigError, match=f"the {count} train images are too few for {short}: "):
        build_harness(few, extractor, num_images=20, metrics=metrics, cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("count", "metrics"),
    [(4, ("precision",)), (2, ("fid", "kid", "is", "recall")), (6, ("density", "coverage"))],
)
def test_the_least_real_images_are_enough(
    digits: Splits, extractor: FeatureExtractor, tmp_path: Path, count: int,
    metrics: tuple[str, ...],
) -> None:  # fmt: skip
    few = digits.train.subset(range(count))
    harness = build_harness(few, extractor, num_images=20, metrics=metrics, cache_dir=tmp_path)
    assert set(metrics) <= set(harness.evaluate(Replay(digits.train.images)))


@pytest.mark.parametrize("metric", COMPUTED_METRICS)
def test_the_least_generated_images_are_enough_and_one_less_is_not(
    harness: MetricHarness, digits: Splits, metric: str
) -> None:
    least = METRICS[metric].least_images
    scores = harness.score(harness.extractor(digits.train.images[:least]), metrics=[metric])
    assert metric in scores
    if metric in ("is", "recall", "fid"):
        with pytest.raises(MetricError, match=r"at least|more than"):
            harness.score(harness.extractor(digits.train.images[: least - 1]), metrics=[metric])


def test_few_test_images_have_no_bound_and_it_is_said_which_score_lacks_them(
    harness: MetricHarness,
) -> None:
    assert harness.lack_of_bound(5) == "the 5 test images are too few for is (at least 10)"
    assert harness.lack_of_bound(3).endswith("is (at least 10), recall (at least 4)")
    assert not harness.lack_of_bound(10)


def test_a_score_outside_its_bounds_is_an_error(
    harness: MetricHarness, digits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness_module, "frechet_distance", lambda *_: -0.5)
    with pytest.raises(MetricError, match=r"fid came out as -0\.5, but is at least 0"):
        harness.score(harness.extractor(digits.train.images[:20]), metrics=["fid"])


@pytest.mark.parametrize("name", ["фото", "_faces", "caf\udce9"])
def test_data_of_any_name_are_scored(
    digits: Splits, extractor: FeatureExtractor, tmp_path: Path, name: str
) -> None:
    mine = replace(digits.train.subset(range(20)), name=name)
    harness = build_harness(mine, extractor, num_images=20, cache_dir=tmp_path)
    assert Protocol.parse(harness.protocol.id) == harness.protocol
    assert mine.checksum[:8] in harness.protocol.dataset


def test_the_bound_is_cached_beside_the_reference(
    digits: Splits, extractor: FeatureExtractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, and by the content of the images."""
    assert digits.test is not None

    def fresh() -> MetricHarness:
        return build_harness(digits.train, extractor, num_images=300, cache_dir=tmp_path)

    images, checksum = digits.test.images, digits.test.checksum
    made = fresh().bound(images, checksum=checksum)
    assert made == fresh().bound(images)
    later = fresh()
    monkeypatch.setattr(type(extractor), "extract", None)
    assert later.bound(images, checksum=checksum) == made
    with pytest.raises(TypeError):
        later.bound(images, checksum="of others")
    with pytest.raises(TypeError):
        later.bound(images[:200], checksum=checksum)


def test_the_subsets_of_kid_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _subsets.cache_clear()
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    settings = KernelSettings(subsets=3, subset_size=10)
    first = kernel_distance(features[:20], features, settings)
    monkeypatch.setattr(np.random, "RandomState", None)
    assert kernel_distance(features[:20], features, settings) == first
