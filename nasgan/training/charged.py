"""Training at a run's cost: of any pair of networks, and of the supernet that a run shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture
from nasgan.contracts import (
    Cost,
    HalfWeights,
    Ledger,
    PairWeights,
    RealImages,
    SearchSpace,
    StepLosses,
    Supernet,
    TrainerSettings,
    TrainingSteps,
)
from nasgan.data import Batch, ImageSet
from nasgan.errors import ConfigError
from nasgan.networks.initialise import initialise
from nasgan.randomness import derive_seed, seeded
from nasgan.training.trainer import AdversarialTrainer
from nasgan.training.updates import without_gradients

__all__ = ["ChargedTrainer", "SupernetTraining", "affordable_steps"]


def affordable_steps(ledger: Ledger, wanted: int, settings: TrainerSettings, phase: str) -> int:
    """How many of the ``wanted`` generator steps the budget still allows.

    Raises:
        BudgetExhausted: none.
    """
    steps = ledger.allow("generator_steps", wanted, phase)
    per_step = settings.images_per_generator_step
    # An image limit that is no multiple of a step's images ends with the step that passes it.
    images = ledger.allow("images", steps * per_step, phase)
    return -(-images // per_step)


class ChargedTrainer:
    """Trains a pair of networks and charges what it takes; implements `nasgan.contracts.Trainer`.

    Args:
        trainer: of the pair.
        space: which the networks are of.
        ledger: charged for every step (phase ``"search"``).

    Attributes:
        trainer: as above.
        space: as above.
    """

    def __init__(self, trainer: AdversarialTrainer, space: SearchSpace, ledger: Ledger) -> None:
        self.trainer = trainer
        self.space = space
        self._ledger = ledger
        # Of the iteration under way: the stage, if it has one, and the losses of its updates.
        self._stage: int | None = None
        self._is_counted = False
        self._critic_losses: list[Tensor] = []
        self._generator_losses: list[Tensor] = []
        self._variation = torch.ones(())

    @property
    def settings(self) -> TrainerSettings:
        """See `nasgan.contracts.Trainer`."""
        return self.trainer.settings

    @property
    def generator(self) -> nn.Module:
        """See `nasgan.contracts.Trainer`."""
        return self.trainer.generator

    @property
    def discriminator(self) -> nn.Module:
        """See `nasgan.contracts.Trainer`."""
        return self.trainer.discriminator

    @property
    def evaluated_generator(self) -> nn.Module:
        """See `nasgan.contracts.Trainer`."""
        return self.trainer.evaluated_generator

    @property
    def generator_steps(self) -> int:
        """See `nasgan.contracts.Trainer`."""
        return self.trainer.generator_steps

    @property
    def n_critic(self) -> int:
        """See `nasgan.contracts.TrainingSteps`."""
        return self.settings.n_critic

    # Single steps

    def real_images(self, parts: int = 1, *, stage: int | None = None) -> Sequence[RealImages]:
        """See `nasgan.contracts.TrainingSteps`."""
        with self._ledger.timed():
            batch = self.trainer.real_batch(self._image_size(self._stage_of(stage)))
        images = torch.tensor_split(batch.images, parts)
        if batch.labels is None:
            return [Batch(part, None) for part in images]
        labels = torch.tensor_split(batch.labels, parts)
        return [Batch(part, own) for part, own in zip(images, labels, strict=True)]

    def discriminator_loss(
        self,
        real: RealImages,
        weights: PairWeights | None = None,
        *,
        stage: int | None = None,
        for_architecture: bool = False,
        through_generator: bool = False,
    ) -> Tensor:
        """See `nasgan.contracts.TrainingSteps`."""
        networks = (self.discriminator, self.generator) if for_architecture else ()
        with self._paying(images=2 * len(real.images)), without_gradients(*networks):
            return self.trainer.discriminator_loss(
                real,
                weights,
                stage=self._stage_of(stage),
                through_generator=through_generator,
            )

    def generator_loss(
        self,
        weights: PairWeights | None = None,
        *,
        stage: int | None = None,
        for_architecture: bool = False,
    ) -> Tensor:
        """See `nasgan.contracts.TrainingSteps`."""
        frozen = without_gradients(self.generator) if for_architecture else nullcontext()
        with self._paying(images=self.settings.images_per_generator_loss), frozen:
            loss, self._variation = self.trainer.generator_loss(
                weights, stage=self._stage_of(stage)
            )
        return loss

    def update_discriminator(self, loss: Tensor) -> None:
        """See `nasgan.contracts.TrainingSteps`."""
        with self._ledger.timed():
            self.trainer.update_discriminator(loss)
        if self._is_counted:
            self._critic_losses.append(loss.detach())

    def update_generator(self, loss: Tensor) -> None:
        """See `nasgan.contracts.TrainingSteps`."""
        if not self._is_counted:
            self._ledger.allow("generator_steps", 1)
        with self._paying(generator_steps=1):
            self.trainer.update_generator(loss)
        if self._is_counted:
            self._generator_losses.append(loss.detach())
            return
        # Alone, it is an iteration of its own; whatever the discriminator does is healthy.
        self._end(torch.ones_like(loss.detach()), loss.detach())

    # Whole iterations

    def train(
        self,
        sample_path: Callable[[], Architecture] | None = None,
        *,
        generator_steps: int,
        stage: int | None = None,
    ) -> StepLosses:
        """See `nasgan.contracts.Trainer.train`."""
        trainer = self.trainer
        steps = affordable_steps(self._ledger, generator_steps, self.settings, Ledger.SEARCH)
        size, path = self._image_size(stage), None
        if sample_path is not None:
            path = self._weights_of(sample_path, stage)
        before = trainer.generator_steps
        losses: list[tuple[Tensor, Tensor]] = []
        with self._ledger.timed():
            try:
                losses.extend(
                    trainer.iteration(path, stage=stage, image_size=size) for _ in range(steps)
                )
                # Reading the losses also waits for the device, so that the time is real.
                read = _read(losses)
                trainer.check_health()
            finally:
                done = trainer.generator_steps - before
                images = done * self.settings.images_per_generator_step
                self._ledger.charge(Cost(generator_steps=done, images=images))
        return read

    def _weights_of(
        self, sample_path: Callable[[], Architecture], stage: int | None
    ) -> Callable[[], HalfWeights]:
        return lambda: self.space.one_hot(sample_path(), stage=stage)

    def train_by(
        self,
        iteration: Callable[[TrainingSteps], None],
        *,
        generator_steps: int,
        stage: int | None = None,
    ) -> StepLosses:
        """See `nasgan.contracts.Trainer.train_by`."""
        wanted = self._ledger.allow("generator_steps", generator_steps)
        self._ledger.allow("images", 1)
        losses: list[tuple[Tensor, Tensor]] = []
        self._stage, self._is_counted = stage, True
        with self._ledger.timed():
            try:
                # As with paths, an image limit ends with the iteration that passes it.
                while len(losses) < wanted and self._ledger.remaining("images") > 0:
                    self._begin_iteration()
                    iteration(self)
                    losses.append(self._end_iteration())
                read = _read(losses)
                self.trainer.check_health()
            finally:
                self._begin_iteration()
                self._stage, self._is_counted = None, False
        return read

    def _begin_iteration(self) -> None:
        self._critic_losses.clear()
        self._generator_losses.clear()

    def _end_iteration(self) -> tuple[Tensor, Tensor]:
        """The losses of the discriminator's updates (n,), and of the generator's (a scalar).

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
        self._end(critic_losses.mean(), generator_loss)
        return critic_losses, generator_loss

    def _end(self, loss_discriminator: Tensor, loss_generator: Tensor) -> None:
        # Looking at the numbers is what waits for the device. Images that were not looked at are
        # taken for varied.
        variation, self._variation = self._variation, torch.ones(())
        with self._ledger.timed():
            self.trainer.end_iteration(
                loss_discriminator, loss_generator, variation.to(loss_generator)
            )

    def _stage_of(self, stage: int | None) -> int | None:
        return self._stage if stage is None else stage

    def _image_size(self, stage: int | None) -> int | None:
        return None if stage is None else self.space.stage_image_size(stage)

    @contextmanager
    def _paying(self, *, images: int = 0, generator_steps: int = 0) -> Iterator[None]:
        """Charge what the block does; alone it must be affordable, in an iteration that was asked.

        Raises:
            BudgetExhausted: no image is left.
        """
        if images and not self._is_counted:
            self._ledger.allow("images", 1)
        with self._ledger.timed():
            try:
                yield
            finally:
                self._ledger.charge(Cost(images=images, generator_steps=generator_steps))

    def state_dict(self) -> dict[str, Any]:
        """See `nasgan.contracts.Trainer.state_dict`."""
        return self.trainer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `nasgan.contracts.Trainer.load_state_dict`."""
        self.trainer.load_state_dict(state)


class SupernetTraining(ChargedTrainer):
    """The supernet of a run and its trainer; implements `nasgan.contracts.SharedWeights`.

    The published searches evaluate the generator in training, not an averaged one, so there is no
    average here whatever the settings say. Nor do the limits of ``settings.health`` end the
    training: the published searches have none, and to begin anew is for the strategy to say.

    Args:
        space: builds the supernet.
        images: the training images.
        settings: of the trainer.
        ledger: charged for every step (phase ``"search"``).
        seed: of the run.
        device: where it runs.
    """

    def __init__(
        self,
        space: SearchSpace,
        images: ImageSet,
        settings: TrainerSettings,
        *,
        ledger: Ledger,
        seed: int,
        device: torch.device,
    ) -> None:
        self.supernet = _new_supernet(space, settings, seed)
        self.resets = 0
        self._seed = seed
        trainer = AdversarialTrainer(
            self.supernet,
            images,
            replace(settings, ema_decay=None, lr_decay="none"),
            latent_dim=space.network.latent_dim,
            num_classes=space.network.num_classes,
            seed=derive_seed(seed, "supernet"),
            device=device,
            compile_networks=False,
            limits_end=False,
        )
        super().__init__(trainer, space, ledger)

    def reset(self) -> None:
        """Begin the training anew; see `nasgan.contracts.SharedWeights.reset`."""
        self.resets += 1
        fresh = _new_supernet(self.space, self.trainer.settings, self._seed, self.resets)
        self.trainer.restart(fresh)

    def state_dict(self) -> dict[str, Any]:
        """The training, and how often it began anew."""
        return {"trainer": self.trainer.state_dict(), "resets": self.resets}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.trainer.load_state_dict(state["trainer"])
        self.resets = state["resets"]


def _new_supernet(
    space: SearchSpace, settings: TrainerSettings, seed: int, *resets: int
) -> Supernet:
    with seeded(seed, "supernet", *resets):
        supernet = space.build_supernet()
        initialise(supernet, settings.initialisation)
    return supernet


def _read(losses: Sequence[tuple[Tensor, Tensor]]) -> StepLosses:
    """The losses of some iterations, read from the device at once."""
    discriminator = torch.cat([of_step for of_step, _ in losses]).tolist()
    generator = torch.stack([of_step for _, of_step in losses]).tolist()
    return StepLosses(tuple(generator), tuple(discriminator))
