"""Scores class by class: the distances themselves, and what the harness makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from nasgan.data import ImageSet, Splits, load_digits
from nasgan.errors import ConfigError
from nasgan.metrics import GeneratedImages, MetricError, classes
from nasgan.metrics.classes import ClassReferences, check_classes
from nasgan.metrics.extractor import FeatureExtractor, make_features
from nasgan.metrics.harness import MetricHarness, build_harness
from nasgan.metrics.table import COMPUTED_METRICS, MetricSettings, Scores, least_images

CLASSES = 10


class Replay:
    """Gives stored images with their classes in order."""

    def __init__(self, images: Tensor, labels: Tensor | None) -> None:
        self.images, self.labels = images, labels
        self.position = 0

    def __call__(self, count: int) -> GeneratedImages:
        part = slice(self.position, self.position + count)
        self.position += count
        return GeneratedImages(
            self.images[part], None if self.labels is None else self.labels[part]
        )


@pytest.fixture(scope="module")
def digits() -> Splits:
    return load_digits()


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return make_features("digits", device="cpu", batch_size=256)


@pytest.fixture(scope="module")
def make_harness(
    digits: Splits, extractor: FeatureExtractor, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., MetricHarness]:
    folder = tmp_path_factory.mktemp("cache")

    def make(num_classes: int = CLASSES, **changes: object) -> MetricHarness:
        arguments = {"num_images": len(digits.train), "cache_dir": folder, **changes}
        return build_harness(digits.train, extractor, num_classes=num_classes, **arguments)  # type: ignore[arg-type]

    return make


def slow_distance(a: np.ndarray, b: np.ndarray) -> float:
    """By scipy's matrix square root."""
    shift = ((a.mean(0) - b.mean(0)) ** 2).sum()
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second).real
    return float(shift + np.trace(first) + np.trace(second) - 2 * np.trace(root))


def test_the_distance_of_each_class_is_that_of_its_images_alone() -> None:
    random = torch.Generator().manual_seed(0)
    real = torch.randn(60, 4, generator=random, dtype=torch.float64)
    fake = torch.randn(45, 4, generator=random, dtype=torch.float64) * 2 + 1
    labels, own = torch.arange(60) % 3, torch.arange(45) % 3
    found = ClassReferences.from_features(real, labels, 3).distances(fake, own)
    for number, distance in enumerate(found):
        expected = slow_distance(fake[own == number].numpy(), real[labels == number].numpy())
        assert distance == pytest.approx(expected, rel=1e-9)


def test_real_images_are_perfect_and_swapped_classes_are_seen_by_class_only(
    digits: Splits, make_harness: Callable[..., MetricHarness]
) -> None:
    harness = make_harness()
    labels = digits.train.labels
    assert labels is not None
    right = harness.evaluate(Replay(digits.train.images, labels))
    wrong = harness.evaluate(Replay(digits.train.images, (labels + 1) % CLASSES))
    plain = make_harness(0).evaluate(Replay(digits.train.images, None))
    assert list(right) == ["is", "is_std", "fid", "fid_per_class", *list(plain)[3:]]
    assert right["fid_per_class"] == pytest.approx(0, abs=1e-6)
    assert wrong["fid_per_class"] > 100
    for scores in (right, wrong):
        assert {name: scores[name] for name in plain} == plain
        assert scores["fid_per_class"] == pytest.approx(np.mean(scores.per_class["fid"]))
        assert len(scores.per_class["fid"]) == CLASSES
    assert plain.per_class == {}


def test_the_protocol_is_the_same_with_classes(make_harness: Callable[..., MetricHarness]) -> None:
    assert make_harness().protocol == make_harness(0).protocol
    assert make_harness().metrics == (*COMPUTED_METRICS, "fid_per_class")


