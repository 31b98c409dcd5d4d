"""The final phase of every search: retrain the best from scratch, and random ones beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts import (
    Cost,
    Evaluation,
    EvaluationTask,
    Evaluator,
    Ledger,
    Proposal,
    SearchSpace,
)
from nasgan.engine.loop import JobReport
from nasgan.engine.trainings import Trained, Trainings
from nasgan.evaluation import Run, TrainingPlan, TrainingTask
from nasgan.evaluation.arrival import begin_evaluation, check_scores, checked_evaluations
from nasgan.metrics.table import SIZES
from nasgan.run_settings import FinalSettings
from nasgan.runs.loggers import run_log
from nasgan.state_files import plugin_state

__all__ = ["FinalPhase", "FullTraining", "OtherScoring", "final_plan", "final_space"]

FINALIST = "finalist"
RANDOM = "random"
GIVEN = "given"

# A step comes back after so long at the latest, for progress and checkpoints.
_WAIT_SECONDS = 0.5


def final_plan(settings: FinalSettings) -> TrainingPlan:
    """The training of each architecture."""
    return TrainingPlan(
        generator_steps=settings.generator_steps,
        eval_every=settings.eval_every,
        keep=settings.keep,
        phase=Ledger.FINAL,
        fidelity="final",
    )


def final_space(settings: FinalSettings, space: SearchSpace) -> SearchSpace:
    """``space`` at the widths of the final phase."""
    return space.with_settings(
        generator_channels=settings.generator_channels,
        discriminator_channels=settings.discriminator_channels,
    )


class FullTraining:
    """Trains networks in full, as the final phase does unless another evaluator is named.

    Args:
        run: in which they are trained.
        space: builds the final networks.
        plan: of each training.
    """

    def __init__(self, run: Run, space: SearchSpace, plan: TrainingPlan) -> None:
        self.ledger = run.ledger
        self.objective = run.final_objective
        self.length = plan.generator_steps
        self._run = run
        self._space = space
        self._plan = plan

    def begin(self, architecture: Architecture) -> EvaluationTask:
        """Start to train ``architecture``."""
        return TrainingTask(self._run, self._space, architecture, self._plan)

    def advance(self, task: EvaluationTask) -> Evaluation | None:
        """Go on; the evaluation, when it is over."""
        task.advance()
        return task.results[0] if task.results else None

    def words(self, task: EvaluationTask) -> tuple[str, float]:
        """For the progress line: how far it has come, also as a share."""
        assert isinstance(task, TrainingTask)
        done = task.generator_steps
        return f", step {done}/{self.length}", done / self.length

    def state_dict(self) -> dict[str, Any]:
        """Nothing is kept between trainings."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""


