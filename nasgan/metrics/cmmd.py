"""CMMD, a metric for CLIP's features, registered as a package would register its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasgan.metrics.table import MetricInfo

if TYPE_CHECKING:
    from nasgan.metrics.extractor import Features
    from nasgan.metrics.reference import ReferenceStatistics

__all__ = ["CMMD"]


def _cmmd(features: Features, reference: ReferenceStatistics) -> float:
    # Here: the leaderboard, which looks up the direction, needs no torch.
    from nasgan.metrics.scores.embedding_distance import embedding_distance

    return embedding_distance(features.features, reference.features, reference.embedding_kernel)


CMMD = MetricInfo("cmmd", "CMMD", "min", (0.0, None), compute=_cmmd)
