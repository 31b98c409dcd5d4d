"""Score a generator: draw images, extract features once, compute every metric from them."""

from __future__ import annotations

import copy
import math
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from nasgan.errors import ConfigError, TrainingDiverged
from nasgan.metrics.cache import TensorCache, default_cache_dir
from nasgan.metrics.classes import ClassReferences, check_classes
from nasgan.metrics.extractor import FeatureExtractor, Features
from nasgan.metrics.images import (
    CheckedSampler,
    GeneratedImages,
    MetricError,
    RealImages,
    Sampler,
    check_features,
)
from nasgan.metrics.protocol import Protocol, dataset_token
from nasgan.metrics.reference import ReferenceStatistics, ScoreSettings, origin_of, plugin_scores
from nasgan.metrics.scores.frechet import frechet_distance
from nasgan.metrics.scores.inception_score import inception_score
from nasgan.metrics.scores.kernel_distance import KernelDistance
from nasgan.metrics.scores.neighbourhoods import NEIGHBOURHOODS, NeighbourhoodScores
from nasgan.metrics.scores.pairs import PairwiseScore, score_pairs
from nasgan.metrics.table import (
    CLASS_METRICS,
    COMPUTED_METRICS,
    METRICS,
    Scores,
    check_metrics,
    least_images,
    too_few_images,
)

__all__ = ["MetricHarness", "build_harness"]


_Real: TypeAlias = "tuple[ReferenceStatistics, ClassReferences | None]"


