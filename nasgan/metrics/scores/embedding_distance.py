"""Maximum mean discrepancy of embeddings under a wide Gaussian kernel: CMMD on CLIP's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nasgan.metrics.images import check_features
from nasgan.metrics.scores.pairs import cross_tiles, symmetric_tiles

__all__ = ["SIGMA", "embedding_distance", "mean_kernel"]

SIGMA = 10.0
"""Width of the kernel exp(-|x - y|^2 / (2 sigma^2))."""

_SCALE = 1000.0


def embedding_distance(generated: Tensor, real: Tensor, within_real: Tensor) -> float:
    """Squared MMD of embeddings of length 1, times 1000 (Jayasumana et al. 2024, and their code).

    Means are over all pairs, each sample with itself too: the biased estimate, as in the code.

    Args:
        generated: (N, D), of any length.
        real: (M, D).
        within_real: `mean_kernel` of ``real``.

    Returns:
        The distance; 0 for equal sets.
    """
    check_features(generated, "generated features")
    x, y = F.normalize(generated.double(), dim=1), F.normalize(real.double(), dim=1)
    across = sum(_kernel(gram).sum() for _, _, gram in cross_tiles(x, y)) / (len(x) * len(y))
    return max(0.0, _SCALE * float(mean_kernel(x) + within_real - 2.0 * across))


def mean_kernel(features: Tensor) -> Tensor:
    """The kernel's mean over all pairs of embeddings (N, D), a float64 scalar."""
    x = F.normalize(features.double(), dim=1)
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for rows, columns, gram in symmetric_tiles(x):
        total += _kernel(gram).sum() * (1 if rows == columns else 2)
    return total / len(x) ** 2


def _kernel(gram: Tensor) -> Tensor:
    """Of inner products of vectors of length 1, whose squared distance is 2 - 2 x.y."""
    return torch.exp((gram - 1.0) / SIGMA**2)
