"""Evaluations under way: one after the other, or several at once in workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from nasgan.contracts.evaluation import Evaluation, Proposal

__all__ = ["EvaluationPool"]


class EvaluationPool(ABC):
    """Where proposals are scored: in this process, or by workers (``executor=processes``).

    The engine owns and checkpoints it. It charges the run's ledger.

    Attributes:
        begins_again: whether a resumed run evaluates anew what had not arrived at its checkpoint.
    """

    begins_again: ClassVar[bool] = False

    @abstractmethod
    def room(self, together: int = 1) -> int:
        """How many proposals it takes now.

        Args:
            together: how many proposals the strategy makes without hearing of each other's scores;
                shared weights score so many in one piece. Workers are kept busy whatever it is.
        """

    @property
    @abstractmethod
    def under_way(self) -> int:
        """Proposals taken whose evaluation has not been given back."""

    @abstractmethod
    def submit(self, proposal: Proposal) -> None:
        """Take a proposal.

        Raises:
            BudgetExhausted: the budget does not cover it, beside those under way.
            ConfigError: the run's evaluator cannot score it.
        """

    @abstractmethod
    def advance(self) -> list[Evaluation]:
        """Work, or wait for the workers, for a moment; the evaluations that ended, as they arrived.

        Raises:
            BudgetExhausted: the budget ended; what was under way is dropped.
        """

    @property
    def note(self) -> str:
        """A few words for the progress line: how many are under way; empty without workers."""
        return ""

    def close(self) -> None:  # noqa: B027 - most pools hold nothing
        """Stop the workers, when the search has ended or fails; what is under way is dropped."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What is under way, as plain numbers, texts and tensors."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`; what workers had begun they begin again."""
