"""Adversarial losses on logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["LOSSES", "AdversarialLoss", "gradient_penalty"]


class AdversarialLoss(NamedTuple):
    """A pair of losses to minimise.

    Attributes:
        discriminator: of logits on real and on generated images, each (N, 1).
        generator: of logits on generated images (N, 1).
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


# The published code does not clip the generator's term (AutoGAN's eq. 2 does).
_HINGE = AdversarialLoss(
    lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
    lambda fake: -fake.mean(),
)
_NON_SATURATING = AdversarialLoss(
    lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
    lambda fake: F.softplus(-fake).mean(),
)
_LEAST_SQUARES = AdversarialLoss(
    lambda real, fake: 0.5 * ((real - 1).square().mean() + fake.square().mean()),
    lambda fake: 0.5 * (fake - 1).square().mean(),
)
_WASSERSTEIN = AdversarialLoss(
    lambda real, fake: fake.mean() - real.mean(),
    lambda fake: -fake.mean(),
)

LOSSES: dict[str, AdversarialLoss] = {
    "hinge": _HINGE,  # Lim and Ye 2017, Miyato et al. 2018
    "non_saturating": _NON_SATURATING,  # Goodfellow et al. 2014
    "least_squares": _LEAST_SQUARES,  # Mao et al. 2017
    "wasserstein_gp": _WASSERSTEIN,  # Gulrajani et al. 2017, with `gradient_penalty`
}


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor
) -> Tensor:
    """Mean of (|gradient of the critic| - 1)^2 between real and generated images.

    Gulrajani et al. 2017, eq. 3, without its weight.

    Args:
        critic: maps images (N, C, H, W) to logits (N, 1).
        real: (N, C, H, W).
        fake: as ``real``.
        mix: (N, 1, 1, 1) in [0, 1]; the share of the real image.
    """
    between = torch.lerp(fake, real, mix).detach().requires_grad_()
    logits = critic(between)
    (slope,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(slope.flatten(1), dim=1)
    return (norms - 1).square().mean()
