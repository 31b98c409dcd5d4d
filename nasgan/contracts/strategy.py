"""What a search strategy is, and the run that it is handed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from nasgan.architecture import Architecture
from nasgan.contracts.evaluation import Evaluation
from nasgan.contracts.supernet import Supernet
from nasgan.contracts.training import TrainingSteps

if TYPE_CHECKING:
    from nasgan.contracts.run import SearchRun

__all__ = ["SearchStrategy", "SharedWeights", "StepLosses", "StepReport"]


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


class SharedWeights(Protocol):
    """The supernet of a run and its adversarial training, owned and checkpointed by the engine."""

    @property
    def supernet(self) -> Supernet:
        """The network pair, on the run's device."""

    @property
    def generator_steps(self) -> int:
        """Generator steps trained so far."""

    @property
    def real_batch_size(self) -> int:
        """Real images of a discriminator step."""

    def train(
        self,
        sample_path: Callable[[], Architecture],
        *,
        generator_steps: int,
        stage: int | None = None,
    ) -> StepLosses:
        """Train along sampled paths, one architecture per discriminator step.

        Args:
            sample_path: draws the next architecture.
            generator_steps: how many; fewer are done where the budget ends before.
            stage: how far the networks have grown, in spaces with stages.

        Returns:
            The losses of the call.

        Raises:
            BudgetExhausted: no generator step is left.
            TrainingDiverged: the training broke down.
        """

    def train_by(
        self, iteration: Callable[[TrainingSteps], None], *, generator_steps: int
    ) -> StepLosses:
        """Train by an iteration of the strategy's own, for searches by gradient.

        Every loss asked for is charged by the images that pass through the networks.

        Args:
            iteration: does the steps of one iteration, of which exactly one is a generator step.
            generator_steps: how many iterations; fewer are done where the budget ends before.

        Returns:
            As `train`; only losses by which a network was updated count.

        Raises:
            BudgetExhausted: no generator step is left.
            TrainingDiverged: the training broke down.
        """

    def reset(self) -> None:
        """Begin the training anew: new initial values, new optimisers; the data go on.

        ``generator_steps`` goes on counting. The initial values are others than before, and the
        same in each run of a seed.
        """


@dataclass(frozen=True)
class StepReport:
    """What one step did: shown as progress, and written to the history.

    Attributes:
        message: a few words for the progress line, e.g. ``"supernet 120/600"``.
        progress: fraction of the search that is done, in [0, 1], if it can be told.
        evaluations: evaluations that ended in this step; each becomes a line of the history.
        values: further numbers for the history (losses, entropy, ...).
        options: for decisions, how often or how probably each option was chosen in this step (one
            number per option), for the picture of the search over time.
    """

    message: str
    progress: float | None = None
    evaluations: tuple[Evaluation, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Sequence[float]] = field(default_factory=dict)


class SearchStrategy(ABC):
    """Searches an architecture. Subclass it (or `AskTellStrategy`) to add a strategy.

    The engine owns the loop: it calls `setup` once, then `step` until `finished` or until the
    budget ends, checkpointing between steps. Settings are keyword arguments of ``__init__``; all
    else that a step changes must be in `state_dict`. A step should take seconds, not minutes.

    Attributes:
        many_objectives: whether it searches by several objectives where the run has several
            (``objective=[fid, parameters]``); such a run refuses the other strategies.
    """

    name: ClassVar[str]
    many_objectives: ClassVar[bool] = False

    run: SearchRun

    def setup(self, run: SearchRun) -> None:
        """Take the run. Called once, before the first step or `load_state_dict`.

        Raises:
            ConfigError: the strategy cannot work with this space or evaluator; says why.
        """
        self.run = run

    @property
    def label(self) -> str:
        """What records and tables call this strategy as it is set.

        Override it where settings make another method of it: methods must not share a row.
        """
        return self.name

    @abstractmethod
    def step(self) -> StepReport:
        """Do one unit of progress.

        Raises:
            BudgetExhausted: lets the engine end the search; state must still name an incumbent.
        """

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the strategy has nothing left to do."""

    @abstractmethod
    def incumbent(self) -> Architecture | None:
        """The best architecture known; None before there is one."""

    def finalists(self, count: int) -> list[Architecture]:
        """The best ``count`` distinct architectures, best first, for the final phase.

        By default the incumbent alone.
        """
        incumbent = self.incumbent()
        return [incumbent] if incumbent is not None and count > 0 else []

    def front(self) -> list[Evaluation]:
        """The Pareto front of a search by several objectives, in the order of `finalists`."""
        return []

    def evaluation_of(self, architecture: Architecture) -> Evaluation | None:
        """The evaluation that `finalists` go by of one of them; None where there is none."""
        del architecture
        return None

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, texts, lists, dicts and tensors from which the search continues."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict`."""