class OtherScoring:
    """Scores the finalists by an evaluator, at the final widths, at the final phase's cost.

    Args:
        run: the search's.
        space: builds the final networks.
        evaluator: a new one; it is set up here.

    Raises:
        ConfigError: it cannot score there.
    """

    def __init__(self, run: Run, space: SearchSpace, evaluator: Evaluator) -> None:
        self.ledger = run.ledger
        self._run = run.beside(space, folder=run.folder / "final")
        if evaluator.objective is None:
            # The record says that its scores are of the run's protocol.
            self._run.harness = run.harness.held_to_protocol()
        self._run.score_with(evaluator)
        self.objective = self._run.objective

    def begin(self, architecture: Architecture) -> EvaluationTask:
        """Start to score ``architecture``."""
        self._proposal = Proposal(architecture)
        return begin_evaluation(self._run.evaluator, self._proposal)

    def advance(self, task: EvaluationTask) -> Evaluation | None:
        """Go on; the evaluation, when it is over."""
        try:
            task.advance()
        finally:
            # It charges what it knows as the search.
            self.ledger.charge(self._run.ledger.spent(), Ledger.FINAL)
            self._run.ledger.load_state_dict({})
        if task.results is None:
            return None
        evaluator = self._run.evaluator
        (made,) = checked_evaluations(task.results, evaluator, [self._proposal])
        # Sizes among the objectives are measured when the front is made.
        scored = tuple(other for other in self.objective.others if other.metric not in SIZES)
        check_scores(made, evaluator, replace(self.objective, others=scored))
        return made

    def words(self, task: EvaluationTask) -> tuple[str, float]:
        """For the progress line: who scores."""
        del task
        return f", by {self._run.evaluator.fidelity}", 0.0

    def state_dict(self) -> dict[str, Any]:
        """That of the evaluator, and where its random streams stand."""
        return {
            "evaluator": plugin_state(self._run.evaluator, "evaluator"),
            "streams": self._run.streams.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._run.evaluator.load_state_dict(state["evaluator"])
        self._run.streams.load_state_dict(state["streams"])


class FinalPhase:
    """Scores a list of architectures one after the other and keeps the best finalist's networks.

    An architecture that is both finalist and random is scored once and counts as both.

    Args:
        scoring: by a full training, or by another evaluator.
        roles: ``(role, architecture)``, in order.
        trainings: full trainings that are done by other processes, or were; what they bring is told
            in the order of ``roles`` all the same, as if they had been done here.
    """

    def __init__(
        self,
        scoring: FullTraining | OtherScoring,
        roles: list[tuple[str, Architecture]],
        trainings: Trainings | None = None,
    ) -> None:
        self.roles = roles
        self.evaluations: dict[str, Evaluation] = {}
        self.networks: dict[str, Any] | None = None
        self.per_class: dict[str, list[float]] | None = None
        self.objective = scoring.objective
        self._scoring = scoring
        self._queue = list(dict.fromkeys(architecture for _, architecture in roles))
        self._task: EvaluationTask | None = None
        self._trainings = trainings

    @property
    def finished(self) -> bool:
        """Whether all are trained."""
        return len(self.evaluations) == len(self._queue)

    def results(self, role: str) -> list[Evaluation]:
        """The evaluations made so far of the architectures of ``role``, in order."""
        return [
            self.evaluations[architecture.id]
            for held, architecture in self.roles
            if held == role and architecture.id in self.evaluations
        ]

    def best(self) -> Evaluation | None:
        """The best architecture that is not there for comparison; None if all failed.

        One whose training broke down counts by its best moment before.
        """
        chosen = [e for e in self.results(FINALIST) + self.results(GIVEN) if e.score is not None]
        reward = self.objective.reward
        return max(chosen, key=lambda e: reward(e.score), default=None)

    def step(self) -> JobReport:
        """Advance the training under way; see `nasgan.engine.loop.Job.step`."""
        number = len(self.evaluations)
        architecture = self._queue[number]
        trainings = self._trainings
        if trainings is not None and trainings.trains:
            self._begin_elsewhere(trainings)
            if self._task is None:
                return self._step_elsewhere(trainings, number)
            # One that was begun here, by a run without workers, ends here, the others beside it.
            trainings.go_on_beside_the_search()
        elif trainings is not None and self._task is None:
            found = trainings.find(architecture, shared=self._is_shared(architecture))
            if found is not None:
                lines = list(self._take(architecture, found))
                message = f"{number + 1}/{len(self._queue)} trainings over"
                return JobReport(Ledger.FINAL, message, (number + 1) / len(self._queue), (*lines,))
        lines = []
        if self._task is None:
            self._task = self._scoring.begin(architecture)
            lines += self._take_half_done(self._task, architecture)
        task = self._task
        known = len(_curve(task))
        made = self._scoring.advance(task)
        spent = self._scoring.ledger.spent(Ledger.FINAL)
        lines += [self._point_line(architecture, point, spent) for point in _curve(task)[known:]]
        words, share = self._scoring.words(task)
        message = (
            f"training {number + 1}/{len(self._queue)} ({self._role(architecture)} "
            f"{architecture.id}){words}"
        )
        if made is not None:
            if self._is_best_with(made):
                trained = task if isinstance(task, TrainingTask) else None
                self.networks = None if trained is None else trained.kept
                point = None if trained is None else trained.kept_point
                self.per_class = (point or {}).get("per_class")
            self._task = None
            lines.append(self._told(made))
            share = 1.0
        return JobReport(Ledger.FINAL, message, (number + share) / len(self._queue), tuple(lines))

    def _take_half_done(
        self, task: EvaluationTask, architecture: Architecture
    ) -> Iterator[dict[str, Any]]:
        """The lines of what another process has done of a training, which then goes on here."""
        trainings, shared = self._trainings, self._is_shared(architecture)
        found = None if trainings is None else trainings.half_done(architecture, shared=shared)
        if found is None:
            return
        assert isinstance(task, TrainingTask)
        state, costs = found
        task.load_state_dict(state)
        yield from self._point_lines(architecture, task.curve, costs)
        self._scoring.ledger.charge(task.cost, Ledger.FINAL)

    def _begin_elsewhere(self, trainings: Trainings) -> None:
        """Have trained whatever is left, but for what is under way here."""
        first = len(self.evaluations) + (self._task is not None)
        for each in self._queue[first:]:
            trainings.begin(each, shared=self._is_shared(each))

    def _step_elsewhere(self, trainings: Trainings, number: int) -> JobReport:
        """See `step`; the next in the order, and how far the others have come."""
        architecture = self._queue[number]
        trained = trainings.result(architecture, _WAIT_SECONDS)
        lines = () if trained is None else tuple(self._take(architecture, trained))
        assert isinstance(self._scoring, FullTraining)
        length = self._scoring.length
        steps = [
            length if each.id in self.evaluations else trainings.steps(each) for each in self._queue
        ]
        done = sum(known or 0 for known in steps)
        return JobReport(Ledger.FINAL, _how_far(steps, length), done / (length * len(steps)), lines)

    def _is_shared(self, architecture: Architecture) -> bool:
        """Whether other runs of a sweep ask for it, too."""
        return (RANDOM, architecture) in self.roles

    def _take(self, architecture: Architecture, trained: Trained) -> Iterator[dict[str, Any]]:
        """The lines of a training that was done elsewhere; it is charged and kept."""
        yield from self._point_lines(architecture, trained.curve, trained.costs)
        self._scoring.ledger.charge(trained.evaluation.cost, Ledger.FINAL)
        if self._is_best_with(trained.evaluation):
            self.networks = trained.networks()
            point = {} if trained.kept is None else trained.curve[trained.kept]
            self.per_class = point.get("per_class")
        yield self._told(trained.evaluation)

    def _is_best_with(self, evaluation: Evaluation) -> bool:
        """Take ``evaluation`` into the books; whether it is of the best architecture now."""
        self.evaluations[evaluation.architecture.id] = evaluation
        best = self.best()
        return best is not None and best.architecture == evaluation.architecture

    def _told(self, evaluation: Evaluation) -> dict[str, Any]:
        """The line of a training that is over."""
        role = self._role(evaluation.architecture)
        end = evaluation.failure
        if evaluation.score is not None:
            end = f"{self.objective.metric} {evaluation.score:.4g}"
            if evaluation.breakdown is not None:
                end += f", the best before its {evaluation.breakdown}"
        run_log.info("training of %s %s over: %s", role, evaluation.architecture.id, end)
        return {
            "kind": "evaluation",
            "phase": Ledger.FINAL,
            "role": role,
            **evaluation.to_json(),
        }

    def _role(self, architecture: Architecture) -> str:
        return next(role for role, held in self.roles if held == architecture)

    def _point_lines(
        self, architecture: Architecture, curve: Sequence[Mapping[str, Any]], costs: Sequence[Cost]
    ) -> Iterator[dict[str, Any]]:
        """Of a training that was done elsewhere, before it is charged."""
        before = self._scoring.ledger.spent(Ledger.FINAL)
        for point, cost in zip(curve, costs, strict=True):
            yield self._point_line(architecture, point, before + cost)

    def _point_line(
        self, architecture: Architecture, point: Mapping[str, Any], spent: Cost
    ) -> dict[str, Any]:
        return {
            "kind": "checkpoint",
            "phase": Ledger.FINAL,
            "architecture": architecture.id,
            **point,
            "spent": spent.to_json(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything but the run."""
        return {
            "roles": [[role, architecture.to_json()] for role, architecture in self.roles],
            "evaluations": {key: item.to_json() for key, item in self.evaluations.items()},
            "networks": self.networks,
            "per_class": self.per_class,
            "task": None if self._task is None else plugin_state(self._task, "evaluation"),
            "scoring": self._scoring.state_dict(),
        }

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        scoring: FullTraining | OtherScoring,
        trainings: Trainings | None = None,
    ) -> FinalPhase:
        """Continue from `state_dict`."""
        roles = [
            (role, Architecture.from_json(item, source="checkpoint"))
            for role, item in state["roles"]
        ]
        phase = cls(scoring, roles, trainings)
        phase.evaluations = {
            key: Evaluation.from_json(item) for key, item in state["evaluations"].items()
        }
        phase.networks = state["networks"]
        phase.per_class = state["per_class"]
        scoring.load_state_dict(state.get("scoring", {}))
        if state["task"] is not None:
            phase._task = scoring.begin(phase._queue[len(phase.evaluations)])
            phase._task.load_state_dict(state["task"])
        return phase


def _curve(task: EvaluationTask) -> list[dict[str, Any]]:
    return task.curve if isinstance(task, TrainingTask) else []


def _how_far(steps: Sequence[int | None], length: int) -> str:
    """For the progress line: of all trainings, by their steps; None: not begun."""
    over = steps.count(length)
    running = sorted(known for known in steps if known is not None and known < length)
    words = [f"{over}/{len(steps)} trainings over"]
    if running:
        at = " to ".join(str(step) for step in dict.fromkeys((running[0], running[-1])))
        words.append(f"{len(running)} under way, at step {at} of {length}")
    if waiting := steps.count(None):
        words.append(f"{waiting} waiting")
    return ", ".join(words)
