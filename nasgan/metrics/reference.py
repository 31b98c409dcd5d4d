"""Everything about the real images that every evaluation reuses, computed once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from nasgan.errors import ConfigError
from nasgan.metrics.cache import TensorCache, cache_key
from nasgan.metrics.extractor import FeatureExtractor
from nasgan.metrics.images import check_features
from nasgan.metrics.scores.frechet import FrechetReference, frechet_reference
from nasgan.metrics.scores.kernel_distance import KernelSettings, real_kernel_sums
from nasgan.metrics.scores.neighbourhoods import (
    NeighbourhoodReference,
    NeighbourhoodSettings,
    neighbourhood_reference,
)

__all__ = ["ReferenceStatistics", "ScoreSettings", "origin_of"]

# Raise it when what is computed here changes: old cache entries are then left alone.
_CODE_VERSION = 1


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

    Attributes:
        features: (M, D) float32.
        frechet: mean, trace and square root of the covariance.
        neighbourhoods: radii around the real images.
        kernel_sums: (subsets,) the real-real part of KID for `num_generated` generated images.
        num_generated: see `kernel_sums`.
        settings: the score settings that all of this was made with.
    """

    features: Tensor
    frechet: FrechetReference
    neighbourhoods: NeighbourhoodReference
    kernel_sums: Tensor
    num_generated: int
    settings: ScoreSettings = field(default_factory=ScoreSettings)

    @classmethod
    def from_features(
        cls, features: Tensor, *, num_generated: int, settings: ScoreSettings | None = None
    ) -> ReferenceStatistics:
        """Compute from real features (M, D), without a cache.

        Raises:
            MetricError: the features are not finite, or too few for the neighbourhoods.
        """
        settings = settings or ScoreSettings()
        return cls._assemble(
            _statistics(features.float(), settings),
            {"sums": real_kernel_sums(features.float(), num_generated, settings.kernel)},
            features.device,
            num_generated,
            settings,
        )

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
    ) -> ReferenceStatistics:
        """Compute from real images, or read from the cache.

        Args:
            images: uint8 (M, C, H, W).
            extractor: also gives the device.
            checksum: of the images' content; part of the cache key.
            num_generated: generated images in an evaluation (KID's subsets depend on it).
            cache: where the statistics are kept.
            settings: of the scores.

        Raises:
            MetricError: the images cannot be scored, see `from_features`.
        """
        settings = settings or ScoreSettings()
        origin = origin_of(images, extractor, checksum)
        key = cache_key({**origin, "neighbourhoods": asdict(settings.neighbourhoods)})
        statistics = cache.get(
            "reference",
            key,
            set(_NAMES),
            lambda: _statistics(extractor(images).features, settings),
        )
        features = statistics["features"].to(extractor.device)
        # Apart from the rest, so that another number of generated images costs no feature pass.
        kernel = {"kernel": asdict(settings.kernel), "num_generated": num_generated}
        sums = cache.get(
            "kernel",
            cache_key({**origin, **kernel}),
            {"sums"},
            lambda: {"sums": real_kernel_sums(features, num_generated, settings.kernel)},
        )
        return cls._assemble(statistics, sums, extractor.device, num_generated, settings)

    def for_num_generated(self, num_generated: int) -> ReferenceStatistics:
        """The same statistics for another number of generated images (not cached on disk)."""
        if num_generated == self.num_generated:
            return self
        sums = real_kernel_sums(self.features, num_generated, self.settings.kernel)
        return ReferenceStatistics(
            self.features, self.frechet, self.neighbourhoods, sums, num_generated, self.settings
        )

    @classmethod
    def _assemble(
        cls,
        statistics: dict[str, Tensor],
        sums: dict[str, Tensor],
        device: torch.device,
        num_generated: int,
        settings: ScoreSettings,
    ) -> ReferenceStatistics:
        on_device = {name: tensor.to(device) for name, tensor in statistics.items()}
        features, mean, trace, root, precision, coverage = (on_device[name] for name in _NAMES)
        return cls(
            features=features,
            frechet=FrechetReference(mean, trace, root),
            neighbourhoods=NeighbourhoodReference(precision, coverage),
            kernel_sums=sums["sums"].to(device),
            num_generated=num_generated,
            settings=settings,
        )


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


_NAMES = ("features", "mean", "trace", "root", "precision_radii", "coverage_radii")


def _statistics(features: Tensor, settings: ScoreSettings) -> dict[str, Tensor]:
    check_features(features, "real features")
    frechet = frechet_reference(features)
    balls = neighbourhood_reference(features, settings.neighbourhoods)
    values = (
        features,
        frechet.mean,
        frechet.trace,
        frechet.root,
        balls.precision_radii,
        balls.coverage_radii,
    )
    return dict(zip(_NAMES, values, strict=True))
