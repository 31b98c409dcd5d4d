"""Evaluations in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nasgan.contracts import (
    Cost,
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
        half_done: called with the number of a candidate, in the order of proposals, and its
            proposal; gives the state of its task that a worker has left, and what that has cost.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        ledger: Ledger,
        half_done: Callable[[int, Proposal], tuple[Any, Cost] | None] | None = None,
    ) -> None:
        self._evaluator = evaluator
        self._ledger = ledger
        self._half_done = half_done
        self._proposed = 0
        self._arrived = 0
        self._untold: list[Evaluation] = []
        self._proposals: list[Proposal] = []
        self._numbers: list[int] = []  # theirs, in the order in which the search has proposed
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
        number = self._proposed + 1
        if self._evaluator.together == 1 and not self._proposals:
            self._task = self._begun(number, proposal)
        self._proposals.append(proposal)
        self._numbers.append(number)
        self._proposed = number

    def advance(self) -> list[Evaluation]:
        """See `EvaluationPool.advance`."""
        if self._untold:
            told, self._untold = self._untold, []
            return told
        try:
            if self._task is None:
                self._task = self._begun(self._numbers[0], *self._group)
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
        del self._proposals[: len(arrived)], self._numbers[: len(arrived)]
        self._arrived += len(arrived)
        if self._ledger.spent(Ledger.SEARCH).architectures < self._arrived:
            raise PluginError(
                f"evaluator {plugin_name(self._evaluator)}: an evaluation was not charged, so that "
                "no budget would end the search: call `self.run.ledger.charge(cost)` with its "
                "Evaluation.cost"
            )
        return arrived

    def _begun(self, number: int, *group: Proposal) -> EvaluationTask:
        """The evaluation of a group whose first has this number, from where a worker left it."""
        task = begin_evaluation(self._evaluator, *group)
        if self._half_done is not None and len(group) == 1:
            found = self._half_done(number, *group)
            if found is not None:
                state, spent = found
                task.load_state_dict(state)
                self._ledger.charge(spent)
        return task

    @property
    def _group(self) -> list[Proposal]:
        """The proposals that are scored now."""
        return self._proposals[: self._evaluator.together]

    def close(self) -> None:
        """See `EvaluationPool.close`."""
        self._proposals.clear()
        self._numbers.clear()
        self._task = None

    def state_dict(self) -> dict[str, Any]:
        """The proposals, and the evaluation that is half done."""
        return {
            "arrived": self._arrived,
            "untold": [evaluation.to_json() for evaluation in self._untold],
            "proposals": [proposal.to_json() for proposal in self._proposals],
            "numbers": list(self._numbers),
            "proposed": self._proposed,
            "task": None if self._task is None else plugin_state(self._task, "evaluation"),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `EvaluationPool.load_state_dict`; the evaluator's own state comes first.

        A run that had workers may be resumed without: it goes on with what they had begun, one by
        one.
        """
        self.close()
        # Of a run that had workers it is not known, and what they made is charged by the pool.
        self._arrived = state.get("arrived", 0)
        self._untold = [Evaluation.from_json(item) for item in state.get("untold", ())]
        self._proposals = [Proposal.from_json(item) for item in state["proposals"]]
        self._numbers = list(state.get("numbers", range(1, len(self._proposals) + 1)))
        self._proposed = state.get("proposed", len(self._proposals))
        if state.get("task") is not None:
            self._task = begin_evaluation(self._evaluator, *self._group)
            self._task.load_state_dict(state["task"])