class MetricHarness:
    """Scores images under one protocol.

    Args:
        extractor: makes the features.
        reference: statistics of the real images, from the same extractor.
        num_images: images in an evaluation.
        metrics: names from `nasgan.metrics.table.METRICS`, nasgan's or a plugin's; spreads
            (``is_std``, ``kid_std``) come with their metric.
        protocol: names what the numbers compare with.
        classes: for class-conditional generators, the statistics of each class: they are then
            scored by class, too (`nasgan.metrics.table.CLASS_METRICS`).

    Raises:
        UnknownNameError: there is no such metric.
        PluginError: the package that brings a metric is broken.
        ConfigError: the parts do not belong together.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        reference: ReferenceStatistics,
        *,
        num_images: int,
        metrics: tuple[str, ...] = COMPUTED_METRICS,
        protocol: Protocol,
        classes: ClassReferences | None = None,
    ) -> None:
        check_metrics(metrics)
        features = reference.settings.mark(extractor.protocol_name)
        if (protocol.num_images, protocol.features) != (num_images, features):
            raise ConfigError(
                f"the protocol {protocol.id} does not describe {num_images} images and the "
                f"features {features!r}"
            )
        _check_width(reference, extractor)
        self._take(extractor, lambda: (reference, classes), num_images, metrics, protocol)
        if classes is not None:
            self.metrics = (*metrics, *CLASS_METRICS)

    def _take(
        self,
        extractor: FeatureExtractor,
        real: Callable[[], _Real],
        num_images: int,
        metrics: tuple[str, ...],
        protocol: Protocol,
    ) -> None:
        self.extractor = extractor
        self.num_images = num_images
        self.metrics = metrics
        self.protocol = protocol
        self._real = cache(real)  # once, for all copies
        self._is_held = False
        self._sums: dict[int, Tensor] = {}

    @classmethod
    def later(
        cls,
        extractor: FeatureExtractor,
        real: Callable[[], _Real],
        *,
        num_images: int,
        metrics: tuple[str, ...],
        protocol: Protocol,
    ) -> MetricHarness:
        """A harness whose real side is made when it is first asked for; see `prepare`.

        Args:
            extractor: as for the class.
            real: makes the statistics of the real images, and of each class if these are scored.
            num_images: as for the class.
            metrics: as there, those of classes included.
            protocol: as there.
        """
        made = cls.__new__(cls)
        made._take(extractor, real, num_images, metrics, protocol)
        return made

    def prepare(self) -> None:
        """Make the real side now, if that has not been done."""
        self._real()

    @property
    def reference(self) -> ReferenceStatistics:
        """Statistics of the real images."""
        return self._real()[0]

    @property
    def classes(self) -> ClassReferences | None:
        """Those of each class; None where classes are not scored."""
        return self._real()[1]

    def evaluate(self, sample: Sampler, *, num_images: int | None = None) -> Scores:
        """Draw images and score them.

        Args:
            sample: draws them, with their classes where there are some.
            num_images: another number than the protocol's; the scores then belong to
                ``dataclasses.replace(protocol, num_images=num_images)``.

        Raises:
            MetricError: the images cannot be scored.
        """
        features: list[Features] = []
        labels: list[Tensor | None] = []
        for drawn in self._draw(sample, self._count(num_images)):
            features.append(self.extractor(drawn.images))
            labels.append(drawn.labels)
        return self.score(Features.concatenate(features), _joined(labels))

    def held_to_protocol(self) -> MetricHarness:
        """The same harness, whose scores are always of the protocol's number of images."""
        held = copy.copy(self)
        held._is_held = True
        return held

    def evaluate_each(
        self,
        samplers: Sequence[Sampler],
        *,
        num_images: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> list[Scores | TrainingDiverged]:
        """Score several generators whose images share feature batches.

        Args:
            samplers: one a generator. One that raises `TrainingDiverged` leaves the others as they
                are.
            num_images: as for `evaluate`; of each.
            metrics: only these of the harness's metrics.

        Returns:
            The scores of each generator, or how it broke down.

        Raises:
            MetricError: the images cannot be scored.
        """
        count = self._count(num_images)
        outcomes: list[Scores | TrainingDiverged | None] = []
        labels: list[Tensor | None] = []
        features: list[Features] = []
        waiting: list[Tensor] = []
        size = self.extractor.batch_size
        for sample in samplers:
            try:
                drawn = list(self._draw(sample, count))
            except TrainingDiverged as error:
                outcomes.append(error)
                continue
            outcomes.append(None)
            labels.append(_joined([part.labels for part in drawn]))
            images = torch.cat([*waiting, *(part.images for part in drawn)])
            whole = len(images) // size * size
            if whole:
                features.append(self.extractor(images[:whole]))
            waiting = [images[whole:]]
        if waiting and len(waiting[0]):
            features.append(self.extractor(waiting[0]))
        parts = Features.concatenate(features).split(count) if features else []
        made = iter(
            [self.score(*of_one, metrics=metrics) for of_one in zip(parts, labels, strict=True)]
        )
        return [next(made) if outcome is None else outcome for outcome in outcomes]

    def score(
        self,
        features: Features,
        labels: Tensor | None = None,
        *,
        metrics: Sequence[str] | None = None,
    ) -> Scores:
        """Score features that are already there, e.g. a slice of a batch that several share.

        Their number decides which protocol the scores belong to, see `evaluate`.

        Args:
            features: of the generated images.
            labels: the classes that they were generated for, for scores by class.
            metrics: only these of the harness's metrics.

        Raises:
            MetricError: the features are not finite, too few, of another extractor, or without
                classes where scores by class are due.
            PluginError: a metric of a plugin fails.
        """
        wanted = self.metrics if metrics is None else metrics
        device = self.reference.features.device
        generated = features.features.to(device)
        check_features(generated, "generated features")
        if generated.shape[1] != self.reference.features.shape[1]:
            raise MetricError(
                f"generated features are {generated.shape[1]}-dimensional, the reference's "
                f"{self.reference.features.shape[1]}-dimensional"
            )
        scores: dict[str, float] = {}
        per_class: dict[str, list[float]] = {}
        if "is" in wanted:
            splits = self.reference.settings.inception_splits
            scores["is"], scores["is_std"] = inception_score(features.logits, splits=splits)
        if "fid" in wanted:
            scores["fid"] = frechet_distance(generated, self.reference.frechet)
        if "fid_per_class" in wanted:
            per_class["fid"] = self._class_distances(generated, labels)
            scores["fid_per_class"] = statistics.fmean(per_class["fid"])
        scores.update(self._pairwise(generated, wanted))
        own = Features(generated, features.logits.to(device))
        scores.update(plugin_scores(wanted, own, self.reference))
        for name, value in scores.items():
            if not math.isfinite(value):
                raise MetricError(f"{name} came out as {value} although the features are finite")
            if not METRICS[name].holds(value):
                raise MetricError(f"{name} came out as {value}, but is {METRICS[name].range}")
        return Scores(scores, per_class)

    def lack_of_bound(self, num_images: int) -> str:
        """Why so many real test images give no `bound`; empty if they give one."""
        return too_few_images(self.metrics, min(num_images, self.num_images), "test images")

    def bound(
        self, images: Tensor, labels: Tensor | None = None, *, checksum: str | None = None
    ) -> Scores:
        """Score real images that are not in the reference: what a perfect generator would reach.

        Args:
            images: the test split, uint8 (N, C, H, W); up to ``num_images`` of them are used, so
                that biased scores compare with equal numbers where there are enough.
            labels: their classes; without them, or with fewer than two images of a class among
                those used, there are no scores by class.
            checksum: of images and labels: the scores are cached beside the reference. Not those
                of plugins, whose code may change.

        Raises:
            MetricError: the images cannot be scored, see `lack_of_bound`.
        """
        used = images[: self.num_images]
        own = None if labels is None else labels[: self.num_images]
        wanted = self.metrics
        if self.classes is not None and not self.classes.covers(own):
            wanted = tuple(name for name in wanted if name not in CLASS_METRICS)

        def compute() -> Scores:
            return self.score(self.extractor(used), own, metrics=wanted)

        if checksum is None or any(METRICS[name].compute is not None for name in wanted):
            return compute()
        made = self.reference.kept_scores(
            {"bound": checksum, "num_images": len(used), "metrics": list(wanted)},
            lambda: _as_json(compute()),
        )
        return Scores(made["scores"], made["per_class"])

    def _class_distances(self, generated: Tensor, labels: Tensor | None) -> list[float]:
        if self.classes is None or labels is None:
            raise MetricError(
                "scores by class need the class that each image was generated for, and real "
                "images with classes"
            )
        return self.classes.distances(generated, labels)

    def _count(self, num_images: int | None) -> int:
        count = self.num_images if num_images is None or self._is_held else num_images
        if count < 1:
            raise ConfigError(f"num_images must be at least 1, got {count}")
        return count

    def _pairwise(self, generated: Tensor, metrics: Sequence[str]) -> dict[str, float]:
        """KID and the neighbourhood scores that are asked for, in one pass over the pairs."""
        real = self.reference.features
        settings = self.reference.settings
        kernel: KernelDistance | None = None
        neighbourhoods: NeighbourhoodScores | None = None
        if "kid" in metrics:
            # A search asks for the same number of images many times.
            count = len(generated)
            if count not in self._sums:
                self._sums[count] = self.reference.for_num_generated(count).kernel_sums
            kernel = KernelDistance(generated, real, settings.kernel, self._sums[count])
        names = [name for name in NEIGHBOURHOODS if name in metrics]
        if names:
            neighbourhoods = NeighbourhoodScores(
                generated, real, self.reference.neighbourhoods, settings.neighbourhoods, names
            )
        parts: list[PairwiseScore] = [p for p in (kernel, neighbourhoods) if p is not None]
        if parts:
            score_pairs(generated, real, parts)
        scores: dict[str, float] = {}
        if kernel is not None:
            scores["kid"], scores["kid_std"] = kernel.result()
        if neighbourhoods is not None:
            scores.update(neighbourhoods.result())
        return scores

    def _draw(self, sample: Sampler, count: int) -> Iterator[GeneratedImages]:
        """Batches of generated images, each as large as one feature pass."""
        for start in range(0, count, self.extractor.batch_size):
            wanted = min(self.extractor.batch_size, count - start)
            drawn = sample(wanted)
            if len(drawn.images) != wanted:
                raise MetricError(
                    f"the sampler gave {len(drawn.images)} images where {wanted} were due"
                )
            yield drawn
        if isinstance(sample, CheckedSampler):
            sample.check()


def _as_json(scores: Scores) -> dict[str, Any]:
    """``scores`` as JSON data, which gives each number back to the last bit."""
    return {"scores": dict(scores), "per_class": scores.per_class}


def _joined(labels: Sequence[Tensor | None]) -> Tensor | None:
    """The labels of all batches; None if one has none."""
    known = [part for part in labels if part is not None]
    return torch.cat(known) if known and len(known) == len(labels) else None


def build_harness(
    train: RealImages,
    extractor: FeatureExtractor,
    *,
    num_images: int,
    metrics: tuple[str, ...] = COMPUTED_METRICS,
    num_classes: int = 0,
    settings: ScoreSettings | None = None,
    cache_dir: Path | None = None,
    later: bool = False,
) -> MetricHarness:
    """A harness that scores against the images of ``train``.

    Args:
        train: the real images; its identity and split go into the protocol id.
        extractor: see `nasgan.metrics.make_features`.
        num_images: generated images in an evaluation.
        metrics: see `MetricHarness`.
        num_classes: of class-conditional generators, which are then scored by class, too; the
            protocol id stays, because the other scores compare with those of unconditional ones.
        settings: of the scores; any but the defaults mark the protocol id.
        cache_dir: folder of the cached reference statistics; ``None`` for `default_cache_dir`.
        later: make these when they are first asked for, or by `MetricHarness.prepare`.

    Raises:
        ConfigError: a setting is wrong, see `MetricHarness`, or the real images are too few for one
            of the metrics.
        MetricError: the real images cannot be scored.
    """
    check_metrics(metrics)
    if "is" in metrics and not extractor.num_logits:
        raise ConfigError(
            f"metrics.metrics: is needs class logits, and the {extractor.name} features have none; "
            "leave it out"
        )
    settings = settings or ScoreSettings()
    protocol = Protocol(
        dataset=dataset_token(train.identity, train.checksum),
        split=re.sub(r"[^A-Za-z0-9._+]+", "_", train.split),
        num_images=num_images,
        features=settings.mark(extractor.protocol_name),
    )
    if num_classes:
        check_classes(train.labels, num_classes, train.identity)
        least = least_images(CLASS_METRICS, num_classes)
        if num_images < least:
            raise ConfigError(
                f"metrics.num_images must be at least {least} for scores by class with "
                f"{num_classes} classes, got {num_images}"
            )
    lack = too_few_images(metrics, len(train.images), f"{train.split} images", real=True)
    if lack:
        raise ConfigError(
            f"{lack}: take more images than {train.identity} has here, or leave these scores out "
            "of metrics.metrics"
        )
    kept = TensorCache(default_cache_dir() if cache_dir is None else cache_dir)

    def real() -> _Real:
        reference = ReferenceStatistics.from_images(
            train.images,
            extractor,
            checksum=train.checksum,
            num_generated=num_images,
            cache=kept,
            settings=settings,
            metrics=metrics,
        )
        _check_width(reference, extractor)
        if not num_classes or train.labels is None:
            return reference, None
        origin = origin_of(train.images, extractor, train.checksum)
        of_classes = ClassReferences.cached(
            reference.features, train.labels, num_classes, cache=kept, origin=origin
        )
        return reference, of_classes

    harness = MetricHarness.later(
        extractor,
        real,
        num_images=num_images,
        metrics=(*metrics, *CLASS_METRICS) if num_classes else metrics,
        protocol=protocol,
    )
    if not later:
        harness.prepare()
    return harness


def _check_width(reference: ReferenceStatistics, extractor: FeatureExtractor) -> None:
    if reference.features.shape[1] != extractor.dim:
        raise ConfigError(
            f"the reference's features are {reference.features.shape[1]}-dimensional, those of "
            f"{extractor.name} {extractor.dim}-dimensional: compute the reference with it"
        )
