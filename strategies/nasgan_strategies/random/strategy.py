"""Random search in its two kinds (AutoGAN, section 4.3.5, after Li and Talwalkar 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from nasgan.architecture import Architecture
from nasgan.contracts import (
    AskTellStrategy,
    Constraints,
    Evaluation,
    Proposal,
    SearchRun,
    SizeConstraints,
    SupernetPaths,
)
from nasgan.errors import ConfigError
from nasgan_strategies.random.halving import HalvingSchedule

__all__ = ["RandomSearch"]


class RandomSearch(AskTellStrategy):
    """Draws architectures uniformly and keeps the best.

    With ``evaluator=shared`` a supernet is trained along uniformly drawn paths first, then the
    candidates are scored with its weights. With ``evaluator=scratch`` every candidate is trained
    on its own, and bad ones are stopped early by successive halving. An evaluator that does not
    train scores each candidate once.

    Args:
        num_candidates: architectures to score.
        supernet_steps: generator steps of the supernet's training; null: all that the budget has.
        halving_factor: with ``scratch``: share of survivors is 1 / this; null: no early stopping.
        min_steps: with ``scratch``: generator steps before the first selection.
        max_steps: with ``scratch``: generator steps of the candidates that survive to the end.
        brackets: without shared weights: how often this is done, with new candidates each time;
            null: until the budget is spent, or the space has no more.
        constraints: see `nasgan.contracts.SizeConstraints`.
        supernet_paths: see `AskTellStrategy`.

    Raises:
        ConfigError: a setting is out of range.
    """

    name: ClassVar[str] = "random"
    many_objectives: ClassVar[bool] = True

    def __init__(
        self,
        *,
        num_candidates: int = 32,
        supernet_steps: int | None = None,
        halving_factor: float | None = 3.0,
        min_steps: int = 100,
        max_steps: int = 900,
        brackets: int | None = 1,
        constraints: Constraints | None = None,
        supernet_paths: SupernetPaths = "uniform",
    ) -> None:
        if brackets is not None and brackets < 1:
            raise ConfigError(f"strategy.brackets must be at least 1, or null, got {brackets}")
        super().__init__(supernet_steps=supernet_steps, supernet_paths=supernet_paths)
        self._constraints = SizeConstraints(constraints)
        if halving_factor is None:
            min_steps, halving_factor = max_steps, 2.0
        self._schedule = HalvingSchedule(num_candidates, min_steps, max_steps, halving_factor)
        self._brackets = brackets
        self._bracket = 0  # of those that are over
        self._rung = 0
        self._queue: list[Architecture] | None = None
        self._asked = 0
        self._scored: list[Evaluation] = []

    def setup(self, run: SearchRun) -> None:
        """See `SearchStrategy.setup`.

        Raises:
            ConfigError: brackets without end, and no budget; or constraints that no architecture
                keeps.
        """
        super().setup(run)
        if self._brackets is None:
            run.ledger.budget.require_limit("strategy.brackets")
        self._constraints.setup(run.space, run.rng("constraints"))

    @property
    def _rungs(self) -> list[tuple[int, int | None]]:
        if not self.run.evaluator.trains:
            return [(self._schedule.candidates, None)]
        return list(self._schedule.rungs)

    @property
    def finished(self) -> bool:
        """Whether the last rung of the last bracket is over."""
        return self._rung >= len(self._rungs)

    @property
    def together(self) -> int:
        """The candidates of a rung are drawn without hearing of each other's scores."""
        return self._schedule.candidates

    def ask(self) -> Proposal | None:
        """The next candidate of the rung; None when all of them are under way."""
        if self._queue is None:
            self._queue = self._draw_candidates()
        if self._asked == len(self._queue):
            return None
        self._asked += 1
        return Proposal(self._queue[self._asked - 1], self._rungs[self._rung][1])

    def tell(self, evaluation: Evaluation) -> None:
        """Count the candidate; at the end of a rung, promote the best."""
        self._scored.append(evaluation)
        assert self._queue is not None
        if len(self._scored) < len(self._queue):
            return
        self._rung += 1
        if not self.finished:
            alive = [scored for scored in self._scored if scored.can_go_on]
            best = self.run.objective.best_first(alive)
            self._queue = [scored.architecture for scored in best[: self._rungs[self._rung][0]]]
            if not self._queue:
                self._rung = len(self._rungs)
        self._asked, self._scored = 0, []
        if self.finished:
            self._begin_bracket()

    def _begin_bracket(self) -> None:
        """Go on with new candidates, if there shall be more brackets and the space has more."""
        if self.run.evaluator.needs_shared_weights or self._bracket + 1 == self._brackets:
            return
        fresh = self._draw_candidates()
        if fresh:
            self._bracket, self._rung, self._queue = self._bracket + 1, 0, fresh

    def _draw_candidates(self) -> list[Architecture]:
        """Distinct random architectures, new ones, or all that a small space still has."""
        space, rng = self.run.space, self.run.rng("candidates")
        known = self.known
        wanted = min(self._schedule.candidates, space.size - len(known))
        drawn: dict[Architecture, None] = {}
        # After repair a space may hold fewer distinct architectures than its size says.
        for _ in range(100 * wanted):
            if len(drawn) == wanted:
                break
            architecture = space.sample(rng)
            if architecture not in known and self._constraints.allow(architecture):
                drawn[architecture] = None
        return list(drawn)

    def progress(self) -> float | None:
        """Share of the candidates' and the supernet's work, counted in generator steps."""
        if not self.run.evaluator.trains:
            scored = len(self.evaluations) / self._schedule.candidates
            if self.run.evaluator.needs_shared_weights:
                return 0.7 * self.supernet_progress + 0.3 * scored
            return None if self._brackets is None else min(1.0, scored / self._brackets)
        spent = self.run.ledger.spent("search").generator_steps
        if self._brackets is None:
            return None  # the budget's share is the progress
        return min(1.0, spent / (self._brackets * self._schedule.generator_steps))

    def progress_message(self) -> str:
        """See `AskTellStrategy.progress_message`."""
        once = self._brackets == 1 or self.run.evaluator.needs_shared_weights
        bracket = "" if once else f"bracket {self._bracket + 1}, "
        if not self.run.evaluator.trains:
            wanted = self._schedule.candidates
            return f"{bracket}candidate {len(self.evaluations) - self._bracket * wanted}/{wanted}"
        rungs = self._rungs
        rung = min(self._rung, len(rungs) - 1)
        return (
            f"{bracket}rung {rung + 1}/{len(rungs)} ({rungs[rung][1]} steps), "
            f"candidate {len(self._scored)}/{len(self._queue or ())}"
        )

    def proposer_state(self) -> dict[str, Any]:
        """See `AskTellStrategy.proposer_state`."""
        queue = self._queue
        return {
            "bracket": self._bracket,
            "rung": self._rung,
            "queue": None if queue is None else [a.to_json() for a in queue],
            "asked": self._asked,
            "scored": [evaluation.to_json() for evaluation in self._scored],
        }

    def load_proposer_state(self, state: Mapping[str, Any]) -> None:
        """See `AskTellStrategy.load_proposer_state`."""
        queue = state["queue"]
        self._bracket = state.get("bracket", 0)  # checkpoints of before have one bracket
        self._rung = state["rung"]
        self._asked = state["asked"]
        self._queue = (
            None
            if queue is None
            else [Architecture.from_json(a, source="checkpoint") for a in queue]
        )
        self._scored = [Evaluation.from_json(item) for item in state["scored"]]
