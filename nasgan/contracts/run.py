"""The run that strategies and evaluators are handed: the same object for both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture
from nasgan.contracts.budget import Ledger
from nasgan.contracts.evaluation import Evaluation, Evaluator, Objective, Proposal
from nasgan.contracts.search_space import SearchSpace
from nasgan.contracts.trainer_settings import TrainerSettings
from nasgan.contracts.training import NetworkPair, SharedWeights, Trainer
from nasgan.errors import ConfigError

if TYPE_CHECKING:  # scores take a second to import
    from nasgan.data import ImageSet
    from nasgan.metrics import MetricHarness
    from nasgan.metrics.images import Sampler

__all__ = [
    "EvaluationPool",
    "SearchRun",
    "held_out_images",
]


class SearchRun(Protocol):
    """What a strategy and an evaluator work with; made by the engine, and checkpointed by it.

    They keep no random generator and no budget of their own: they take them from here, and these
    resume with the run.
    """

    @property
    def space(self) -> SearchSpace:
        """The search space, at the widths of the search."""

    @property
    def objective(self) -> Objective:
        """What the search's scores are of, and which direction is better.

        That is the configured objective, unless the evaluator names its own.
        """

    @property
    def final_objective(self) -> Objective:
        """The configured objective: what the final phase is scored by."""

    @property
    def ledger(self) -> Ledger:
        """What was spent, and the budget."""

    @property
    def seed(self) -> int:
        """The run's."""

    @property
    def device(self) -> torch.device:
        """Where networks live."""

    @property
    def folder(self) -> Path:
        """For files that stay until the search ends, over kills and resumptions.

        It may not be there yet, see `nasgan.state_files.save_state`. Workers see the same folder.
        """

    @property
    def images(self) -> ImageSet:
        """The training images, on the device."""

    @property
    def held_out(self) -> ImageSet | None:
        """The images that no training sees (the data set's test split), on the device."""

    @property
    def trainer_settings(self) -> TrainerSettings:
        """The settings of every training."""

    @property
    def harness(self) -> MetricHarness:
        """Scores images under the run's protocol."""

    @property
    def evaluator(self) -> Evaluator:
        """Scores architectures, as configured (``evaluator=shared``, ``evaluator=scratch``)."""

    @property
    def pool(self) -> EvaluationPool:
        """Where the evaluator's scores are made: here, or by workers (``executor=...``)."""

    @property
    def shared_weights(self) -> SharedWeights:
        """The supernet and its training; built on first use.

        Raises:
            ConfigError: there are none here: the process is a worker, or scores come from a table.
        """

    def networks(self, architecture: Architecture, *, inherit: bool = False) -> NetworkPair:
        """The networks of ``architecture`` by themselves, on the device.

        Args:
            architecture: of the run's space.
            inherit: whether they begin with the supernet's weights instead of initial values, which
                follow from the run's seed and the architecture.

        Returns:
            A module with ``generator`` and ``discriminator``, in training mode.
        """

    def trainer(
        self,
        pair: NetworkPair,
        *,
        name: str = "",
        images: ImageSet | None = None,
        settings: TrainerSettings | None = None,
        total_generator_steps: int | None = None,
    ) -> Trainer:
        """A training of ``pair`` that begins now, at the run's cost.

        Args:
            pair: any two networks, or a `Supernet`, such as a ``copy.deepcopy`` of
                ``shared_weights.supernet``. They are trained in place.
            name: of its random numbers, drawn from the run's seed: equal names draw the same.
            images: that it trains on; None: the training images (``self.images``).
            settings: of the trainer; None: the run's. An average of a supernet's generator and
                limits of its health are left out, as in ``shared_weights``.
            total_generator_steps: its length, where that is known; otherwise learning rates stay
                constant, whatever the settings say.

        Raises:
            ConfigError: the settings do not fit together.
        """

    def sample(self, of: Architecture | nn.Module, *, stage: int | None = None) -> Sampler:
        """Images of an architecture with the supernet's weights, or of a generator.

        The generator is in evaluation mode meanwhile. All samplers of a run draw the same latents,
        where they are asked for the same counts. Each image is charged to the ledger.

        Args:
            of: an architecture of the run's space, or the generator of one, e.g.
                ``trainer.evaluated_generator``.
            stage: of an architecture, in spaces with stages: as far as the supernet has grown.

        Returns:
            ``sampler(count)`` gives the next `nasgan.metrics.GeneratedImages`, uint8 (N, C, H, W).
            ``run.harness.evaluate(run.sample(architecture), num_images=500)`` scores them.

        Raises:
            BudgetExhausted: by the sampler: no image is left.
            TrainingDiverged: by the sampler: a pixel is not finite.
        """

    def features(
        self, of: Architecture | nn.Module, count: int, *, stage: int | None = None
    ) -> Tensor:
        """What a generator makes its images of: the maps that enter its last convolution.

        Of the first ``count`` latents of `sample`, as which it is charged.

        Args:
            of: as for `sample`.
            count: N.
            stage: as for `sample`.

        Returns:
            (N, C) in float32, on the device: the mean of each of the C maps over its positions.

        Raises:
            ConfigError: the generator has no convolution.
            BudgetExhausted: as a sampler.
            TrainingDiverged: as a sampler.
        """

    def rng(self, name: str) -> np.random.Generator:
        """The random stream ``name`` of this run; its position is part of the checkpoint."""


def held_out_images(run: SearchRun) -> ImageSet:
    """The images that no training of ``run`` sees, for what is judged on them.

    Raises:
        ConfigError: the data have none.
    """
    if run.held_out is None:
        raise ConfigError(
            "the duality gap is taken on images that no training sees, and these data have no test "
            "split: take data that have one (dataset.test_path=...), or another method"
        )
    return run.held_out


class EvaluationPool(ABC):
    """Where proposals are scored: in this process, or by workers (``executor=processes``).

    The engine owns and checkpoints it. It charges the run's ledger.

    Attributes:
        begins_again: whether a resumed run evaluates anew what had not arrived at its checkpoint.
    """

    begins_again: ClassVar[bool] = False

    @abstractmethod
    def room(self, together: int = 1) -> int:
        """How many proposals it takes now.

        Args:
            together: how many proposals the strategy makes without hearing of each other's scores;
                shared weights score so many in one piece. Workers are kept busy whatever it is.
        """

    @property
    @abstractmethod
    def under_way(self) -> int:
        """Proposals taken whose evaluation has not been given back."""

    @abstractmethod
    def submit(self, proposal: Proposal) -> None:
        """Take a proposal.

        Raises:
            BudgetExhausted: the budget does not cover it, beside those under way.
            ConfigError: the run's evaluator cannot score it.
        """

    @abstractmethod
    def advance(self) -> list[Evaluation]:
        """Work, or wait for the workers, for a moment; the evaluations that ended, as they arrived.

        Raises:
            BudgetExhausted: the budget ended; what was under way is dropped.
        """

    @property
    def note(self) -> str:
        """A few words for the progress line: how many are under way; empty without workers."""
        return ""

    def close(self) -> None:  # noqa: B027 - most pools hold nothing
        """Stop the workers, when the search has ended or fails; what is under way is dropped."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What is under way, as plain numbers, texts and tensors."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`; what workers had begun they begin again."""
