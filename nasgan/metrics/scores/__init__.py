"""The scores, each from features alone; generated images are always the first argument.

All of them compute in float64, draw from no global random generator, and refuse features that are
not finite.
"""

from __future__ import annotations

from nasgan.metrics.scores.frechet import frechet_distance
from nasgan.metrics.scores.inception_score import inception_score
from nasgan.metrics.scores.kernel_distance import KernelSettings, kernel_distance
from nasgan.metrics.scores.neighbourhoods import neighbourhood_scores

__all__ = [
    "KernelSettings",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "neighbourhood_scores",
]
