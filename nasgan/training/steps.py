"""Single training steps of a supernet, for strategies that learn architectures by gradient."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from nasgan.contracts import PairWeights, RealImages
from nasgan.data import Batch
from nasgan.errors import ConfigError
from nasgan.training.gradients import without_gradients
from nasgan.training.trainer import AdversarialTrainer

__all__ = ["IterationSteps"]


class IterationSteps:
    """One iteration, step by step; implements `nasgan.contracts.TrainingSteps`.

    Args:
        trainer: whose networks, data and optimisers these are.

    Attributes:
        images: that passed through the networks, real and generated, as the ledger counts them.
    """

    def __init__(self, trainer: AdversarialTrainer) -> None:
        self.images = 0
        self._trainer = trainer
        self._critic_losses: list[Tensor] = []
        self._generator_losses: list[Tensor] = []
        self._variation = torch.zeros(())

    @property
    def n_critic(self) -> int:
        """See `nasgan.contracts.TrainingSteps`."""
        return self._trainer.settings.n_critic

    def real_images(self, parts: int = 1) -> Sequence[RealImages]:
        """See `nasgan.contracts.TrainingSteps`."""
        batch = self._trainer.real_batch()
        images = torch.tensor_split(batch.images, parts)
        if batch.labels is None:
            return [Batch(part, None) for part in images]
        labels = torch.tensor_split(batch.labels, parts)
        return [Batch(part, own) for part, own in zip(images, labels, strict=True)]

    def discriminator_loss(
        self, real: RealImages, weights: PairWeights, *, for_architecture: bool = False
    ) -> Tensor:
        """See `nasgan.contracts.TrainingSteps`."""
        self.images += 2 * len(real.images)
        frozen = without_gradients(self._trainer.discriminator)
        with frozen if for_architecture else nullcontext():
            return self._trainer.discriminator_loss(real, weights)

    def generator_loss(self, weights: PairWeights, *, for_architecture: bool = False) -> Tensor:
        """See `nasgan.contracts.TrainingSteps`."""
        self.images += self._trainer.settings.generator_batch_size
        frozen = without_gradients(self._trainer.generator)
        with frozen if for_architecture else nullcontext():
            loss, self._variation = self._trainer.generator_loss(weights)
        return loss

    def update_discriminator(self, loss: Tensor) -> None:
        """See `nasgan.contracts.TrainingSteps`."""
        self._trainer.update_discriminator(loss)
        self._critic_losses.append(loss.detach())

    def update_generator(self, loss: Tensor) -> None:
        """See `nasgan.contracts.TrainingSteps`."""
        self._trainer.update_generator(loss)
        self._generator_losses.append(loss.detach())

    def end(self) -> tuple[Tensor, Tensor]:
        """Close the iteration.

        Returns:
            The losses of the discriminator's updates (n,), and of the generator's (a scalar).

        Raises:
            ConfigError: the iteration did not update the generator once and the discriminator.
            TrainingDiverged: see `AdversarialTrainer.end_iteration`.
        """
        if len(self._generator_losses) != 1 or not self._critic_losses:
            raise ConfigError(
                f"an iteration must update the discriminator at least once and the generator "
                f"exactly once; the strategy's did {len(self._critic_losses)} and "
                f"{len(self._generator_losses)} updates"
            )
        critic_losses, generator_loss = torch.stack(self._critic_losses), self._generator_losses[0]
        self._trainer.end_iteration(critic_losses.mean(), generator_loss, self._variation)
        return critic_losses, generator_loss
