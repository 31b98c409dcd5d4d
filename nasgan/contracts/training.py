"""The adversarial training of a pair of networks, as strategies and evaluators see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from torch import Tensor, nn

from nasgan.architecture import Architecture, Part
from nasgan.contracts.search_space import HalfWeights
from nasgan.contracts.supernet import Supernet
from nasgan.contracts.trainer_settings import TrainerSettings

__all__ = [
    "DrawnWeights",
    "NetworkPair",
    "PairWeights",
    "RealImages",
    "SharedWeights",
    "StepLosses",
    "Trainer",
    "TrainingSteps",
]


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


class NetworkPair(Protocol):
    """A generator and a discriminator: a `Supernet`, or the two networks of an architecture."""

    @property
    def generator(self) -> nn.Module:
        """See `SearchSpace.build_generator`, or `Supernet`."""

    @property
    def discriminator(self) -> nn.Module:
        """See `SearchSpace.build_discriminator`, or `Supernet`."""


@dataclass(frozen=True)
class StepLosses:
    """The losses of some generator steps, in the order of the updates.

    Attributes:
        generator: one a generator step.
        discriminator: one a discriminator step.
    """

    generator: tuple[float, ...]
    discriminator: tuple[float, ...]

    @property
    def means(self) -> dict[str, float]:
        """``loss_generator`` and ``loss_discriminator``, for the history; empty without losses."""
        if not self.generator:
            return {}
        return {
            "loss_discriminator": sum(self.discriminator) / len(self.discriminator),
            "loss_generator": sum(self.generator) / len(self.generator),
        }


class TrainingSteps(Protocol):
    """The single steps of adversarial training, in whatever order is asked for.

    Each charges the run's ledger: a loss by the images that pass through the networks, an update of
    the generator as a generator step.

    A loss for an update of the architecture carries gradients to the weight vectors alone, one for
    an update of a network to that network's parameters (and to weight vectors that carry
    gradients: detach those).
    """

    @property
    def n_critic(self) -> int:
        """Discriminator steps of an iteration, as configured."""

    def real_images(self, parts: int = 1, *, stage: int | None = None) -> Sequence[RealImages]:
        """The next batch of real images, cut into ``parts`` of nearly equal size.

        Args:
            parts: how many.
            stage: in spaces whose networks grow, reduce them to the size of this stage.
        """

    def discriminator_loss(
        self,
        real: RealImages,
        weights: PairWeights | None = None,
        *,
        stage: int | None = None,
        for_architecture: bool = False,
        through_generator: bool = False,
    ) -> Tensor:
        """The discriminator's loss, a scalar, on ``real`` and on as many generated images.

        The generator takes part without gradients, unless they are asked for.

        Args:
            real: images of the size of ``stage``.
            weights: of both halves of a supernet (``space.one_hot(architecture)``, or others); None
                for the networks of one architecture.
            stage: how far a supernet has grown, in spaces with stages; None: that of the iteration.
            for_architecture: whether the loss is for the weight vectors.
            through_generator: whether gradients reach the generator, too: its weight vectors, or
                without ``for_architecture`` its parameters. So minus the loss is the value of a
                game between both.

        Raises:
            BudgetExhausted: no image is left.
        """

    def generator_loss(
        self,
        weights: PairWeights | None = None,
        *,
        stage: int | None = None,
        for_architecture: bool = False,
    ) -> Tensor:
        """The generator's loss, a scalar, on a batch of latents of the configured size.

        Args:
            weights: as for `discriminator_loss`.
            stage: as for `discriminator_loss`.
            for_architecture: as for `discriminator_loss`.

        Raises:
            BudgetExhausted: as for `discriminator_loss`.
        """

    def update_discriminator(self, loss: Tensor) -> None:
        """One step of the discriminator's parameters down ``loss``."""

    def update_generator(self, loss: Tensor) -> None:
        """One step of the generator's parameters down ``loss``: a generator step.

        Raises:
            BudgetExhausted: no generator step is left.
            TrainingDiverged: the training broke down.
        """


class Trainer(TrainingSteps, NetworkPair, Protocol):
    """The adversarial training of a pair of networks, at the run's cost.

    Its random numbers come from the run's seed. Keep `state_dict` in your own state, and the
    training resumes exactly.
    """

    @property
    def settings(self) -> TrainerSettings:
        """As they are on this device."""

    @property
    def evaluated_generator(self) -> nn.Module:
        """The generator to score: the averaged one where the settings have an average."""

    @property
    def generator_steps(self) -> int:
        """Generator steps trained so far."""

    def train(
        self,
        sample_path: Callable[[], Architecture] | None = None,
        *,
        generator_steps: int,
        stage: int | None = None,
    ) -> StepLosses:
        """Train by the trainer's own iteration: a generator step and its ``n_critic`` others.

        Args:
            sample_path: for supernets: draws the next architecture, one a discriminator step.
            generator_steps: how many; fewer are done where the budget ends before.
            stage: how far a supernet has grown, in spaces with stages.

        Returns:
            The losses of the call.

        Raises:
            BudgetExhausted: no generator step is left.
            TrainingDiverged: the training broke down.
        """

    def train_by(
        self,
        iteration: Callable[[TrainingSteps], None],
        *,
        generator_steps: int,
        stage: int | None = None,
    ) -> StepLosses:
        """Train by an iteration of the strategy's own, for searches by gradient.

        Args:
            iteration: does the steps of one iteration, of which exactly one is a generator step.
            generator_steps: how many iterations; fewer are done where the budget ends before.
            stage: how far a supernet has grown: of all steps that name no other.

        Returns:
            As `train`; only losses by which a network was updated count.

        Raises:
            BudgetExhausted: no generator step is left.
            TrainingDiverged: the training broke down.
            ConfigError: an iteration did another number of generator steps, or no other step.
        """

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers, random streams and counts, from which `load_state_dict` goes on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict`, of a pair with the same networks."""


class SharedWeights(Trainer, Protocol):
    """The supernet of a run and its training, owned and checkpointed by the engine."""

    @property
    def supernet(self) -> Supernet:
        """The network pair, on the run's device."""

    def reset(self) -> None:
        """Begin the training anew: new initial values, new optimisers; the data go on.

        ``generator_steps`` goes on counting. The initial values are others than before, and the
        same in each run of a seed.
        """
