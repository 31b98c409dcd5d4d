"""A run without data and metrics: scores come from a rule, the supernet is really trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from nasgan.architecture import Architecture
from nasgan.contracts import (
    Budget,
    Cost,
    Evaluation,
    EvaluationPool,
    EvaluationTask,
    Evaluator,
    Ledger,
    Objective,
    Proposal,
    SearchSpace,
    SharedWeights,
    StepLosses,
    Supernet,
    TrainingSteps,
)
from nasgan.data import ImageSet
from nasgan.errors import ArchitectureError, BudgetExhausted, quoted
from nasgan.evaluation import InProcessPool
from nasgan.randomness import RandomStreams, numpy_generator, torch_generator
from nasgan.training import SupernetTraining, TrainerSettings

__all__ = ["ToyEvaluator", "ToyRun", "ToyScores"]

_DEFAULT_STEPS = 10
_PIECES = 2


@dataclass
class Trace:
    """What a strategy asked of its run.

    Attributes:
        events: paths drawn (with the stage) and evaluations begun (with the stage, or from scratch
            with the generator steps), in order; resets.
        completed: evaluations that ended.
        present: the first of them that was scored with the shared weights as they are now.
        refused: whether some work was refused because the budget is spent.
    """

    events: list[tuple[str, str, int | None]] = field(default_factory=list)
    completed: list[Evaluation] = field(default_factory=list)
    present: int = 0
    refused: bool = False


class ToyScores:
    """The distance of an architecture to a best one that is known: 0 is best.

    Args:
        space: any.
        objective: its direction; the distance is negated to be maximised.
        failures: whether about one architecture in seven fails, as a training that diverges.
    """

    def __init__(self, space: SearchSpace, objective: Objective, *, failures: bool) -> None:
        self._space = space
        self._objective = objective
        self._failures = failures
        self.best = space.sample(numpy_generator(7, "best architecture"))

    def __call__(
        self, architecture: Architecture, generator_steps: int = 0, stage: int | None = None
    ) -> float | None:
        """The score after a training; a longer one is better; None if the architecture fails.

        Decisions after ``stage`` do not count.
        """
        if self.fails(architecture):
            return None
        indices = np.asarray(self._space.encode(architecture))
        # The weights tell apart architectures with equally many differing decisions.
        weights = 1 + np.arange(len(indices)) / 10
        wrong = indices != np.asarray(self._space.encode(self.best))
        if stage is not None:
            wrong &= np.array([decision.stage <= stage for decision in self._space.decisions])
        distance = float(weights[wrong].sum())
        distance += 1 / (1 + generator_steps)
        return distance if self._objective.direction == "min" else -distance

    def fails(self, architecture: Architecture) -> bool:
        """Whether the evaluation of ``architecture`` ends without a score."""
        return self._failures and architecture != self.best and int(architecture.id, 16) % 7 == 0


class ToyEvaluator(Evaluator):
    """Scores by `ToyScores`, in pieces, and charges the ledger as real evaluators do.

    Args:
        scores: the rule.
        space: architectures have to be of it.
        ledger: charged.
        shared: whether it stands for ``evaluator=shared`` (no training) or ``scratch``.
        trace: written.
        together: see `Evaluator.together`.
    """

    def __init__(
        self,
        scores: ToyScores,
        space: SearchSpace,
        ledger: Ledger,
        *,
        shared: bool,
        trace: Trace,
        together: int = 1,
    ) -> None:
        # The toy stands for both kinds.
        self.needs_shared_weights = shared  # type: ignore[misc]
        self.fidelity = "shared" if shared else "scratch"  # type: ignore[misc]
        self.scores = scores
        self.ledger = ledger
        self.trace = trace
        self.trained: dict[str, int] = {}
        self._space = space
        self._together = together

    @property
    def together(self) -> int:
        """See `Evaluator.together`."""
        return self._together

    def score(self, proposals: Sequence[Proposal]) -> list[Evaluation]:
        """See `Evaluator.score`."""
        scored: list[Evaluation] = []
        for proposal in proposals:
            task = self.begin(
                proposal.architecture,
                generator_steps=proposal.generator_steps,
                stage=proposal.stage,
            )
            try:
                while task.result is None:
                    task.advance()
            except BudgetExhausted:
                if scored:
                    # The strategy gets fewer scores; it hears of the end when it asks again.
                    self.trace.refused = False
                    break
                raise
            scored.append(task.result)
        return scored

    def begin(
        self,
        architecture: Architecture,
        *,
        generator_steps: int | None = None,
        stage: int | None = None,
    ) -> EvaluationTask:
        """See `Evaluator.begin`."""
        if stage is not None and not self.needs_shared_weights:
            raise AssertionError("a stage is set although networks from scratch have none")
        require_valid(self._space, architecture, "the strategy asks to score")
        if self.needs_shared_weights and generator_steps is not None:
            raise AssertionError(
                "generator_steps is set although the evaluator does not train: leave it None where "
                "`run.evaluator.needs_shared_weights`"
            )
        if generator_steps is not None and (
            type(generator_steps) is not int or generator_steps < 1
        ):
            raise AssertionError(
                "generator_steps must be an int of at least 1, or None, got "
                f"{quoted(generator_steps)}"
            )
        told = stage if self.needs_shared_weights else generator_steps
        self.trace.events.append(("score", architecture.id, told))
        total = 0 if self.needs_shared_weights else generator_steps or _DEFAULT_STEPS
        # The last stage is that of the full networks.
        growing = stage is not None and stage < self._space.num_stages - 1
        return _ToyTask(self, architecture, total, stage if growing else None)

    def state_dict(self) -> dict[str, Any]:
        """Lengths of the trainings so far: a longer one continues a shorter one."""
        return {"trained": dict(self.trained)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.trained = dict(state["trained"])


class _ToyTask(EvaluationTask):
    def __init__(
        self,
        evaluator: ToyEvaluator,
        architecture: Architecture,
        total: int,
        stage: int | None,
    ) -> None:
        self._evaluator = evaluator
        self._architecture = architecture
        self._total = total
        self._stage = stage
        self._steps = min(evaluator.trained.get(architecture.id, 0), total)
        self._result: Evaluation | None = None

    def advance(self) -> None:
        evaluator = self._evaluator
        try:
            if self._steps < self._total:
                piece = min(-(-self._total // _PIECES), self._total - self._steps)
                steps = evaluator.ledger.allow("generator_steps", piece)
                self._steps += steps
                evaluator.ledger.charge(Cost(generator_steps=steps))
            if self._steps < self._total:
                return
            evaluator.ledger.allow("architectures", 1)
        except BudgetExhausted:
            evaluator.trace.refused = True
            raise
        evaluator.ledger.charge(Cost(architectures=1))
        evaluator.trained[self._architecture.id] = self._total
        score = evaluator.scores(self._architecture, self._total, self._stage)
        self._result = Evaluation(
            self._architecture,
            {} if score is None else {"score": score},
            score,
            evaluator.fidelity,
            generator_steps=self._total,
            cost=Cost(architectures=1, generator_steps=self._total),
            failure="the toy training diverged" if score is None else "",
            stage=self._stage,
        )
        evaluator.trace.completed.append(self._result)

    @property
    def result(self) -> Evaluation | None:
        return self._result

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._steps = state["steps"]


class _ToySharedWeights:
    """The real training of the space's supernet on random images, with the paths written down."""

    def __init__(self, training: SupernetTraining, space: SearchSpace, trace: Trace) -> None:
        self.training = training
        self._space = space
        self._trace = trace

    @property
    def supernet(self) -> Supernet:
        return self.training.supernet

    @property
    def generator_steps(self) -> int:
        return self.training.generator_steps

    @property
    def real_batch_size(self) -> int:
        return self.training.real_batch_size

    def train(
        self,
        sample_path: Callable[[], Architecture],
        *,
        generator_steps: int,
        stage: int | None = None,
    ) -> StepLosses:
        def path() -> Architecture:
            architecture = sample_path()
            require_valid(self._space, architecture, "`sample_path` draws")
            self._trace.events.append(("path", architecture.id, stage))
            return architecture

        return self._noting_refusal(
            lambda: self.training.train(path, generator_steps=generator_steps, stage=stage),
            generator_steps,
        )

    def train_by(
        self, iteration: Callable[[TrainingSteps], None], *, generator_steps: int
    ) -> StepLosses:
        return self._noting_refusal(
            lambda: self.training.train_by(iteration, generator_steps=generator_steps),
            generator_steps,
        )

    def reset(self) -> None:
        self._trace.events.append(("reset", "", None))
        self._trace.present = len(self._trace.completed)
        self.training.reset()

    def _noting_refusal(self, train: Callable[[], StepLosses], generator_steps: int) -> StepLosses:
        if generator_steps < 1:
            raise AssertionError(f"asks to train the supernet for {generator_steps} steps")
        try:
            losses = train()
            self._trace.present = len(self._trace.completed)
            return losses
        except BudgetExhausted:
            self._trace.refused = True
            raise


