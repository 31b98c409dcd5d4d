"""Adversarial losses on logits, and penalties on the discriminator's slope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn import functional as F

from nasgan.contracts import AdversarialLoss
from nasgan.errors import ConfigError

__all__ = [
    "Hinge",
    "LeastSquares",
    "MMDRepulsive",
    "NonSaturating",
    "RelativisticAverageHinge",
    "WassersteinGP",
    "gradient_penalty",
    "slope_penalty",
]


class Hinge(AdversarialLoss):
    """Lim and Ye 2017, Miyato et al. 2018.

    The published code does not clip the generator's term (AutoGAN's eq. 2 does).
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `AdversarialLoss`."""
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss`."""
        del real
        return -fake.mean()


class NonSaturating(AdversarialLoss):
    """Goodfellow et al. 2014."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `AdversarialLoss`."""
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss`."""
        del real
        return F.softplus(-fake).mean()


class LeastSquares(AdversarialLoss):
    """Mao et al. 2017."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `AdversarialLoss`."""
        return 0.5 * ((real - 1).square().mean() + fake.square().mean())

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss`."""
        del real
        return 0.5 * (fake - 1).square().mean()


class WassersteinGP(AdversarialLoss):
    """Gulrajani et al. 2017, with `gradient_penalty`."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `AdversarialLoss`."""
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss`."""
        del real
        return -fake.mean()

    def penalty(
        self,
        critic: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `AdversarialLoss`."""
        shape = (len(real), 1, 1, 1)
        mix = torch.rand(shape, generator=generator, device=real.device, dtype=real.dtype)
        return gradient_penalty(critic, real, fake, mix)


class RelativisticAverageHinge(AdversarialLoss):
    """How much more real than the average of the other kind (Jolicoeur-Martineau 2018, section 4).

    Both networks' losses are hinges on the difference of each logit to the mean of the others.
    """

    sees_real = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `AdversarialLoss`."""
        return F.relu(1 - (real - fake.mean())).mean() + F.relu(1 + (fake - real.mean())).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss`."""
        assert real is not None
        return self.discriminator(fake, real)


class MMDRepulsive(AdversarialLoss):
    """MMD-GAN with the repulsive loss and bounded RBF kernels (Wang et al. 2019).

    The generator minimises the squared maximum mean discrepancy of the discriminator's vectors on
    real and generated images. The discriminator pushes the vectors of real images apart and pulls
    those of generated ones together, within bounds: distances between real vectors count up to
    ``upper``, between generated ones from ``lower`` on. Means are over different samples, which is
    unbiased. The paper also scales the spectral norms: ``trainer.spectral_norm_scale``.

    Args:
        outputs: length of the discriminator's vectors; 16 in the published code.
        sigma: width of the kernel exp(-d / (2 sigma^2)) of squared distances d.
        lower: the least squared distance that counts between generated vectors.
        upper: the largest that counts between real ones.
    """

    sees_real = True

    def __init__(
        self,
        *,
        outputs: Annotated[int, Ge(2)] = 16,
        sigma: Annotated[float, Gt(0)] = 1.0,
        lower: Annotated[float, Ge(0)] = 0.25,
        upper: Annotated[float, Gt(0)] = 4.0,
    ) -> None:
        if lower >= upper:
            raise ConfigError(
                f"trainer.loss_settings: lower must be below upper, got {lower:g} and {upper:g}"
            )
        self.outputs = outputs
        self._scale = -0.5 / sigma**2
        self._lower, self._upper = lower, upper

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `AdversarialLoss`."""
        apart = self._kernel(_distances(real, real).clamp(max=self._upper))
        together = self._kernel(_distances(fake, fake).clamp(min=self._lower))
        return _mean_of_pairs(apart) - _mean_of_pairs(together)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """See `AdversarialLoss`."""
        assert real is not None
        within = _mean_of_pairs(self._kernel(_distances(real, real)))
        within = within + _mean_of_pairs(self._kernel(_distances(fake, fake)))
        return within - 2 * self._kernel(_distances(real, fake)).mean()

    def _kernel(self, distances: Tensor) -> Tensor:
        return torch.exp(self._scale * distances)


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances of (N, D) and (M, D), (N, M)."""
    return (x[:, None] - y[None]).square().sum(dim=2)


def _mean_of_pairs(kernel: Tensor) -> Tensor:
    """The mean of (N, N) without the diagonal."""
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))


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
    slopes = _slopes(critic, torch.lerp(fake, real, mix))
    norms: Tensor = torch.linalg.vector_norm(slopes, dim=1)
    return (norms - 1).square().mean()


def slope_penalty(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Half the mean of |gradient of the critic|^2 at ``images`` (N, C, H, W).

    R1 of Mescheder et al. 2018 (eq. 9) at real images, R2 (eq. 10) at generated ones, without the
    weight gamma.
    """
    return 0.5 * _slopes(critic, images).square().sum(1).mean()


def _slopes(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The critic's gradients by the pixels of each image, (N, C * H * W)."""
    at = images.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
    flat: Tensor = slope.flatten(1)
    return flat
