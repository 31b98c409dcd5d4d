"""Rungs of trainings: who goes on to a longer one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts import Evaluation

__all__ = ["Bracket", "hyperband_sizes"]

BestFirst = Callable[[Sequence[Evaluation]], Sequence[Evaluation]]


def hyperband_sizes(rungs: int, factor: float) -> list[int]:
    """Candidates of hyperband's brackets, the one with most rungs first.

    Li et al. 2018, algorithm 1: bracket s begins with ceil(rungs / (s + 1) * factor^s).
    """
    return [math.ceil(rungs * factor**s / (s + 1)) for s in reversed(range(rungs))]


@dataclass
class Bracket:
    """The rungs of one successive halving.

    Attributes:
        lengths: generator steps of each rung.
        factor: one in so many goes on.
        size: candidates of the first rung; None: no end, and nobody waits (ASHA).
        begun: candidates of each rung, scored or under way.
        scored: those that were heard of, by their place among the search's evaluations.
    """

    lengths: Sequence[int]
    factor: float
    size: int | None
    begun: list[list[Architecture]] = field(default_factory=list)
    scored: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.begun:
            self.begun = [[] for _ in self.lengths]
            self.scored = [[] for _ in self.lengths]

    @property
    def is_open(self) -> bool:
        """Whether the first rung takes another candidate."""
        return self.size is None or len(self.begun[0]) < self.size

    def promotion(
        self, evaluations: Sequence[Evaluation], best_first: BestFirst
    ) -> tuple[Architecture, int] | None:
        """Who goes on now, and to which rung; the longest training first.

        Args:
            evaluations: of the search.
            best_first: puts some of them in order.
        """
        for rung in reversed(range(len(self.lengths) - 1)):
            places = self._places(rung, evaluations)
            if not places:
                continue
            gone_on = set(self.begun[rung + 1])
            for evaluation in best_first(self._alive(rung, evaluations))[:places]:
                if evaluation.architecture not in gone_on:
                    return evaluation.architecture, rung + 1
        return None

    def hear(self, place: int, evaluation: Evaluation) -> bool:
        """Take a score, if it is of a candidate under way here."""
        for begun, scored in reversed([*zip(self.begun, self.scored, strict=True)]):
            # Whoever is in a rung has been scored in those below.
            if evaluation.architecture in begun:
                is_awaited = len(scored) < len(begun)
                scored.extend([place] * is_awaited)
                return is_awaited
        return False

    def _alive(self, rung: int, evaluations: Sequence[Evaluation]) -> list[Evaluation]:
        heard = (evaluations[place] for place in self.scored[rung])
        return [each for each in heard if each.can_go_on]

    def _places(self, rung: int, evaluations: Sequence[Evaluation]) -> int:
        """How many of ``rung`` may go on by what is known."""
        places = int(len(self.scored[rung]) / self.factor)
        if self.size is None:
            return places
        return max(1, places) if self._is_over(rung, evaluations) else 0

    def _is_over(self, rung: int, evaluations: Sequence[Evaluation]) -> bool:
        """Whether nobody will be added to ``rung``, and all of it is scored."""
        if len(self.scored[rung]) < len(self.begun[rung]):
            return False
        if rung == 0:
            return not self.is_open
        below = self._places(rung - 1, evaluations), len(self._alive(rung - 1, evaluations))
        return self._is_over(rung - 1, evaluations) and len(self.begun[rung]) == min(below)

    def to_json(self) -> dict[str, Any]:
        """The bracket as JSON data."""
        begun = [[architecture.to_json() for architecture in rung] for rung in self.begun]
        return {
            "size": self.size,
            "lengths": [*self.lengths],
            "begun": begun,
            "scored": self.scored,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], factor: float) -> Bracket:
        """Read what `to_json` wrote."""
        begun = [
            [Architecture.from_json(each, source="checkpoint") for each in rung]
            for rung in data["begun"]
        ]
        scored = [list(rung) for rung in data["scored"]]
        return cls(data["lengths"], factor, data["size"], begun, scored)
