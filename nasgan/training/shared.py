"""Training of a supernet along sampled paths or by gradient: the run's shared weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nasgan.architecture import Architecture
from nasgan.contracts import (
    Cost,
    HalfWeights,
    Ledger,
    SearchSpace,
    StepLosses,
    Supernet,
    TrainingSteps,
)
from nasgan.contracts.trainer_settings import TrainerSettings
from nasgan.data import ImageSet
from nasgan.networks.initialise import initialise
from nasgan.randomness import derive_seed, seeded
from nasgan.training.steps import IterationSteps
from nasgan.training.trainer import AdversarialTrainer

__all__ = ["SupernetTraining", "affordable_steps"]


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


class SupernetTraining:
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
        self.space = space
        self._seed = seed
        self._ledger = ledger
        self.trainer = AdversarialTrainer(
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

    @property
    def generator_steps(self) -> int:
        """Generator steps trained so far."""
        return self.trainer.generator_steps

    @property
    def real_batch_size(self) -> int:
        """Real images of a discriminator step."""
        return self.trainer.settings.discriminator_batch_size

    def train(
        self,
        sample_path: Callable[[], Architecture],
        *,
        generator_steps: int,
        stage: int | None = None,
    ) -> StepLosses:
        """Train along sampled paths; see `nasgan.contracts.SharedWeights.train`."""
        trainer = self.trainer
        steps = affordable_steps(self._ledger, generator_steps, trainer.settings, Ledger.SEARCH)
        size = None if stage is None else self.space.stage_image_size(stage)

        def path() -> HalfWeights:
            return self.space.one_hot(sample_path(), stage=stage)

        started, before = time.perf_counter(), trainer.generator_steps
        losses: list[tuple[Tensor, Tensor]] = []
        try:
            losses.extend(
                trainer.iteration(path, stage=stage, image_size=size) for _ in range(steps)
            )
            # Reading the losses also waits for the device, so that the time below is real.
            read = _read(losses)
            trainer.check_health()
        finally:
            done = trainer.generator_steps - before
            self._ledger.charge(
                Cost(
                    generator_steps=done,
                    images=done * trainer.settings.images_per_generator_step,
                    device_seconds=time.perf_counter() - started,
                )
            )
        return read

    def train_by(
        self, iteration: Callable[[TrainingSteps], None], *, generator_steps: int
    ) -> StepLosses:
        """Train by the strategy's iteration; see `nasgan.contracts.SharedWeights.train_by`."""
        wanted = self._ledger.allow("generator_steps", generator_steps)
        # As with paths, an image limit ends with the iteration that passes it.
        self._ledger.allow("images", 1)
        images_left = self._ledger.remaining("images")
        started = time.perf_counter()
        losses = []
        done = images = 0
        try:
            while done < wanted and images < images_left:
                steps = IterationSteps(self.trainer)
                iteration(steps)
                done, images = done + 1, images + steps.images
                losses.append(steps.end())
            read = _read(losses)
            self.trainer.check_health()
        finally:
            self._ledger.charge(
                Cost(
                    generator_steps=done,
                    images=images,
                    device_seconds=time.perf_counter() - started,
                )
            )
        return read

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
