"""Evaluations in this process, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasgan.contracts import Evaluation, EvaluationPool, EvaluationTask, Evaluator, Proposal
from nasgan.errors import BudgetExhausted
from nasgan.state_files import plugin_state

__all__ = ["InProcessPool"]


class InProcessPool(EvaluationPool):
    """Scores in this process: a group in one piece where the evaluator can, or else one at a time.

    Args:
        evaluator: the run's.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._proposals: list[Proposal] = []
        self._task: EvaluationTask | None = None

    def room(self, together: int = 1) -> int:
        """See `EvaluationPool.room`."""
        return max(0, min(together, self._evaluator.together) - len(self._proposals))

    @property
    def under_way(self) -> int:
        """See `EvaluationPool.under_way`."""
        return len(self._proposals)

    def submit(self, proposal: Proposal) -> None:
        """See `EvaluationPool.submit`; whether the budget covers it, the evaluation will find."""
        if self._evaluator.together == 1 and not self._proposals:
            self._task = self._begin(proposal)
        self._proposals.append(proposal)

    def advance(self) -> list[Evaluation]:
        """See `EvaluationPool.advance`."""
        try:
            if self._evaluator.together > 1:
                scored = self._evaluator.score(self._proposals[: self._evaluator.together])
                del self._proposals[: len(scored)]
                return scored
            if self._task is None:
                self._task = self._begin(self._proposals[0])
            self._task.advance()
        except BudgetExhausted:
            # The search is over: networks half trained need no memory and no place in checkpoints.
            self.close()
            raise
        result = self._task.result
        if result is None:
            return []
        self._task = None
        del self._proposals[0]
        return [result]

    def close(self) -> None:
        """See `EvaluationPool.close`."""
        self._proposals.clear()
        self._task = None

    def state_dict(self) -> dict[str, Any]:
        """The proposals, and the evaluation that is half done."""
        return {
            "proposals": [proposal.to_json() for proposal in self._proposals],
            "task": None if self._task is None else plugin_state(self._task, "evaluation"),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `EvaluationPool.load_state_dict`; the evaluator's own state comes first.

        A run that had workers may be resumed without: it scores what they had begun one by one.
        """
        self.close()
        self._proposals = [Proposal.from_json(item) for item in state["proposals"]]
        if state.get("task") is not None:
            self._task = self._begin(self._proposals[0])
            self._task.load_state_dict(state["task"])

    def _begin(self, proposal: Proposal) -> EvaluationTask:
        return self._evaluator.begin(
            proposal.architecture, generator_steps=proposal.generator_steps, stage=proposal.stage
        )
