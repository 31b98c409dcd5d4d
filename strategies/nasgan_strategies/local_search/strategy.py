"""Local search (White, Nolen and Savani, UAI 2021): hill climbing with restarts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, get_args

from nasgan.architecture import Architecture
from nasgan.contracts import CandidateSearch, Constraints, Evaluation, Proposal, SupernetPaths
from nasgan.errors import ConfigError, quoted

__all__ = ["LocalSearch"]

Step = Literal["first", "best"]


class LocalSearch(CandidateSearch):
    """Climbs from the best of some random architectures to neighbours that are better.

    Neighbours differ in one decision. Where none is better, it begins again with new random
    architectures. What is under way when the climb goes on is heard, and may be the next step.

    Args:
        num_candidates: see `CandidateSearch`.
        num_initial: random architectures before each climb.
        step: to the ``first`` neighbour that is better, in random order, or to the ``best`` of all
            (algorithm 1 of the paper).
        constraints: see `CandidateSearch`.
        supernet_steps: see `AskTellStrategy`.
        supernet_paths: as there.

    Raises:
        ConfigError: a value is out of its range.
    """

    name: ClassVar[str] = "local_search"

    def __init__(
        self,
        *,
        num_candidates: int | None = 100,
        num_initial: int = 10,
        step: Step = "first",
        constraints: Constraints | None = None,
        supernet_steps: int | None = None,
        supernet_paths: SupernetPaths = "uniform",
    ) -> None:
        super().__init__(
            num_candidates=num_candidates,
            constraints=constraints,
            supernet_steps=supernet_steps,
            supernet_paths=supernet_paths,
        )
        if num_initial < 1:
            raise ConfigError(f"strategy.num_initial must be at least 1, got {num_initial}")
        self.begin_with("num_initial", num_initial, "climb")
        if step not in get_args(Step):
            raise ConfigError(f"strategy.step must be first or best, got {quoted(step)}")
        self._num_initial = num_initial
        self._takes_first = step == "first"
        self._initial = num_initial  # random ones still to ask for
        self._current: Evaluation | None = None  # where the climb stands
        self._best: Evaluation | None = None  # of this climb
        self._queue: list[Architecture] = []  # neighbours to ask for, the last comes next

    @property
    def label(self) -> str:
        """``local_search``; ``local_search_best`` with ``step=best``."""
        kind = "" if self._takes_first else "_best"
        return self.labelled(self.name + kind)

    @property
    def together(self) -> int:
        """Random ones are drawn without hearing of scores; so are all neighbours, if all count."""
        if self._takes_first and not self._initial:
            return 1
        return max(1, self._initial + len(self._queue) + self.pool.under_way)

    def ask(self) -> Proposal | None:
        """A random architecture, or the next neighbour; None while scores decide what is next."""
        if self.left < 1:
            return None
        self._go_on()
        if self._initial:
            self._initial -= 1
            return Proposal(self.draw())
        return Proposal(self._queue.pop()) if self._queue else None

    def _go_on(self) -> None:
        """Climb to the best so far if it is time, or begin anew at the top."""
        settled = not (self._initial or self._queue or self.pool.under_way)
        may_climb = settled or (self._takes_first and self._current is not None)
        if may_climb and self._best is not None and self._best != self._current:
            self._current, self._queue = self._best, self._neighbours(self._best.architecture)
            settled = not (self._queue or self.pool.under_way)
        if settled:
            self._current = self._best = None
            self._initial = self._num_initial

    def _neighbours(self, architecture: Architecture) -> list[Architecture]:
        known = self.known
        near = [each for each in self._told_apart(architecture) if each not in known]
        allowed = [each for each in near if self._constraints.allow(each)]
        order = self.run.rng("neighbours").permutation(len(allowed))
        return [allowed[i] for i in order]

    def _told_apart(self, architecture: Architecture) -> Iterator[Architecture]:
        """The neighbours that the scores tell from it: others score the same."""
        space = self.run.space
        visible = {"both", *self.sees}
        names = [decision.name for decision in space.decisions if decision.part in visible]
        for near in space.neighbours(architecture):
            if any(near[name] != architecture[name] for name in names):
                yield near

    def tell(self, evaluation: Evaluation) -> None:
        """Note what is best in this climb."""
        held = None if self._best is None else self._best.score
        if self.run.objective.better(evaluation.score, held):
            self._best = evaluation

    def proposer_state(self) -> dict[str, Any]:
        """See `AskTellStrategy.proposer_state`."""
        return {
            "initial": self._initial,
            "current": None if self._current is None else self._current.to_json(),
            "best": None if self._best is None else self._best.to_json(),
            "queue": [architecture.to_json() for architecture in self._queue],
        }

    def load_proposer_state(self, state: Mapping[str, Any]) -> None:
        """See `AskTellStrategy.load_proposer_state`."""
        self._initial = state["initial"]
        self._current, self._best = (
            None if state[name] is None else Evaluation.from_json(state[name])
            for name in ("current", "best")
        )
        self._queue = [Architecture.from_json(each, source="checkpoint") for each in state["queue"]]
