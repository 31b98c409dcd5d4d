"""How architectures are scored: objectives, evaluations, evaluators."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from nasgan.architecture import Architecture, Part
from nasgan.contracts.budget import Cost
from nasgan.errors import PluginError, TrainingDiverged, plugin_name
from nasgan.objects import KeepsArguments
from nasgan.pareto import best_first, by_crowding, first_front

if TYPE_CHECKING:
    from nasgan.contracts.run import SearchRun

__all__ = [
    "Breakdown",
    "Evaluation",
    "EvaluationTask",
    "Evaluator",
    "Objective",
    "OnePieceTask",
    "Proposal",
    "SimpleEvaluator",
]


@dataclass(frozen=True)
class Objective:
    """The metric that a search optimises, or several of which none is given up for another.

    Attributes:
        metric: a key of `nasgan.metrics.table.METRICS`, e.g. ``"fid"``.
        direction: whether less or more of it is better.
        others: further objectives, one metric or size of the generator (``"parameters"``,
            ``"macs"``, at the widths of the search) each. The result is a Pareto front then; where
            one architecture is needed it is the one of the front that is best in ``metric``.
    """

    metric: str
    direction: Literal["min", "max"]
    others: tuple[Objective, ...] = ()

    def reward(self, score: float | None) -> float:
        """``score`` turned so that more is better; a failed candidate (None) is worst of all."""
        if score is None or math.isnan(score):
            return -math.inf
        return score if self.direction == "max" else -score

    def better(self, score: float | None, than: float | None) -> bool:
        """Whether ``score`` beats ``than`` strictly."""
        return self.reward(score) > self.reward(than)

    def rewards(self, evaluation: Evaluation) -> tuple[float, ...]:
        """A number for each objective, turned so that more is better; all are least if it failed.

        Those of ``others`` stand in `Evaluation.metrics`.
        """
        if evaluation.score is None:
            return (-math.inf,) * (1 + len(self.others))
        values = evaluation.metrics
        return (
            self.reward(evaluation.score),
            *(other.reward(values.get(other.metric)) for other in self.others),
        )

    def best_first(self, evaluations: Iterable[Evaluation]) -> list[Evaluation]:
        """``evaluations`` in order; failed ones last, ties as they came.

        With several objectives by front, within a front by crowding distance (NSGA-II: Deb et al.
        2002), see `nasgan.pareto.best_first`.
        """
        if not self.others:
            return sorted(evaluations, key=lambda each: -self.reward(each.score))
        held = sorted(evaluations, key=lambda each: each.score is None)
        return [held[i] for i in best_first([self.rewards(each) for each in held])]

    def front(self, evaluations: Iterable[Evaluation]) -> list[Evaluation]:
        """Those of ``evaluations`` that no other beats; the very first is best in ``metric``.

        By crowding distance, the lonely first. With one objective those that share its best value.
        """
        alive = [each for each in evaluations if each.score is not None]
        points = [self.rewards(each) for each in alive]
        return [alive[i] for i in by_crowding(points, first_front(points))]

    def to_json(self) -> dict[str, Any]:
        """The objective as JSON data."""
        others = {"others": [other.to_json() for other in self.others]} if self.others else {}
        return {"metric": self.metric, "direction": self.direction, **others}


@dataclass(frozen=True)
class Proposal:
    """An architecture to score next.

    Attributes:
        architecture: of the run's space.
        generator_steps: length of the training behind the score; None: the evaluator's setting.
        stage: in spaces with stages, score the networks as they are at this one (with shared
            weights only); the decisions of later stages do not count. None: the full networks.
        parent: begin the training with what of this architecture's trained weights fits by name and
            shape; one that this search has scored with ``keep`` or with ``generator_steps``. For
            evaluators that can (`Evaluator.inherits_weights`).
        keep: keep the trained networks until the search ends, for children; a file for each.
    """

    architecture: Architecture
    generator_steps: int | None = None
    stage: int | None = None
    parent: Architecture | None = None
    keep: bool = False

    def to_json(self) -> dict[str, Any]:
        """The proposal as JSON data; `from_json` reads it back."""
        return {
            "architecture": self.architecture.to_json(),
            "generator_steps": self.generator_steps,
            "stage": self.stage,
            "parent": None if self.parent is None else self.parent.to_json(),
            "keep": self.keep,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Proposal:
        """Read what `to_json` wrote."""
        architectures = {
            name: Architecture.from_json(data[name], source="proposal")
            for name in ("architecture", "parent")
            if data.get(name) is not None
        }
        return cls(**{**data, **architectures})


@dataclass(frozen=True)
class Breakdown:
    """How a training ended before its time, see `nasgan.contracts.trainer_settings.HealthSettings`.

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
        parent: id of the architecture whose weights its training began with; None for none.
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
    parent: str | None = None

    @property
    def can_go_on(self) -> bool:
        """Whether more training may follow: one that broke down is over, whatever it scored."""
        return self.score is not None and self.breakdown is None

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
            **({} if self.parent is None else {"parent": self.parent}),
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
            parent=data.get("parent"),
        )


