"""What a loss and an augmentation of the adversarial training are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

__all__ = ["AdversarialLoss", "Augmentation"]


class AdversarialLoss(ABC):
    """A pair of losses to minimise, on logits (N, outputs) in float32 or float64.

    Settings are keyword arguments of ``__init__`` (``trainer.loss_settings``).

    Attributes:
        sees_real: whether the generator's loss looks at real images, too: each generator step then
            takes a batch of its own.
        outputs: how many numbers the discriminator has to give for an image; a loss of more than
            one needs a space that builds such discriminators (`SearchSpace.supports_outputs`).
    """

    sees_real: ClassVar[bool] = False
    outputs: int = 1

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss, a scalar, of logits on real and on generated images."""

    @abstractmethod
    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """The generator's loss, a scalar.

        Args:
            fake: logits on generated images.
            real: logits on real images, without gradients, if the loss `sees_real`.
        """

    def penalty(
        self,
        critic: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
        generator: torch.Generator,
    ) -> Tensor | None:
        """A term of the discriminator's loss that looks at images, before its weight; or None.

        The weight is ``trainer.gradient_penalty``.

        Args:
            critic: maps images (N, C, H, W) to logits.
            real: images as the discriminator saw them.
            fake: as many generated ones.
            generator: all random numbers come from it.
        """
        del critic, real, fake, generator
        return None


class Augmentation(ABC):
    """Changes real and generated images before the discriminator sees them.

    Gradients flow through it to the generator (Zhao et al. 2020). Settings are keyword arguments of
    ``__init__`` (``trainer.augmentation_settings``).
    """

    @abstractmethod
    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], changed; random numbers come from ``generator`` alone."""
