"""Inception score (Salimans et al. 2016, section 4)."""

from __future__ import annotations

import itertools
import statistics

import torch
from torch import Tensor

from nasgan.metrics.images import MetricError, check_features

__all__ = ["inception_score"]


def inception_score(logits: Tensor, *, splits: int = 10) -> tuple[float, float]:
    """Exponential of the mean KL divergence of p(y|x) from p(y), over consecutive splits.

    Args:
        logits: (N, K) class logits of generated images, in the order they were generated: the
            splits are consecutive and nothing is shuffled, as published.
        splits: number of splits.

    Returns:
        Mean and population standard deviation over the splits.

    Raises:
        MetricError: the logits are not finite, or fewer than ``splits``.
    """
    check_features(logits, "generated logits")
    count = len(logits)
    if count < splits:
        raise MetricError(
            f"the Inception score over {splits} splits needs at least {splits} images, got {count}"
        )
    bounds = [index * count // splits for index in range(splits + 1)]
    scores = [_split_score(logits[begin:end].double()) for begin, end in itertools.pairwise(bounds)]
    return statistics.fmean(scores), statistics.pstdev(scores)


def _split_score(logits: Tensor) -> float:
    log_p = logits.log_softmax(dim=1)
    p = log_p.exp()
    # mean_x KL(p(y|x) || p(y)) = mean_x sum_y p log p  -  sum_y p(y) log p(y); xlogy gives the
    # limit 0 for a class that no image has any probability of.
    marginal = p.mean(dim=0)
    divergence = (p * log_p).sum(dim=1).mean() - torch.special.xlogy(marginal, marginal).sum()
    return float(divergence.exp())
