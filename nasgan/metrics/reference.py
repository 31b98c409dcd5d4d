"""Everything about the real images that every evaluation reuses, computed once; plugins' scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nasgan.errors import ConfigError, NasganError, PluginError
from nasgan.metrics.cache import TensorCache, cache_key
from nasgan.metrics.extractor import FeatureExtractor, Features
from nasgan.metrics.images import check_features
from nasgan.metrics.scores.embedding_distance import SIGMA, mean_kernel
from nasgan.metrics.scores.frechet import FrechetReference, frechet_reference
from nasgan.metrics.scores.kernel_distance import KernelSettings, real_kernel_sums
from nasgan.metrics.scores.neighbourhoods import (
    NEIGHBOURHOODS,
    NeighbourhoodReference,
    NeighbourhoodSettings,
    check_neighbours,
    neighbourhood_reference,
)
from nasgan.metrics.table import COMPUTED_METRICS, METRICS, MetricInfo
from nasgan.randomness import seeded

__all__ = [
    "ReferenceStatistics",
    "ScoreSettings",
    "origin_of",
    "plugin_scores",
]

# Raise it when what is computed here changes: old cache entries are then left alone.
_CODE_VERSION = 2
# The same for the scores of images.
_SCORES_VERSION = 1


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of the scores; any but the defaults move the numbers and mark the protocol id.

    Attributes:
        inception_splits: consecutive splits of the Inception score.
        kernel: of KID.
        neighbourhoods: of precision, recall, density and coverage.
    """

    inception_splits: int = 10
    kernel: KernelSettings = field(default_factory=KernelSettings)
    neighbourhoods: NeighbourhoodSettings = field(default_factory=NeighbourhoodSettings)

    def __post_init__(self) -> None:
        if self.inception_splits < 1:
            raise ConfigError(f"inception_splits must be >= 1, got {self.inception_splits}")

    def mark(self, features: str) -> str:
        """The features' name in protocol ids, with a short hash of settings that are not usual."""
        if self == ScoreSettings():
            return features
        return f"{features}+{cache_key(asdict(self))[:6]}"


