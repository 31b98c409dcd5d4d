"""The `metrics` part of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasgan.errors import ConfigError
from nasgan.metrics.table import COMPUTED_METRICS, check_metrics, least_images

if TYPE_CHECKING:
    from nasgan.metrics.extractor import FeatureExtractor

__all__ = ["MetricSettings"]


@dataclass(frozen=True)
class MetricSettings:
    """Which features and which scores.

    Attributes:
        features: ``name`` of the extractor and its settings, see `nasgan.metrics.make_features`.
        num_images: generated images of an evaluation under the protocol.
        metrics: names of the scores, nasgan's or a plugin's; those by class come by themselves
            where there are classes.

    Raises:
        ConfigError: no name, an unknown score, or too few images for the scores.
        PluginError: the package that brings a score is broken.
    """

    features: Mapping[str, Any]
    num_images: int
    metrics: tuple[str, ...] = COMPUTED_METRICS

    def __post_init__(self) -> None:
        if not isinstance(self.features.get("name"), str):
            raise ConfigError("metrics.features.name must name a feature extractor")
        check_metrics(self.metrics)
        least = least_images(self.metrics)
        if self.num_images < least:
            raise ConfigError(
                f"metrics.num_images must be at least {least} for {', '.join(self.metrics)}, got "
                f"{self.num_images}"
            )

    def make_extractor(self, device: Any) -> FeatureExtractor:
        """Load the extractor on ``device``; see `nasgan.metrics.make_features`."""
        from nasgan.metrics.extractor import make_features

        settings = {key: value for key, value in self.features.items() if key != "name"}
        return make_features(self.features["name"], device=device, **settings)
