"""Score a generator: draw images, extract features once, compute every metric from them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol as StructuralType

import torch
from torch import Tensor

from nasgan.errors import ConfigError, TrainingDiverged, UnknownNameError
from nasgan.metrics.cache import TensorCache, default_cache_dir
from nasgan.metrics.extractor import FeatureExtractor, Features
from nasgan.metrics.images import MetricError, check_features
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.reference import ReferenceStatistics, ScoreSettings
from nasgan.metrics.scores.frechet import frechet_distance
from nasgan.metrics.scores.inception_score import inception_score
from nasgan.metrics.scores.kernel_distance import KernelDistance
from nasgan.metrics.scores.neighbourhoods import NeighbourhoodScores
from nasgan.metrics.scores.pairs import PairwiseScore, score_pairs
from nasgan.metrics.table import COMPUTED_METRICS, METRICS

__all__ = ["MetricHarness", "RealImages", "build_harness"]

_NEIGHBOURHOODS = ("precision", "recall", "density", "coverage")


class RealImages(StructuralType):
    """What the harness needs of a data set; `nasgan.data.ImageSet` has it."""

    @property
    def images(self) -> Tensor:
        """Uint8 (M, C, H, W)."""

    @property
    def checksum(self) -> str:
        """Hash of the content."""

    @property
    def identity(self) -> str:
        """The name in protocol ids."""

    @property
    def split(self) -> str:
        """For example ``"train"``."""


class MetricHarness:
    """Scores images under one protocol.

    Args:
        extractor: makes the features.
        reference: statistics of the real images, from the same extractor.
        num_images: images in an evaluation.
        metrics: names from `nasgan.metrics.table.COMPUTED_METRICS`; spreads (``is_std``,
            ``kid_std``) come with their metric.
        protocol: names what the numbers compare with.

    Raises:
        UnknownNameError: there is no such metric.
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
    ) -> None:
        for name in metrics:
            if name not in COMPUTED_METRICS:
                raise UnknownNameError("metric", name, COMPUTED_METRICS)
        if not metrics:
            raise ConfigError("metrics is empty: name at least one, for example 'fid'")
        features = reference.settings.mark(extractor.protocol_name)
        if (protocol.num_images, protocol.features) != (num_images, features):
            raise ConfigError(
                f"the protocol {protocol.id} does not describe {num_images} images and the "
                f"features {features!r}"
            )
        if reference.features.shape[1] != extractor.dim:
            raise ConfigError(
                f"the reference's features are {reference.features.shape[1]}-dimensional, those of "
                f"{extractor.name} {extractor.dim}-dimensional: compute the reference with it"
            )
        self.extractor = extractor
        self.reference = reference
        self.num_images = num_images
        self.metrics = metrics
        self.protocol = protocol
        self._sums: dict[int, Tensor] = {}

    def evaluate(
        self, sample: Callable[[int], Tensor], *, num_images: int | None = None
    ) -> dict[str, float]:
        """Draw images and score them.

        Args:
            sample: called with a count, gives that many uint8 images (n, C, H, W) (see
                `nasgan.metrics.to_uint8`), on any device; called until there are enough.
            num_images: another number than the protocol's; the scores then belong to
                ``protocol.with_num_images(num_images)``.

        Returns:
            Score by name, in the order of `nasgan.metrics.table.METRICS`.

        Raises:
            MetricError: the images cannot be scored.
        """
        count = self.num_images if num_images is None else num_images
        if count < 1:
            raise ConfigError(f"num_images must be at least 1, got {count}")
        batches = [self.extractor(images) for images in self._draw(sample, count)]
        return self.score(Features.concatenate(batches))

    def evaluate_each(
        self, samplers: Sequence[Callable[[int], Tensor]], *, num_images: int | None = None
    ) -> list[dict[str, float] | TrainingDiverged]:
        """Score several generators whose images share feature batches.

        Args:
            samplers: one a generator, as for `evaluate`. One that raises `TrainingDiverged` leaves
                the others as they are.
            num_images: as for `evaluate`; of each.

        Returns:
            The scores of each generator, or how it broke down.

        Raises:
            MetricError: the images cannot be scored.
        """
        count = self.num_images if num_images is None else num_images
        if count < 1:
            raise ConfigError(f"num_images must be at least 1, got {count}")
        outcomes: list[dict[str, float] | TrainingDiverged] = []
        features: list[Features] = []
        waiting: list[Tensor] = []
        owners: list[int] = []
        size = self.extractor.batch_size
        for sample in samplers:
            try:
                drawn = list(self._draw(sample, count))
            except TrainingDiverged as error:
                outcomes.append(error)
                continue
            outcomes.append({})
            owners.append(len(outcomes) - 1)
            waiting.append(torch.cat(drawn))
            images = torch.cat(waiting)
            whole = len(images) // size * size
            if whole:
                features.append(self.extractor(images[:whole]))
            waiting = [images[whole:]]
        if waiting and len(waiting[0]):
            features.append(self.extractor(waiting[0]))
        if features:
            parts = Features.concatenate(features).split(count)
            for owner, own in zip(owners, parts, strict=True):
                outcomes[owner] = self.score(own)
        return outcomes

    def score(self, features: Features) -> dict[str, float]:
        """Score features that are already there, e.g. a slice of a batch that several share.

        Their number decides which protocol the scores belong to, see `evaluate`.

        Raises:
            MetricError: the features are not finite, too few, or of another extractor.
        """
        device = self.reference.features.device
        generated = features.features.to(device)
        check_features(generated, "generated features")
        if generated.shape[1] != self.reference.features.shape[1]:
            raise MetricError(
                f"generated features are {generated.shape[1]}-dimensional, the reference's "
                f"{self.reference.features.shape[1]}-dimensional"
            )
        scores: dict[str, float] = {}
        if "is" in self.metrics:
            splits = self.reference.settings.inception_splits
            scores["is"], scores["is_std"] = inception_score(features.logits, splits=splits)
        if "fid" in self.metrics:
            scores["fid"] = frechet_distance(generated, self.reference.frechet)
        scores.update(self._pairwise(generated))
        for name, value in scores.items():
            if not math.isfinite(value):
                raise MetricError(f"{name} came out as {value} although the features are finite")
        return {name: scores[name] for name in METRICS if name in scores}

    def bound(self, images: Tensor) -> dict[str, float]:
        """Score real images that are not in the reference: what a perfect generator would reach.

        Args:
            images: the test split, uint8 (N, C, H, W); up to ``num_images`` of them are used, so
                that biased scores compare with equal numbers where there are enough.

        Raises:
            MetricError: the images cannot be scored.
        """
        return self.score(self.extractor(images[: self.num_images]))

    def _pairwise(self, generated: Tensor) -> dict[str, float]:
        """KID and the neighbourhood scores that are asked for, in one pass over the pairs."""
        real = self.reference.features
        settings = self.reference.settings
        kernel: KernelDistance | None = None
        neighbourhoods: NeighbourhoodScores | None = None
        if "kid" in self.metrics:
            sums = self._kernel_sums(len(generated))
            kernel = KernelDistance(generated, real, settings.kernel, sums)
        if any(name in self.metrics for name in _NEIGHBOURHOODS):
            neighbourhoods = NeighbourhoodScores(
                generated, real, self.reference.neighbourhoods, settings.neighbourhoods
            )
        parts: list[PairwiseScore] = [p for p in (kernel, neighbourhoods) if p is not None]
        if parts:
            score_pairs(generated, real, parts)
        scores: dict[str, float] = {}
        if kernel is not None:
            scores["kid"], scores["kid_std"] = kernel.result()
        if neighbourhoods is not None:
            result = neighbourhoods.result()
            scores.update({name: result[name] for name in _NEIGHBOURHOODS if name in self.metrics})
        return scores

    def _kernel_sums(self, num_generated: int) -> Tensor:
        """The real part of KID; a search asks for the same number of images many times."""
        if num_generated not in self._sums:
            reference = self.reference.for_num_generated(num_generated)
            self._sums[num_generated] = reference.kernel_sums
        return self._sums[num_generated]

    def _draw(self, sample: Callable[[int], Tensor], count: int) -> Iterator[Tensor]:
        """Batches of generated images, each as large as one feature pass."""
        for start in range(0, count, self.extractor.batch_size):
            wanted = min(self.extractor.batch_size, count - start)
            images = sample(wanted)
            if len(images) != wanted:
                raise MetricError(f"the sampler gave {len(images)} images where {wanted} were due")
            yield images


