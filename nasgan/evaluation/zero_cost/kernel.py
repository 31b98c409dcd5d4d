"""Proxies of the discriminator's neural tangent kernel, from its gradients at images."""

from __future__ import annotations

import torch
from torch import Tensor

from nasgan.evaluation.zero_cost.untrained import eigenvalues

__all__ = ["ntk_condition", "ntk_mmd"]


def ntk_condition(real: Tensor, fake: Tensor) -> float:
    """Decimal logarithm of the condition number of the NTK on real and generated images.

    Chen et al. 2021 (TE-NAS). At most what float64 can tell: 15.65.

    Args:
        real: gradients of the discriminator at real images, (N, P).
        fake: at generated ones, (M, P).
    """
    rows = torch.cat([real, fake])
    values = eigenvalues(rows @ rows.T)
    least = values[-1] * torch.finfo(values.dtype).eps
    return float(torch.log10(values[-1] / values[0].clamp(min=least)))


def ntk_mmd(real: Tensor, fake: Tensor) -> float:
    """Squared maximum mean discrepancy of real and generated images under the NTK.

    With k(x, y) the inner product of the gradients it is the squared distance of their means
    (Franceschi et al. 2022: what the discriminator's first steps see).

    Args:
        real: as `ntk_condition`.
        fake: as `ntk_condition`.
    """
    return float((real.mean(dim=0) - fake.mean(dim=0)).square().sum())
