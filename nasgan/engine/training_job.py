"""The training of one given architecture, from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts import Breakdown, Ledger, SearchSpace
from nasgan.engine.final_phase import GIVEN, FinalPhase, FullTraining
from nasgan.engine.loop import JobReport
from nasgan.evaluation import Run, TrainingPlan

__all__ = ["TrainingJob"]


class TrainingJob:
    """Trains one architecture exactly as the final phase of a search would.

    Args:
        run: in which it is trained.
        space: builds the networks.
        architecture: of that space.
        plan: length and scores.
    """

    def __init__(
        self,
        run: Run,
        space: SearchSpace,
        architecture: Architecture,
        plan: TrainingPlan,
    ) -> None:
        self.ledger = run.ledger
        self.breakdown: Breakdown | None = None  # of a supernet
        self.final_space = space
        self._scoring = FullTraining(run, space, plan)
        self.final = FinalPhase(self._scoring, [(GIVEN, architecture)])

    @property
    def phase(self) -> str:
        """A training is a final phase alone."""
        return Ledger.FINAL

    @property
    def finished(self) -> bool:
        """Whether the training is over."""
        return self.final.finished

    @property
    def result(self) -> Architecture | None:
        """The architecture, once it has scores."""
        best = self.final.best()
        return None if best is None else best.architecture

    def about(self) -> dict[str, Any]:
        """What a record holds of a training alone."""
        return {"strategy": "train"}

    def step(self) -> JobReport:
        """Advance the training."""
        return self.final.step()

    def state_dict(self) -> dict[str, Any]:
        """See `nasgan.engine.loop.Job`."""
        return {"ledger": self.ledger.state_dict(), "final": self.final.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `nasgan.engine.loop.Job`."""
        self.ledger.load_state_dict(state["ledger"])
        self.final = FinalPhase.from_state(state["final"], self._scoring)
