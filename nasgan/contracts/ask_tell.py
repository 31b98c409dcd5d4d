"""Base of strategies that only propose architectures and hear their scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts.evaluation import Evaluation, EvaluationTask
from nasgan.contracts.strategy import SearchStrategy, StepReport
from nasgan.errors import BudgetExhausted

__all__ = ["AskTellStrategy", "Proposal"]


@dataclass(frozen=True)
class Proposal:
    """An architecture to score next.

    Attributes:
        architecture: of the run's space.
        generator_steps: length of the training behind the score; None: the evaluator's setting.
    """

    architecture: Architecture
    generator_steps: int | None = None


class AskTellStrategy(SearchStrategy):
    """A strategy that proposes (`ask`) and hears (`tell`); evaluation and archive are given.

    A subclass defines `ask` and ``finished``, and may define `tell`. Its own state goes through
    `proposer_state` and `load_proposer_state`.
    """

    def __init__(self) -> None:
        self.evaluations: list[Evaluation] = []
        self._proposal: Proposal | None = None
        self._task: EvaluationTask | None = None

    @abstractmethod
    def ask(self) -> Proposal:
        """The next architecture to score; drawn from ``self.run.rng(...)`` streams only."""

    def tell(self, evaluation: Evaluation) -> None:
        """Hear a score. The evaluation is already in ``self.evaluations``."""

    def proposer_state(self) -> dict[str, Any]:
        """The subclass's own state, for the checkpoint."""
        return {}

    def load_proposer_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `proposer_state`."""

    def step(self) -> StepReport:
        """Advance the evaluation under way, or start the next one."""
        if self._task is None or self._proposal is None:
            self._proposal = self.ask()
            self._task = self._begin(self._proposal)
        try:
            self._task.advance()
        except BudgetExhausted:
            # The search is over: networks half trained need no memory and no place in checkpoints.
            self._task = self._proposal = None
            raise
        evaluation = self._task.result
        if evaluation is None:
            return StepReport(self.progress_message(), self.progress())
        self._task = self._proposal = None
        self.evaluations.append(evaluation)
        self.tell(evaluation)
        return StepReport(self.progress_message(), self.progress(), (evaluation,))

    def progress(self) -> float | None:
        """Fraction of the search that is done, if it can be told."""
        return None

    def progress_message(self) -> str:
        """A few words for the progress line."""
        return f"{len(self.evaluations)} architectures evaluated"

    def ranking(self) -> list[Evaluation]:
        """One evaluation per architecture (its longest-trained), best first; failed ones last.

        Longer-trained evaluations come before shorter-trained ones: their scores do not compare.
        Ties keep the order of evaluation.
        """
        latest: dict[Architecture, Evaluation] = {}
        for evaluation in self.evaluations:
            held = latest.get(evaluation.architecture)
            if held is None or evaluation.generator_steps >= held.generator_steps:
                latest[evaluation.architecture] = evaluation
        reward = self.run.objective.reward
        return sorted(
            latest.values(),
            key=lambda e: (e.score is None, -e.generator_steps, -reward(e.score)),
        )

    def finalists(self, count: int) -> list[Architecture]:
        """The best ``count`` distinct architectures that did not fail."""
        scored = [evaluation for evaluation in self.ranking() if evaluation.score is not None]
        return [evaluation.architecture for evaluation in scored[:count]]

    def incumbent(self) -> Architecture | None:
        """The best architecture evaluated so far."""
        return next(iter(self.finalists(1)), None)

    def state_dict(self) -> dict[str, Any]:
        """See `SearchStrategy.state_dict`."""
        under_way = None
        if self._task is not None and self._proposal is not None:
            under_way = {
                "architecture": self._proposal.architecture.to_json(),
                "generator_steps": self._proposal.generator_steps,
                "task": self._task.state_dict(),
            }
        return {
            "evaluations": [evaluation.to_json() for evaluation in self.evaluations],
            "under_way": under_way,
            "proposer": self.proposer_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `SearchStrategy.load_state_dict`."""
        self.evaluations = [Evaluation.from_json(item) for item in state["evaluations"]]
        self.load_proposer_state(state["proposer"])
        self._proposal = self._task = None
        under_way = state["under_way"]
        if under_way is not None:
            architecture = Architecture.from_json(under_way["architecture"], source="checkpoint")
            self._proposal = Proposal(architecture, under_way["generator_steps"])
            self._task = self._begin(self._proposal)
            self._task.load_state_dict(under_way["task"])

    def _begin(self, proposal: Proposal) -> EvaluationTask:
        return self.run.evaluator.begin(
            proposal.architecture, generator_steps=proposal.generator_steps
        )