@dataclass(frozen=True, eq=False)
class ReferenceStatistics:
    """The real side of every score, on one device.

    What only some scores need is made, or read from the cache, when it is first asked for.

    Attributes:
        features: (M, D) float32.
        frechet: mean, trace and square root of the covariance.
        num_generated: generated images in an evaluation.
        settings: the score settings that all of this is made with.
        cache: where the rest is kept.
        origin: what the features come from, for the cache.
    """

    features: Tensor
    frechet: FrechetReference
    num_generated: int
    settings: ScoreSettings = field(default_factory=ScoreSettings)
    cache: TensorCache = field(default_factory=lambda: TensorCache(None), repr=False)
    origin: Mapping[str, object] = field(default_factory=dict, repr=False)

    @classmethod
    def from_features(
        cls,
        features: Tensor,
        *,
        num_generated: int,
        settings: ScoreSettings | None = None,
        metrics: Collection[str] = COMPUTED_METRICS,
    ) -> ReferenceStatistics:
        """Compute from real features (M, D), without a cache.

        Raises:
            MetricError: the features are not finite, or too few for the neighbourhoods.
        """
        features = features.float()
        frechet = _assembled(_statistics(features), features.device)
        made = cls(features, frechet, num_generated, settings or ScoreSettings())
        made.prepare(metrics)
        return made

    @classmethod
    def from_images(
        cls,
        images: Tensor,
        extractor: FeatureExtractor,
        *,
        checksum: str,
        num_generated: int,
        cache: TensorCache,
        settings: ScoreSettings | None = None,
        metrics: Collection[str] = COMPUTED_METRICS,
    ) -> ReferenceStatistics:
        """Compute from real images, or read from the cache.

        Args:
            images: uint8 (M, C, H, W).
            extractor: also gives the device.
            checksum: of the images' content; part of the cache key.
            num_generated: generated images in an evaluation (KID's subsets depend on it).
            cache: where the statistics are kept.
            settings: of the scores.
            metrics: the scores to make everything ready for.

        Raises:
            MetricError: the images cannot be scored, see `from_features`.
        """
        settings = settings or ScoreSettings()
        origin = origin_of(images, extractor, checksum)
        key = cache_key({**origin, "neighbourhoods": asdict(settings.neighbourhoods)})
        statistics = cache.get(
            "reference", key, set(_NAMES), lambda: _statistics(extractor(images).features)
        )
        frechet = _assembled(statistics, extractor.device)
        features = statistics["features"].to(extractor.device)
        made = cls(features, frechet, num_generated, settings, cache, origin)
        made.prepare(metrics)
        return made

    def prepare(self, metrics: Collection[str]) -> None:
        """Make now what the scores ``metrics`` ask for, so that no evaluation pays for it.

        Raises:
            MetricError: there are too few real images for one of them.
        """
        check_neighbours(len(self.features), self.settings.neighbourhoods, metrics)
        needed = ["neighbourhoods"] if set(metrics).intersection(NEIGHBOURHOODS) else []
        needed += ["kernel_sums"] if "kid" in metrics else []
        needed += ["embedding_kernel"] if "cmmd" in metrics else []
        for name in needed:
            getattr(self, name)

    @cached_property
    def neighbourhoods(self) -> NeighbourhoodReference:
        """Radii around the real images."""
        settings = self.settings.neighbourhoods
        kept = self._kept(
            "neighbourhoods",
            {"neighbourhoods": asdict(settings)},
            {"precision_radii", "coverage_radii"},
            lambda: vars(neighbourhood_reference(self.features, settings)),
        )
        return NeighbourhoodReference(**kept)

    @cached_property
    def kernel_sums(self) -> Tensor:
        """(subsets,): the real-real part of KID for `num_generated` generated images."""
        settings = self.settings.kernel
        return self._kept(
            "kernel",
            {"kernel": asdict(settings), "num_generated": self.num_generated},
            {"sums"},
            lambda: {"sums": real_kernel_sums(self.features, self.num_generated, settings)},
        )["sums"]

    @cached_property
    def embedding_kernel(self) -> Tensor:
        """The real-real part of CMMD, a scalar: see `nasgan.metrics.scores.embedding_distance`."""
        kept = self._kept(
            "embeddings", {"sigma": SIGMA}, {"mean"}, lambda: {"mean": mean_kernel(self.features)}
        )
        return kept["mean"]

    def kept_scores(
        self, of: Mapping[str, object], compute: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Scores as JSON data, from the cache or made and put there.

        Args:
            of: what they depend on beside all of this.
            compute: makes them.
        """
        kept = self._kept(
            "bound",
            {**of, "settings": asdict(self.settings), "scores": _SCORES_VERSION},
            {"json"},
            lambda: {"json": torch.tensor(list(json.dumps(compute()).encode()), dtype=torch.uint8)},
        )
        made: dict[str, Any] = json.loads(bytes(kept["json"].tolist()))
        return made

    def for_num_generated(self, num_generated: int) -> ReferenceStatistics:
        """The same statistics for another number of generated images (not cached on disk)."""
        if num_generated == self.num_generated:
            return self
        return replace(self, num_generated=num_generated, cache=TensorCache(None))

    def _kept(
        self,
        kind: str,
        settings: Mapping[str, object],
        names: set[str],
        compute: Callable[[], dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """Tensors of the cache, or made and put there."""
        tensors = self.cache.get(kind, cache_key({**self.origin, **settings}), names, compute)
        return {name: tensor.to(self.features.device) for name, tensor in tensors.items()}


def origin_of(images: Tensor, extractor: FeatureExtractor, checksum: str) -> dict[str, object]:
    """The part of a cache key that all statistics of ``images`` have in common.

    Args:
        images: uint8 (M, C, H, W).
        extractor: of the features.
        checksum: of the content, labels included.
    """
    return {
        "checksum": checksum,
        "images": list(images.shape),
        "extractor": extractor.fingerprint,
        "version": _CODE_VERSION,
    }


_NAMES = ("features", "mean", "trace", "root")


def _statistics(features: Tensor) -> dict[str, Tensor]:
    check_features(features, "real features")
    frechet = frechet_reference(features)
    return dict(zip(_NAMES, (features, frechet.mean, frechet.trace, frechet.root), strict=True))


def _assembled(statistics: Mapping[str, Tensor], device: torch.device) -> FrechetReference:
    mean, trace, root = (statistics[name].to(device) for name in _NAMES[1:])
    return FrechetReference(mean, trace, root)


def plugin_scores(
    metrics: Sequence[str], features: Features, reference: ReferenceStatistics
) -> dict[str, float]:
    """The scores of those of ``metrics`` that plugins bring, by name.

    Args:
        metrics: names; nasgan's own are left out.
        features: of the generated images.
        reference: of the real ones, on the same device.

    Raises:
        PluginError: a metric fails, gives no number, or changes the features; names it.
    """
    infos = [METRICS[name] for name in metrics]
    return {
        info.name: _score(info, features, reference) for info in infos if info.compute is not None
    }


def _score(info: MetricInfo, features: Features, reference: ReferenceStatistics) -> float:
    assert info.compute is not None
    shared = (features.features, features.logits, reference.features)
    before = [_version(tensor) for tensor in shared]
    try:
        # A metric that draws from the global generators must not move the run's own draws.
        with torch.no_grad(), seeded(0, f"metric {info.name}"):
            score = float(info.compute(features, reference))
    except NasganError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise PluginError(f"metric {info.name!r} failed: {reason}") from error
    if before != [_version(tensor) for tensor in shared]:
        # All scores after this one, and of the evaluations to come, would be of other features.
        raise PluginError(
            f"metric {info.name!r} changes the features, which all metrics share, in place: let it "
            "work on a copy"
        )
    return score


def _version(tensor: Tensor) -> int:
    """Rises whenever the tensor is changed in place; those of inference cannot be."""
    return 0 if tensor.is_inference() else tensor._version
