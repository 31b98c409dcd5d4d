"""What a search strategy is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from nasgan.architecture import Architecture
from nasgan.contracts.evaluation import Evaluation
from nasgan.objects import KeepsArguments

if TYPE_CHECKING:
    from nasgan.contracts.run import SearchRun

__all__ = ["SearchStrategy", "StepReport"]


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


class SearchStrategy(KeepsArguments, ABC):
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
