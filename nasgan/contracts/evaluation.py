"""How architectures are scored: objectives, evaluations, evaluators."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from nasgan.architecture import Architecture, Part
from nasgan.contracts.budget import Cost

__all__ = ["Breakdown", "Evaluation", "EvaluationTask", "Evaluator", "Objective", "Proposal"]


@dataclass(frozen=True)
class Objective:
    """The metric that a search optimises.

    Attributes:
        metric: a key of `nasgan.metrics.table.METRICS`, e.g. ``"fid"``.
        direction: whether less or more of it is better.
    """

    metric: str
    direction: Literal["min", "max"]

    def reward(self, score: float | None) -> float:
        """``score`` turned so that more is better; a failed candidate (None) is worst of all."""
        if score is None or math.isnan(score):
            return -math.inf
        return score if self.direction == "max" else -score

    def better(self, score: float | None, than: float | None) -> bool:
        """Whether ``score`` beats ``than`` strictly."""
        return self.reward(score) > self.reward(than)


@dataclass(frozen=True)
class Proposal:
    """An architecture to score next.

    Attributes:
        architecture: of the run's space.
        generator_steps: length of the training behind the score; None: the evaluator's setting.
        stage: in spaces with stages, score the networks as they are at this one (with shared
            weights only); the decisions of later stages do not count. None: the full networks.
    """

    architecture: Architecture
    generator_steps: int | None = None
    stage: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The proposal as JSON data; `from_json` reads it back."""
        return {
            "architecture": self.architecture.to_json(),
            "generator_steps": self.generator_steps,
            "stage": self.stage,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Proposal:
        """Read what `to_json` wrote."""
        architecture = Architecture.from_json(data["architecture"], source="proposal")
        return cls(architecture, data["generator_steps"], data["stage"])


@dataclass(frozen=True)
class Breakdown:
    """How a training ended before its time, see `nasgan.training.settings.HealthSettings`.

    Attributes:
        reason: in words.
        generator_step: at which it shows.
    """

    reason: str
    generator_step: int

    def __str__(self) -> str:
        return f"training diverged at generator step {self.generator_step}: {self.reason}"


@dataclass(frozen=True)
class Evaluation:
    """The score of one architecture and what it cost.

    Attributes:
        architecture: what was scored.
        metrics: the values by metric; empty if it failed.
        score: the objective's value in its own unit; None if it failed.
        fidelity: how it was scored: ``"shared"``, ``"scratch"``, ``"final"``, or a name that an
            evaluator of a plugin gives itself.
        generator_steps: the training behind a ``scratch`` or ``final`` score; 0 otherwise.
        cost: what it cost.
        failure: why it failed; empty if it did not.
        stage: of a progressive search, whose smaller images were scored; None: the full networks.
        breakdown: how its training broke down, if it did: the score is that of its best moment
            before, and only a training without one has failed.
    """

    architecture: Architecture
    metrics: Mapping[str, float]
    score: float | None
    fidelity: str
    generator_steps: int = 0
    cost: Cost = field(default_factory=Cost)
    failure: str = ""
    stage: int | None = None
    breakdown: Breakdown | None = None

    def to_json(self) -> dict[str, Any]:
        """The evaluation as JSON data; `from_json` reads it back."""
        return {
            "architecture": self.architecture.to_json(),
            "metrics": dict(self.metrics),
            "score": self.score,
            "fidelity": self.fidelity,
            "generator_steps": self.generator_steps,
            "cost": self.cost.to_json(),
            "failure": self.failure,
            **({} if self.stage is None else {"stage": self.stage}),
            **({} if self.breakdown is None else {"breakdown": asdict(self.breakdown)}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """Read what `to_json` wrote."""
        broken = data.get("breakdown")
        return cls(
            architecture=Architecture.from_json(data["architecture"], source="evaluation"),
            metrics=dict(data["metrics"]),
            score=data["score"],
            fidelity=data["fidelity"],
            generator_steps=data["generator_steps"],
            cost=Cost.from_json(data["cost"]),
            failure=data["failure"],
            stage=data.get("stage"),
            breakdown=None if broken is None else Breakdown(**broken),
        )


class EvaluationTask(ABC):
    """One candidate's evaluation in progress; advanced in small pieces that a checkpoint can part.

    The task charges the run's ledger as it goes.
    """

    @abstractmethod
    def advance(self) -> None:
        """Do the next piece of work.

        Raises:
            BudgetExhausted: the search budget ran out; the task is dropped.
        """

    @property
    @abstractmethod
    def result(self) -> Evaluation | None:
        """The evaluation, once there is nothing left to do."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and tensors from which `load_state_dict` continues exactly."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""


class Evaluator(ABC):
    """Scores architectures at a fidelity: with shared weights, or after a training from scratch.

    Attributes:
        fidelity: how it scores, see `Evaluation`. Labels of strategies that go by its scores end in
            it (``random_scratch``), but for ``shared``.
        objective: what its scores are of and which direction is better, where that is not the run's
            objective: a proxy's score is no FID. The search goes by it, and record, log and report
            call the search's scores so. None: each score is the run's objective, under that name in
            `Evaluation.metrics`.
        needs_shared_weights: whether the strategy has to train the supernet first
            (``run.shared_weights``).
        sees: the networks whose decisions its scores depend on; those of the other are invisible
            to a strategy that goes by scores, and the run warns of it.
    """

    fidelity: ClassVar[str]
    objective: Objective | None = None
    needs_shared_weights: ClassVar[bool] = False
    sees: ClassVar[tuple[Part, ...]] = ("generator", "discriminator")

    @abstractmethod
    def begin(
        self,
        architecture: Architecture,
        *,
        generator_steps: int | None = None,
        stage: int | None = None,
    ) -> EvaluationTask:
        """Start to score ``architecture``.

        Args:
            architecture: a valid one of the run's space.
            generator_steps: length of the training behind the score, for evaluators that train:
                a longer training of the same architecture continues the shorter one. Default: the
                evaluator's own setting.
            stage: score the networks as they are at this stage of a progressive search, for
                evaluators with shared weights.

        Raises:
            ConfigError: the evaluator cannot do this.
        """

    def expected_cost(self, proposal: Proposal) -> Cost:
        """What scoring ``proposal`` will cost: workers get it only if the budget covers that.

        Device seconds are not foreseen.

        Raises:
            ConfigError: the evaluator cannot score it.
        """
        del proposal
        return Cost(architectures=1)

    @property
    def together(self) -> int:
        """The most proposals that `score` takes at once."""
        return 1

    def score(self, proposals: Sequence[Proposal]) -> list[Evaluation]:
        """Score up to `together` proposals in one piece, for evaluators that gain by it.

        Returns:
            The evaluations of as many of the first proposals as the budget allows.

        Raises:
            BudgetExhausted: it allows none.
            ConfigError: the evaluator cannot score them.
        """
        raise NotImplementedError(f"{type(self).__name__} scores by `begin`, one at a time")

    def kept(self, architecture: Architecture) -> dict[str, Any]:
        """What of the state concerns ``architecture``, as JSON data: for `adopt` elsewhere."""
        del architecture
        return {}

    def adopt(  # noqa: B027 - most evaluators keep nothing
        self, architecture: Architecture, kept: Mapping[str, Any]
    ) -> None:
        """Go on from what the evaluator of another process (a worker) `kept`."""

    def state_dict(self) -> dict[str, Any]:
        """What has to be kept between evaluations."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, got {sorted(state)}")
