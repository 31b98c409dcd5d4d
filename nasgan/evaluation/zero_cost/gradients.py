"""Proxies made of the gradients of the GAN's losses, of one player each."""

from __future__ import annotations

import torch
from torch import Tensor

from nasgan.evaluation.zero_cost.untrained import Gradients

__all__ = ["gradient_norm", "snip", "zico"]


def snip(gradients: Gradients) -> float:
    """Sum of |parameter x gradient| on the first batch.

    Lee et al. 2019; of a whole network: Abdelfattah et al. 2021
    """
    pairs = zip(gradients.parameters, gradients.batches[0], strict=True)
    return float(sum((value * slope).abs().sum() for value, slope in pairs))


def gradient_norm(gradients: Gradients) -> float:
    """Sum of the norms of the gradients of all parameters (Abdelfattah et al. 2021)."""
    return float(sum(torch.linalg.vector_norm(slope) for slope in gradients.batches[0]))


def zico(gradients: Gradients) -> float:
    """Sum over layers of log sum of mean |g| / std g over the batches.

    Of the weights of convolutions and linear layers (Li et al. 2023, with the standard
    deviation of the signed gradients, as in the published code). Weights whose gradient does not
    differ between the batches are left out, and so are layers of nothing else.
    """
    layers = zip(gradients.parameters, *gradients.batches, strict=True)
    found = [_coefficients(torch.stack(slopes)) for value, *slopes in layers if value.dim() > 1]
    return float(sum(torch.log(each) for each in found if each > 0))


def _coefficients(slopes: Tensor) -> Tensor:
    """Of one layer, from its gradients (K, ...) on K batches; a scalar."""
    spread = slopes.std(dim=0, correction=0)
    varies = spread > 0
    return (slopes.abs().mean(dim=0)[varies] / spread[varies]).sum()
