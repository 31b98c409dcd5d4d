"""The final phase of every search: retrain the best from scratch, and random ones beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nasgan.architecture import Architecture
from nasgan.contracts import Evaluation, Ledger, SearchSpace
from nasgan.engine.job import JobReport
from nasgan.errors import ConfigError, quoted
from nasgan.evaluation import Run, TrainingPlan, TrainingTask
from nasgan.runs.loggers import run_log

__all__ = ["FinalPhase", "FinalSettings"]

FINALIST = "finalist"
RANDOM = "random"
GIVEN = "given"


@dataclass(frozen=True)
class FinalSettings:
    """How the final phase trains.

    Attributes:
        top_k: number of finalists; 0: nothing is trained, random architectures neither, and the
            search's best is the result as it is.
        select: which of the architectures that the search scored are finalists: the ``best``, or
            ones drawn at ``random`` from all, for an unbiased proxy correlation.
        random_architectures: random architectures of the space trained in the same way: what a gain
            over the average random architecture has to be measured against.
        generator_steps: length of each training.
        eval_every: generator steps between scores; null: only at the end.
        keep: ``best`` or ``last``, see `TrainingPlan`.
        generator_channels: width of the final networks (the published ones are twice the search's).
        discriminator_channels: as above.
    """

    top_k: int
    random_architectures: int
    generator_steps: int
    generator_channels: int
    discriminator_channels: int
    eval_every: int | None = None
    keep: str = "best"
    select: Literal["best", "random"] = "best"

    def __post_init__(self) -> None:
        if self.select not in ("best", "random"):
            raise ConfigError(f"final.select must be best or random, got {quoted(self.select)}")
        if self.top_k < 0:
            raise ConfigError(
                f"final.top_k must be at least 0 (0: no final training), got {self.top_k}"
            )
        if self.random_architectures < 0:
            raise ConfigError(
                f"final.random_architectures must not be negative, got {self.random_architectures}"
            )
        self.plan()

    def plan(self) -> TrainingPlan:
        """The training of each architecture."""
        return TrainingPlan(
            generator_steps=self.generator_steps,
            eval_every=self.eval_every,
            keep=self.keep,
            phase=Ledger.FINAL,
            fidelity="final",
        )


class FinalPhase:
    """Trains a list of architectures one after the other and keeps the best finalist's networks.

    An architecture that is both finalist and random is trained once and counts as both.

    Args:
        run: in which they are trained.
        space: builds the final networks.
        plan: of each training.
        roles: ``(role, architecture)``, in order.
    """

    def __init__(
        self,
        run: Run,
        space: SearchSpace,
        plan: TrainingPlan,
        roles: list[tuple[str, Architecture]],
    ) -> None:
        self.roles = roles
        self.evaluations: dict[str, Evaluation] = {}
        self.networks: dict[str, Any] | None = None
        self.per_class: dict[str, list[float]] | None = None
        self._run = run
        self._space = space
        self._plan = plan
        self._queue = list(dict.fromkeys(architecture for _, architecture in roles))
        self._task: TrainingTask | None = None

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
        reward = self._run.final_objective.reward
        return max(chosen, key=lambda e: reward(e.score), default=None)

    def step(self) -> JobReport:
        """Advance the training under way; see `nasgan.engine.job.Job.step`."""
        number = len(self.evaluations)
        task = self._task = self._task or self._begin(self._queue[number])
        points = len(task.curve)
        task.advance()
        lines = [self._point_line(task, point) for point in task.curve[points:]]
        message = (
            f"training {number + 1}/{len(self._queue)} ({self._role(task.architecture)} "
            f"{task.architecture.id}), step {task.generator_steps}/{self._plan.generator_steps}"
        )
        share = task.generator_steps / self._plan.generator_steps
        if task.result is not None:
            lines.append(self._finish(task, task.result))
            share = 1.0
        return JobReport(Ledger.FINAL, message, (number + share) / len(self._queue), tuple(lines))

    def _begin(self, architecture: Architecture) -> TrainingTask:
        return TrainingTask(self._run, self._space, architecture, self._plan)

    def _finish(self, task: TrainingTask, evaluation: Evaluation) -> dict[str, Any]:
        self.evaluations[evaluation.architecture.id] = evaluation
        best = self.best()
        if best is not None and best.architecture == evaluation.architecture:
            self.networks = task.kept
            self.per_class = (task.kept_point or {}).get("per_class")
        self._task = None
        role = self._role(evaluation.architecture)
        end = evaluation.failure
        if evaluation.score is not None:
            end = f"{self._run.final_objective.metric} {evaluation.score:.4g}"
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

    def _point_line(self, task: TrainingTask, point: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "kind": "checkpoint",
            "phase": Ledger.FINAL,
            "architecture": task.architecture.id,
            **point,
            "spent": self._run.ledger.spent(Ledger.FINAL).to_json(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything but the run."""
        return {
            "roles": [[role, architecture.to_json()] for role, architecture in self.roles],
            "evaluations": {key: item.to_json() for key, item in self.evaluations.items()},
            "networks": self.networks,
            "per_class": self.per_class,
            "task": self._task.state_dict() if self._task is not None else None,
        }

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        run: Run,
        space: SearchSpace,
        plan: TrainingPlan,
    ) -> FinalPhase:
        """Continue from `state_dict`."""
        roles = [
            (role, Architecture.from_json(item, source="checkpoint"))
            for role, item in state["roles"]
        ]
        phase = cls(run, space, plan, roles)
        phase.evaluations = {
            key: Evaluation.from_json(item) for key, item in state["evaluations"].items()
        }
        phase.networks = state["networks"]
        phase.per_class = state["per_class"]
        if state["task"] is not None:
            phase._task = phase._begin(phase._queue[len(phase.evaluations)])
            phase._task.load_state_dict(state["task"])
        return phase
