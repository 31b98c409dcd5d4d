"""The scores nasgan reports and which way each one points; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["COMPUTED_METRICS", "METRICS", "MetricInfo", "least_images"]


@dataclass(frozen=True)
class MetricInfo:
    """One score.

    Attributes:
        name: key in records and tables.
        label: how it is written for a reader, without the qualifier that names its features
            (see `nasgan.metrics.protocol.display_name`).
        direction: whether a smaller or a larger value is better.
        bounds: the values it can take, ``None`` where there is no bound.
        companion_of: for a spread, the score that it belongs to.
        least_images: generated images that it needs with the usual settings (one for each of ten
            splits, more than three neighbours).
    """

    name: str
    label: str
    direction: Literal["min", "max"]
    bounds: tuple[float | None, float | None] = (None, None)
    companion_of: str | None = None
    least_images: int = 2

    def better(self, value: float, than: float) -> bool:
        """Whether ``value`` is strictly better ``than`` another one."""
        return value < than if self.direction == "min" else value > than


METRICS: Final[dict[str, MetricInfo]] = {
    info.name: info
    for info in (
        MetricInfo("is", "IS", "max", (1.0, None), least_images=10),
        MetricInfo("is_std", "IS std", "min", (0.0, None), companion_of="is"),
        MetricInfo("fid", "FID", "min", (0.0, None)),
        MetricInfo("kid", "KID", "min"),  # unbiased, so slightly negative for equal distributions
        MetricInfo("kid_std", "KID std", "min", (0.0, None), companion_of="kid"),
        MetricInfo("precision", "Precision", "max", (0.0, 1.0), least_images=4),
        MetricInfo("recall", "Recall", "max", (0.0, 1.0), least_images=4),
        MetricInfo("density", "Density", "max", (0.0, None), least_images=4),
        MetricInfo("coverage", "Coverage", "max", (0.0, 1.0), least_images=4),
    )
}

COMPUTED_METRICS: Final[tuple[str, ...]] = tuple(
    name for name, info in METRICS.items() if info.companion_of is None
)
"""The metrics that can be asked for; a companion (a spread) comes with its metric."""


def least_images(metrics: Iterable[str]) -> int:
    """The generated images that all of ``metrics`` can be computed from."""
    return max((METRICS[name].least_images for name in metrics), default=2)