class ToyRun:
    """Implements `nasgan.contracts.SearchRun`, with a state as the engine keeps it.

    Args:
        space: the search space.
        budget: of the search.
        shared: whether candidates are scored with shared weights.
        seed: of the run.
        together: the most that the evaluator scores in one piece.
    """

    def __init__(
        self, space: SearchSpace, budget: Budget, *, shared: bool, seed: int, together: int = 1
    ) -> None:
        self.space = space
        # Both directions are tried: strategies compare rewards, not scores.
        self.objective = Objective("is", "max") if shared else Objective("fid", "min")
        self.ledger = Ledger(budget)
        self.device = torch.device("cpu")
        self.trace = Trace()
        self.scores = ToyScores(space, self.objective, failures=not shared)
        self.evaluator: Evaluator = ToyEvaluator(
            self.scores, space, self.ledger, shared=shared, trace=self.trace, together=together
        )
        self.pool: EvaluationPool = InProcessPool(self.evaluator, self.ledger)
        self._seed = seed
        self._streams = RandomStreams(seed, "strategy")

    @cached_property
    def shared_weights(self) -> SharedWeights:
        """See `SearchRun.shared_weights`."""
        network = self.space.network
        shape = (16, network.image_channels, network.image_size, network.image_size)
        pixels = torch.randint(256, shape, generator=torch_generator(0, "toy images"))
        training = SupernetTraining(
            self.space,
            ImageSet("toy", pixels.to(torch.uint8)),
            TrainerSettings(n_critic=1, generator_batch_size=2, discriminator_batch_size=4),
            ledger=self.ledger,
            seed=self._seed,
            device=self.device,
        )
        return _ToySharedWeights(training, self.space, self.trace)

    @property
    def has_shared_weights(self) -> bool:
        """Whether a strategy has asked for the supernet."""
        return "shared_weights" in self.__dict__

    def rng(self, name: str) -> np.random.Generator:
        """See `SearchRun.rng`."""
        return self._streams[name]

    def state_dict(self) -> dict[str, Any]:
        """What the engine checkpoints beside the strategy."""
        shared = self.__dict__.get("shared_weights")
        return {
            "ledger": self.ledger.state_dict(),
            "streams": self._streams.state_dict(),
            "evaluator": self.evaluator.state_dict(),
            "pool": self.pool.state_dict(),
            "shared_weights": shared.training.state_dict() if shared is not None else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.ledger.load_state_dict(state["ledger"])
        self._streams.load_state_dict(state["streams"])
        self.evaluator.load_state_dict(state["evaluator"])
        self.pool.load_state_dict(state["pool"])
        if state["shared_weights"] is not None:
            shared = self.shared_weights
            assert isinstance(shared, _ToySharedWeights)
            shared.training.load_state_dict(state["shared_weights"])


def require_valid(space: SearchSpace, architecture: object, what: str) -> None:
    """Check that a strategy made a valid architecture.

    Raises:
        AssertionError: it is none; says what to do.
    """
    try:
        if not isinstance(architecture, Architecture):
            raise ArchitectureError("it is not a nasgan.contracts.Architecture")
        space.validate(architecture)
    except ArchitectureError as error:
        raise AssertionError(
            f"{what} {architecture!r}, which is no valid architecture: {error}; make them with "
            f"`run.space.architecture`, `sample`, `mutate` or `crossover`"
        ) from error