def build_harness(
    train: RealImages,
    extractor: FeatureExtractor,
    *,
    num_images: int,
    metrics: tuple[str, ...] = COMPUTED_METRICS,
    settings: ScoreSettings | None = None,
    cache_dir: Path | None = None,
) -> MetricHarness:
    """A harness that scores against the images of ``train``.

    Args:
        train: the real images; its identity and split go into the protocol id.
        extractor: see `nasgan.metrics.make_features`.
        num_images: generated images in an evaluation.
        metrics: see `MetricHarness`.
        settings: of the scores; any but the defaults mark the protocol id.
        cache_dir: folder of the cached reference statistics; ``None`` for `default_cache_dir`.

    Raises:
        ConfigError: a setting is wrong; see `MetricHarness`.
        MetricError: the real images cannot be scored.
    """
    settings = settings or ScoreSettings()
    protocol = Protocol(
        dataset=re.sub(r"[^A-Za-z0-9._@+-]+", "_", train.identity),
        split=re.sub(r"[^A-Za-z0-9._+]+", "_", train.split),
        num_images=num_images,
        features=settings.mark(extractor.protocol_name),
    )
    reference = ReferenceStatistics.from_images(
        train.images,
        extractor,
        checksum=train.checksum,
        num_generated=num_images,
        cache=TensorCache(default_cache_dir() if cache_dir is None else cache_dir),
        settings=settings,
    )
    return MetricHarness(
        extractor, reference, num_images=num_images, metrics=metrics, protocol=protocol
    )
