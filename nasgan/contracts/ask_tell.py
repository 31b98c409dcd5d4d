"""Base of strategies that only propose architectures and hear their scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts.evaluation import Evaluation, Proposal
from nasgan.contracts.strategy import SearchStrategy, StepReport
from nasgan.errors import BudgetExhausted, ConfigError

__all__ = ["AskTellStrategy"]


class AskTellStrategy(SearchStrategy):
    """A strategy that proposes (`ask`) and hears (`tell`); evaluation and archive are given.

    A subclass defines `ask` and ``finished``, and may define `tell`. Its own state goes through
    `proposer_state` and `load_proposer_state`.

    With workers (``executor=processes``) several proposals are under way at once and `tell` hears
    them in the order in which they end, which need not be the order of `ask`.
    """

    def __init__(self) -> None:
        self.evaluations: list[Evaluation] = []
        self._spent: BudgetExhausted | None = None

    @property
    def together(self) -> int:
        """How many proposals are made without hearing of each other's scores; see `room`."""
        return 1

    @abstractmethod
    def ask(self) -> Proposal | None:
        """The next architecture to score; drawn from ``self.run.rng(...)`` streams only.

        None to wait for the scores of those under way; not allowed while none is.
        """

    def tell(self, evaluation: Evaluation) -> None:
        """Hear a score. The evaluation is already in ``self.evaluations``."""

    def proposer_state(self) -> dict[str, Any]:
        """The subclass's own state, for the checkpoint."""
        return {}

    def load_proposer_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `proposer_state`."""

    def step(self) -> StepReport:
        """Start evaluations where there is room, and advance those under way."""
        pool = self.run.pool
        self._submit()
        if self._spent is not None and pool.under_way == 0:
            raise self._spent
        arrived = pool.advance()
        for evaluation in arrived:
            self.evaluations.append(evaluation)
            self.tell(evaluation)
        return StepReport(self.progress_message(), self.progress(), tuple(arrived))

    def _submit(self) -> None:
        pool = self.run.pool
        while self._spent is None and pool.room(self.together) > 0:
            proposal = self.ask()
            if proposal is None:
                if pool.under_way == 0:
                    raise ConfigError(
                        f"strategy {self.name!r}: `ask` gave nothing although no evaluation is "
                        "under way and the strategy is not finished"
                    )
                return
            try:
                pool.submit(proposal)
            except BudgetExhausted as end:
                # Those under way are paid for: their scores are still worth hearing.
                self._spent = end

    def progress(self) -> float | None:
        """Fraction of the search that is done, if it can be told."""
        return None

    def progress_message(self) -> str:
        """A few words for the progress line."""
        return f"{len(self.evaluations)} architectures evaluated"

    def ranking(self) -> list[Evaluation]:
        """One evaluation per architecture (its longest-trained), best first; failed ones last.

        Longer-trained evaluations come before shorter-trained ones, and those of an earlier stage
        do not count: their scores do not compare. Ties keep the order of evaluation.
        """
        latest: dict[Architecture, Evaluation] = {}
        for evaluation in self.evaluations:
            if evaluation.stage is not None:
                continue
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
        """See `SearchStrategy.state_dict`; what is under way is the run's to keep."""
        spent = self._spent
        return {
            "evaluations": [evaluation.to_json() for evaluation in self.evaluations],
            "spent": None if spent is None else [spent.unit, spent.limit],
            "proposer": self.proposer_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `SearchStrategy.load_state_dict`."""
        self.evaluations = [Evaluation.from_json(item) for item in state["evaluations"]]
        self._spent = None if state["spent"] is None else BudgetExhausted(*state["spent"])
        self.load_proposer_state(state["proposer"])