class EvaluationTask(ABC):
    """Evaluations in progress; advanced in small pieces that a checkpoint can part.

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
    def results(self) -> Sequence[Evaluation] | None:
        """The evaluations, once there is nothing left to do.

        They are those of the first proposals, in order: of all, or of as many as the budget allows,
        at least one.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and tensors from which `load_state_dict` continues exactly."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""


class OnePieceTask(EvaluationTask):
    """Evaluations made in one piece of some seconds: either not begun or done.

    Args:
        work: what `advance` does; gives the `results`.
    """

    def __init__(self, work: Callable[[], tuple[Evaluation, ...]]) -> None:
        self._work = work
        self._results: tuple[Evaluation, ...] | None = None

    def advance(self) -> None:
        """See `EvaluationTask.advance`."""
        self._results = self._work()

    @property
    def results(self) -> tuple[Evaluation, ...] | None:
        """See `EvaluationTask.results`."""
        return self._results

    def state_dict(self) -> dict[str, Any]:
        """Nothing is kept."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `EvaluationTask.load_state_dict`."""
        if state:
            raise ValueError(f"an evaluation of one piece has no state, got {sorted(state)}")


class Evaluator(KeepsArguments, ABC):
    """Scores architectures at a fidelity: with shared weights, or after a training from scratch.

    Subclass it (or `SimpleEvaluator`) to add an evaluator. Settings are keyword arguments of
    ``__init__``; the run comes with `setup`.

    Attributes:
        fidelity: its name, see `Evaluation`: the one under which it is registered, or any other
            that no evaluator has. Labels of strategies that go by its scores end in it
            (``random_scratch``), but for ``shared``.
        objective: what its scores are of and which direction is better, where that is not the run's
            objective: a proxy's score is no FID. The search goes by it, and record, log and report
            call the search's scores so. None: each score is the run's objective, under that name in
            `Evaluation.metrics`.
        needs_shared_weights: whether the strategy has to train the supernet first
            (``run.shared_weights``).
        trains: whether its scores come after a training of the candidate, whose length a proposal
            may set (``Proposal.generator_steps``); the scores of others do not depend on one.
        inherits_weights: whether a training can begin with a parent's weights
            (``Proposal.parent``).
        scores_stages: whether it scores networks that have grown to a stage only
            (``Proposal.stage``).
        sees: the networks whose decisions its scores depend on; those of the other are invisible
            to a strategy that goes by scores, and the run warns of it.
        metrics: what each of its evaluations has in `Evaluation.metrics`, where that is known from
            `setup` on; for strategies that go by several.
        together: the most proposals that `begin` takes at once, for evaluators that gain by it.
        run: what it works with, from `setup` on.
    """

    fidelity: ClassVar[str]
    objective: Objective | None = None
    needs_shared_weights: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    inherits_weights: ClassVar[bool] = False
    scores_stages: ClassVar[bool] = False
    sees: ClassVar[tuple[Part, ...]] = ("generator", "discriminator")
    metrics: tuple[str, ...] = ()
    together: int = 1

    run: SearchRun

    def setup(self, run: SearchRun) -> None:
        """Take the run. Called once, before anything is scored; also in each worker.

        Raises:
            ConfigError: the evaluator cannot score in this run; says why.
        """
        self.run = run

    @abstractmethod
    def begin(self, *proposals: Proposal) -> EvaluationTask:
        """Start to score ``proposals``.

        Args:
            proposals: valid ones of the run's space, one or up to `together`. A longer training of
                an architecture (``Proposal.generator_steps``) continues the shorter one.

        Raises:
            ConfigError: the evaluator cannot do this.
        """

    def expected_cost(self, proposal: Proposal) -> Cost:
        """What scoring ``proposal`` will cost: it is begun only if the budget covers that.

        Device seconds are not foreseen.

        Raises:
            ConfigError: the evaluator cannot score it.
        """
        del proposal
        return Cost(architectures=1)

    def kept(self, architecture: Architecture) -> dict[str, Any]:
        """What of the state concerns ``architecture``, as JSON data: for `adopt` elsewhere."""
        del architecture
        return {}

    def adopt(self, architecture: Architecture, kept: Mapping[str, Any]) -> None:
        """Go on from what the evaluator of another process (a worker) `kept`."""

    def state_dict(self) -> dict[str, Any]:
        """What has to be kept between evaluations."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, got {sorted(state)}")


class SimpleEvaluator(Evaluator):
    """An evaluator that scores one proposal at a time, in one piece of some seconds.

    All but the score is given: the budget is asked, time and whatever `score` charges to the ledger
    is the cost of the evaluation, and a training that diverges is a failed candidate. A kill costs
    the piece.
    """

    @abstractmethod
    def score(self, proposal: Proposal) -> float | Mapping[str, float]:
        """The score of ``proposal``.

        Returns:
            The score, in the unit of the run's objective (``self.run.objective``); or several
            metrics by name, that one among them.

        Raises:
            TrainingDiverged: it has none; the candidate has failed.
            BudgetExhausted: the search budget ran out.
            ConfigError: the evaluator cannot score it.
        """

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        """See `Evaluator.begin`."""
        (proposal,) = proposals
        return OnePieceTask(lambda: (_scored(self, proposal),))


def _scored(evaluator: SimpleEvaluator, proposal: Proposal) -> Evaluation:
    run, ledger = evaluator.run, evaluator.run.ledger
    ledger.allow("architectures", 1)
    # In full: half a training's score would stand beside those of whole ones.
    ledger.require(evaluator.expected_cost(proposal))
    before, started = ledger.spent(), time.perf_counter()
    metrics, failure = _metrics(evaluator, proposal)
    seconds = time.perf_counter() - started
    charged = ledger.spent() - before
    uncharged = max(0.0, seconds - charged.device_seconds)
    ledger.charge(Cost(architectures=1, device_seconds=uncharged))
    return Evaluation(
        proposal.architecture,
        metrics,
        metrics.get(run.objective.metric),
        evaluator.fidelity,
        cost=ledger.spent() - before,
        failure=failure,
        stage=proposal.stage,
    )


def _metrics(evaluator: SimpleEvaluator, proposal: Proposal) -> tuple[Mapping[str, float], str]:
    """What was scored, and why nothing was."""
    try:
        found = evaluator.score(proposal)
    except TrainingDiverged as error:
        return {}, error.reason
    metric = evaluator.run.objective.metric
    if not isinstance(found, Mapping):
        return {metric: found}, ""
    if metric not in found:
        raise PluginError(
            f"evaluator {plugin_name(evaluator)}: `score` gave {', '.join(found)}, and the "
            f"search goes by {metric}: give that, too, or give the evaluator an "
            "objective = Objective(NAME, 'min') or Objective(NAME, 'max')"
        )
    return found, ""
