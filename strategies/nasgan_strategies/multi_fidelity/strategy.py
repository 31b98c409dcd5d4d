"""Successive halving, ASHA and hyperband: many short trainings, few long ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from nasgan.architecture import Architecture
from nasgan.contracts import (
    CandidateSearch,
    Constraints,
    Evaluation,
    Proposal,
    SearchRun,
    rung_lengths,
)
from nasgan.errors import ConfigError, quoted
from nasgan_strategies.multi_fidelity.bracket import Bracket, hyperband_sizes

__all__ = ["MultiFidelity"]

Method = Literal["successive_halving", "asha", "hyperband"]
# Where somebody goes on or begins, who, and in which rung.
_Step: TypeAlias = tuple[Bracket, Architecture, int]


class MultiFidelity(CandidateSearch):
    """Trains random architectures shortly, and the best of them on and on.

    The trainings of a rung are ``factor`` times as long as those of the rung below, and whoever
    goes on continues its own training, so that a rung costs the difference. Where workers would
    wait for the end of a rung, the next bracket begins.

    Args:
        method: ``successive_halving`` (Jamieson and Talwalkar 2016) waits for all of a rung, then
            the best 1 / ``factor`` go on; ``asha`` (Li et al. 2020) lets a candidate go on as soon
            as it is among these of what is known; ``hyperband`` (Li et al. 2018) goes through
            brackets of successive halving that begin with longer and longer trainings.
        num_candidates: architectures to begin with; None: until the budget is spent.
        bracket: of them in a bracket of ``successive_halving``.
        min_steps: least generator steps of a first rung.
        max_steps: generator steps of the last rung.
        factor: above.
        constraints: see `CandidateSearch`.

    Raises:
        ConfigError: a value is out of its range.
    """

    name: ClassVar[str] = "multi_fidelity"
    many_objectives: ClassVar[bool] = True

    def __init__(
        self,
        *,
        method: Method = "successive_halving",
        num_candidates: int | None = 27,
        bracket: int = 27,
        min_steps: int = 100,
        max_steps: int = 900,
        factor: float = 3.0,
        constraints: Constraints | None = None,
    ) -> None:
        super().__init__(num_candidates=num_candidates, constraints=constraints)
        if method not in get_args(Method):
            names = " or ".join(get_args(Method))
            raise ConfigError(f"strategy.method must be {names}, got {quoted(method)}")
        if bracket < 1:
            raise ConfigError(f"strategy.bracket must be at least 1, got {bracket}")
        self._method = method
        self._bracket = bracket
        self._factor = factor
        self._lengths = rung_lengths(min_steps, max_steps, factor)
        self._brackets: list[Bracket] = []
        self._ended = False  # no new candidates are begun

    def setup(self, run: SearchRun) -> None:
        """See `SearchStrategy.setup`.

        Raises:
            ConfigError: the evaluator trains nothing; or as `CandidateSearch.setup`.
        """
        super().setup(run)
        if not run.evaluator.trains:
            raise ConfigError(
                f"strategy.method={self._method} chooses how long candidates are trained, and "
                f"evaluator={run.evaluator.fidelity} trains none: take evaluator=scratch or "
                "evaluator=table"
            )

    @property
    def label(self) -> str:
        """The method's name, and how it scores."""
        return self.labelled(self._method)

    @property
    def finished(self) -> bool:
        """Whether nobody begins any more, goes on, or is under way."""
        return self._ended and self.pool.under_way == 0 and self._promotion() is None

    @property
    def together(self) -> int:
        """The candidates of a first rung are drawn without hearing of scores."""
        return self._bracket

    def ask(self) -> Proposal | None:
        """Who goes on, or a new candidate; None while scores decide that."""
        found = self._promotion() or self._new()
        if found is None:
            return None
        bracket, architecture, rung = found
        bracket.begun[rung].append(architecture)
        if sum(len(each.begun[0]) for each in self._brackets) == self._num_candidates:
            self._end()
        return Proposal(architecture, bracket.lengths[rung])

    def _promotion(self) -> _Step | None:
        for bracket in self._brackets:
            found = bracket.promotion(self.evaluations, self.run.objective.best_first)
            if found is not None:
                return bracket, *found
        return None

    def _new(self) -> _Step | None:
        if self._ended:
            return None
        drawn = self.draw()
        if drawn not in self.known:
            return self._open_bracket(), drawn, 0
        # A small space is used up: who is left goes on, or else the last one drawn, to the end.
        self._end()
        found = self._promotion()
        if found is None and self.pool.under_way == 0:
            self._brackets.append(Bracket(self._lengths[-1:], self._factor, size=1))
            return self._brackets[-1], drawn, 0
        return found

    def _open_bracket(self) -> Bracket:
        """The bracket that takes a new candidate; another one where all are full."""
        for bracket in self._brackets:
            if bracket.is_open:
                return bracket
        lengths, size = self._lengths, None
        if self._method == "successive_halving":
            size = self._bracket
        elif self._method == "hyperband":
            sizes = hyperband_sizes(len(lengths), self._factor)
            which = len(self._brackets) % len(sizes)
            lengths, size = lengths[which:], sizes[which]
        self._brackets.append(Bracket(lengths, self._factor, size))
        return self._brackets[-1]

    def _end(self) -> None:
        """Begin nobody any more; who has begun is all that there is to wait for."""
        self._ended = True
        for bracket in self._brackets:
            if bracket.size is not None:
                bracket.size = len(bracket.begun[0])

    def tell(self, evaluation: Evaluation) -> None:
        """Note the score where the candidate stands."""
        place = len(self.evaluations) - 1
        any(bracket.hear(place, evaluation) for bracket in self._brackets)

    @property
    def ended(self) -> int:
        """Candidates that are past the first rung."""
        return sum(len(bracket.scored[0]) for bracket in self._brackets)

    def progress_message(self) -> str:
        """See `AskTellStrategy.progress_message`."""
        longest: dict[int, int] = dict.fromkeys(self._lengths, 0)
        for bracket in self._brackets:
            for length, scored in zip(bracket.lengths, bracket.scored, strict=True):
                longest[length] += len(scored)
        told = ", ".join(f"{count} to {length}" for length, count in longest.items())
        return f"trained: {told} steps"

    def proposer_state(self) -> dict[str, Any]:
        """See `AskTellStrategy.proposer_state`."""
        return {"brackets": [each.to_json() for each in self._brackets], "ended": self._ended}

    def load_proposer_state(self, state: Mapping[str, Any]) -> None:
        """See `AskTellStrategy.load_proposer_state`."""
        self._ended = state["ended"]
        self._brackets = [Bracket.from_json(each, self._factor) for each in state["brackets"]]