def test_generators_in_one_group_keep_their_classes(
    digits: Splits, make_harness: Callable[..., MetricHarness]
) -> None:
    harness = make_harness()
    images, labels = digits.train.images, digits.train.labels
    assert labels is not None

    def sampler(k: int) -> Replay:
        return Replay(images[k * 400 : k * 400 + 400], labels[k * 400 : k * 400 + 400])

    group = harness.evaluate_each(
        [sampler(0), sampler(1), sampler(2)], num_images=400, metrics=["fid_per_class"]
    )
    for k, scores in enumerate(group):
        assert isinstance(scores, Scores)
        alone = harness.evaluate(sampler(k), num_images=400)
        assert scores.per_class["fid"] == pytest.approx(alone.per_class["fid"], rel=1e-4)
        assert list(scores) == ["fid_per_class"]


def test_the_bound_has_scores_by_class_where_the_test_images_allow(
    digits: Splits, make_harness: Callable[..., MetricHarness]
) -> None:
    assert digits.test is not None
    harness = make_harness()
    images, labels = digits.test.images, digits.test.labels
    assert labels is not None
    assert harness.bound(images, labels)["fid_per_class"] > 0
    assert "fid_per_class" not in harness.bound(images)
    assert "fid_per_class" not in harness.bound(images[labels != 3], labels[labels != 3])


def test_statistics_by_class_come_from_the_cache(
    digits: Splits, extractor: FeatureExtractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scores() -> Scores:
        harness = build_harness(
            digits.train, extractor, num_images=300, num_classes=CLASSES, cache_dir=tmp_path
        )
        return harness.evaluate(Replay(digits.train.images, digits.train.labels))

    first = scores()
    monkeypatch.setattr(classes, "_statistics", pytest.fail)
    again = scores()
    assert again == first
    assert again.per_class == first.per_class


def test_what_cannot_be_scored_by_class_is_refused(
    digits: Splits, extractor: FeatureExtractor, make_harness: Callable[..., MetricHarness]
) -> None:
    images, labels = digits.train.images, digits.train.labels
    assert labels is not None
    harness = make_harness()
    with pytest.raises(MetricError, match="need the class that each image"):
        harness.evaluate(Replay(images, None))
    with pytest.raises(MetricError, match="class 4 has 0 generated images"):
        harness.evaluate(Replay(images[labels != 4], labels[labels != 4]), num_images=600)
    with pytest.raises(ConfigError, match=r"num_images must be at least 20 .* 10 classes, got 19"):
        make_harness(num_images=19)

    def build(real: ImageSet, num_classes: int = CLASSES) -> MetricHarness:
        return build_harness(real, extractor, num_images=100, num_classes=num_classes)

    with pytest.raises(ConfigError, match="need the classes of the real images"):
        build(ImageSet("plain", images))
    with pytest.raises(ConfigError, match=r"have 3 classes, .* has 10"):
        build(digits.train, 3)
    rare = torch.cat([(labels != 7).nonzero()[:, 0], (labels == 7).nonzero()[:1, 0]])
    with pytest.raises(ConfigError, match="fewer than 2 images of the classes 7"):
        build(digits.train.subset(rare))


def test_scores_by_class_are_not_asked_for() -> None:
    with pytest.raises(ConfigError, match="leave fid_per_class out"):
        MetricSettings({"name": "digits"}, 100, ("fid", "fid_per_class"))


def test_the_least_number_of_images_counts_each_class() -> None:
    assert least_images(["fid", "fid_per_class"], 10) == 20
    assert least_images(["is", "fid_per_class"], 3) == 10
    assert least_images(["fid"], 10) == 2


def test_many_classes_with_few_images_are_told_in_a_line() -> None:
    labels = torch.cat([torch.arange(5000), torch.zeros(1, dtype=torch.int64)])
    with pytest.raises(ConfigError, match=r"the classes 1, 2, .* and 4989 more:") as caught:
        check_classes(labels, 5000, "faces")
    assert len(str(caught.value)) < 250
