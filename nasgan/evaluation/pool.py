"""Evaluations in this process, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasgan.contracts import (
    Evaluation,
    EvaluationPool,
    EvaluationTask,
    Evaluator,
    Ledger,
    Proposal,
)
from nasgan.errors import BudgetExhausted, PluginError, plugin_name
from nasgan.evaluation.arrival import begin_evaluation, checked_evaluations
from nasgan.state_files import plugin_state

__all__ = ["InProcessPool"]


class InProcessPool(EvaluationPool):
    """Scores in this process: a group in one piece where the evaluator can, or else one at a time.

    Args:
        evaluator: the run's.
        ledger: that it charges.
    """

    def __init__(self, evaluator: Evaluator, ledger: Ledger) -> None:
        self._evaluator = evaluator
        self._ledger = ledger
        self._arrived = 0
        self._untold: list[Evaluation] = []
        self._proposals: list[Proposal] = []
        self._task: EvaluationTask | None = None

    def room(self, together: int = 1) -> int:
        """See `EvaluationPool.room`."""
        return max(0, min(together, self._evaluator.together) - len(self._proposals))

    @property
    def under_way(self) -> int:
        """See `EvaluationPool.under_way`."""
        return len(self._proposals) + len(self._untold)

    def submit(self, proposal: Proposal) -> None:
        """See `EvaluationPool.submit`; whether the budget covers it, the evaluation will find."""
        if self._evaluator.together == 1 and not self._proposals:
            self._task = begin_evaluation(self._evaluator, proposal)
        self._proposals.append(proposal)

    def advance(self) -> list[Evaluation]:
        """See `EvaluationPool.advance`."""
        if self._untold:
            told, self._untold = self._untold, []
            return told
        try:
            if self._task is None:
                self._task = begin_evaluation(self._evaluator, *self._group)
            self._task.advance()
        except BudgetExhausted:
            # The search is over: networks half trained need no memory and no place in checkpoints.
            self.close()
            raise
        made = self._task.results
        if made is None:
            return []
        arrived = checked_evaluations(made, self._evaluator, self._group)
        self._task = None
        del self._proposals[: len(arrived)]
        self._arrived += len(arrived)
        if self._ledger.spent(Ledger.SEARCH).architectures < self._arrived:
            raise PluginError(
                f"evaluator {plugin_name(self._evaluator)}: an evaluation was not charged, so that "
                "no budget would end the search: call `self.run.ledger.charge(cost)` with its "
                "Evaluation.cost"
            )
        return arrived

    @property
    def _group(self) -> list[Proposal]:
        """The proposals that are scored now."""
        return self._proposals[: self._evaluator.together]

    def close(self) -> None:
        """See `EvaluationPool.close`."""
        self._proposals.clear()
        self._task = None

    def state_dict(self) -> dict[str, Any]:
        """The proposals, and the evaluation that is half done."""
        return {
            "arrived": self._arrived,
            "untold": [evaluation.to_json() for evaluation in self._untold],
            "proposals": [proposal.to_json() for proposal in self._proposals],
            "task": None if self._task is None else plugin_state(self._task, "evaluation"),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `EvaluationPool.load_state_dict`; the evaluator's own state comes first.

        A run that had workers may be resumed without: it scores what they had begun one by one.
        """
        self.close()
        # Of a run that had workers it is not known, and what they made is charged by the pool.
        self._arrived = state.get("arrived", 0)
        self._untold = [Evaluation.from_json(item) for item in state.get("untold", ())]
        self._proposals = [Proposal.from_json(item) for item in state["proposals"]]
        if state.get("task") is not None:
            self._task = begin_evaluation(self._evaluator, *self._group)
            self._task.load_state_dict(state["task"])
