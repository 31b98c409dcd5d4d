"""Evaluations in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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

__all__ = ["InProcessPool", "candidates_in"]


def candidates_in(state: Mapping[str, Any]) -> Iterator[tuple[Proposal, int, Cost]]:
    """The candidates under way in a pool's state, with their numbers and what was charged of them.

    States of before have no numbers, and charged nothing but for the first in one process.
    """
    proposals = state["proposals"]
    numbers = state.get("numbers", range(1, len(proposals) + 1))
    paid = state.get("paid", [Cost().to_json()] * len(proposals))
    for proposal, number, cost in zip(proposals, numbers, paid, strict=True):
        yield Proposal.from_json(proposal), number, Cost.from_json(cost)


@dataclass(eq=False)
class _Candidate:
    """A proposal, its number in the order of all, and what of it the ledger has been charged."""

    proposal: Proposal
    number: int
    paid: Cost = field(default_factory=Cost)


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
        self._candidates: list[_Candidate] = []
        self._task: EvaluationTask | None = None

    def room(self, together: int = 1) -> int:
        """See `EvaluationPool.room`."""
        return max(0, min(together, self._evaluator.together) - len(self._candidates))

    @property
    def under_way(self) -> int:
        """See `EvaluationPool.under_way`."""
        return len(self._candidates) + len(self._untold)

    def submit(self, proposal: Proposal) -> None:
        """See `EvaluationPool.submit`; whether the budget covers it, the evaluation will find."""
        candidate = _Candidate(proposal, self._proposed + 1)
        if self._evaluator.together == 1 and not self._candidates:
            self._task = self._begun(candidate)
        self._candidates.append(candidate)
        self._proposed = candidate.number

    def advance(self) -> list[Evaluation]:
        """See `EvaluationPool.advance`."""
        if self._untold:
            told, self._untold = self._untold, []
            return told
        try:
            if self._task is None:
                self._task = self._begun(*self._group)
            before = self._ledger.spent()
            self._task.advance()
            self._group[0].paid += self._ledger.spent() - before
        except BudgetExhausted:
            # The search is over: networks half trained need no memory and no place in checkpoints.
            self.close()
            raise
        made = self._task.results
        if made is None:
            return []
        proposals = [candidate.proposal for candidate in self._group]
        arrived = checked_evaluations(made, self._evaluator, proposals)
        self._task = None
        del self._candidates[: len(arrived)]
        self._arrived += len(arrived)
        if self._ledger.spent(Ledger.SEARCH).architectures < self._arrived:
            raise PluginError(
                f"evaluator {plugin_name(self._evaluator)}: an evaluation was not charged, so that "
                "no budget would end the search: call `self.run.ledger.charge(cost)` with its "
                "Evaluation.cost"
            )
        return arrived

    def _begun(self, *group: _Candidate) -> EvaluationTask:
        """The evaluation of a group, from where a worker left it."""
        task = begin_evaluation(self._evaluator, *(candidate.proposal for candidate in group))
        if self._half_done is not None and len(group) == 1:
            (candidate,) = group
            state, spent = self._half_done(candidate.number, candidate.proposal) or (None, Cost())
            if state is not None:
                task.load_state_dict(state)
            self._ledger.charge(spent - candidate.paid)
            candidate.paid = spent
        return task

    @property
    def _group(self) -> list[_Candidate]:
        """Those that are scored now."""
        return self._candidates[: self._evaluator.together]

    def close(self) -> None:
        """See `EvaluationPool.close`."""
        self._candidates.clear()
        self._task = None

    def state_dict(self) -> dict[str, Any]:
        """The proposals, and the evaluation that is half done."""
        return {
            "arrived": self._arrived,
            "untold": [evaluation.to_json() for evaluation in self._untold],
            "proposals": [candidate.proposal.to_json() for candidate in self._candidates],
            "numbers": [candidate.number for candidate in self._candidates],
            "paid": [candidate.paid.to_json() for candidate in self._candidates],
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
        self._candidates = [_Candidate(*each) for each in candidates_in(state)]
        self._proposed = state.get("proposed", len(self._candidates))
        if state.get("task") is not None:
            group = (candidate.proposal for candidate in self._group)
            self._task = begin_evaluation(self._evaluator, *group)
            self._task.load_state_dict(state["task"])
