"""What a strategy that learns architectures by gradient needs of the supernet's training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from torch import Tensor

from nasgan.architecture import Part
from nasgan.contracts.search_space import HalfWeights

__all__ = ["DrawnWeights", "PairWeights", "RealImages", "TrainingSteps"]


@dataclass(frozen=True)
class DrawnWeights:
    """Weights of the supernet that are drawn anew for each pass through a network.

    Attributes:
        draw: draws the weights of one half, a 1-d vector per decision; they may carry gradients.
        parts: the halves that have decisions; the weights of the other are empty.
    """

    draw: Callable[[Part], list[Tensor]]
    parts: tuple[Part, ...]

    @property
    def generator(self) -> list[Tensor]:
        """Weights of one pass through the super-generator."""
        return self.draw("generator") if "generator" in self.parts else []

    @property
    def discriminator(self) -> list[Tensor]:
        """Weights of one pass through the super-discriminator."""
        return self.draw("discriminator") if "discriminator" in self.parts else []


#: Weights of both halves: the same for all passes of a step, or drawn for each.
PairWeights: TypeAlias = HalfWeights | DrawnWeights


class RealImages(Protocol):
    """A batch of real images."""

    @property
    def images(self) -> Tensor:
        """(N, C, H, W) in [-1, 1]."""

    @property
    def labels(self) -> Tensor | None:
        """Classes, int64 (N,), where the data have some."""


class TrainingSteps(Protocol):
    """The single steps of one iteration of adversarial training, in whatever order is asked for.

    A loss for an update of the architecture carries gradients to the weight vectors alone, one for
    an update of a network to that network's parameters (and to weight vectors that carry
    gradients: detach those).
    """

    @property
    def n_critic(self) -> int:
        """Discriminator steps of an iteration, as configured."""

    def real_images(self, parts: int = 1) -> Sequence[RealImages]:
        """The next batch of real images, cut into ``parts`` of nearly equal size."""

    def discriminator_loss(
        self, real: RealImages, weights: PairWeights, *, for_architecture: bool = False
    ) -> Tensor:
        """The discriminator's loss, a scalar, on ``real`` and on as many generated images.

        The generator takes part without gradients.
        """

    def generator_loss(self, weights: PairWeights, *, for_architecture: bool = False) -> Tensor:
        """The generator's loss, a scalar, on a batch of latents of the configured size."""

    def update_discriminator(self, loss: Tensor) -> None:
        """One step of the discriminator's parameters down ``loss``."""

    def update_generator(self, loss: Tensor) -> None:
        """The generator step of the iteration: its parameters go down ``loss``."""
