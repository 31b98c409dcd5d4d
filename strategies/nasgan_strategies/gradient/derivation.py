"""The architectures that a search's probabilities stood for, in the course of the search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts import SearchSpace

__all__ = ["Derivations"]

_KEPT = 16


class Derivations:
    """Derives architectures and remembers the latest distinct ones.

    Args:
        space: derives and repairs, see `SearchSpace.derive`.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._kept: list[Architecture] = []  # latest last

    def now(self, scores: Sequence[Sequence[float]]) -> Architecture:
        """The architecture that ``scores`` (probabilities per decision) stand for."""
        return self._space.derive(scores)

    def add(self, scores: Sequence[Sequence[float]]) -> int:
        """Derive and remember; the number of decisions that changed since the last time."""
        architecture = self.now(scores)
        before = self._kept[-1] if self._kept else architecture
        self._kept = [kept for kept in self._kept if kept != architecture]
        self._kept = [*self._kept, architecture][-_KEPT:]
        return sum(a != b for a, b in zip(before, architecture, strict=True))

    def ranked(self, scores: Sequence[Sequence[float]], count: int) -> list[Architecture]:
        """The best ``count`` distinct architectures: a gradient search scores none of them.

        First what ``scores`` stand for, then what was derived before, latest first (the published
        search keeps such snapshots and does not say which one was trained), then what
        differs from the first in one decision, by the probability that is given up. Scores that are
        not finite, of a search that broke down, stand for nothing: then what was derived before.
        """
        found: dict[Architecture, None] = {}
        for architecture in self._candidates(scores):
            if len(found) >= count:
                break
            found[architecture] = None
        return list(found)

    def _candidates(self, scores: Sequence[Sequence[float]]) -> Iterator[Architecture]:
        if not all(math.isfinite(p) for row in scores for p in row):
            yield from reversed(self._kept)
            return
        yield self.now(scores)
        yield from reversed(self._kept)
        leads = [(max(row), row.index(max(row))) for row in map(list, scores)]
        runners_up = sorted(
            (_log(best) - _log(p), k, option)
            for k, (row, (best, first)) in enumerate(zip(scores, leads, strict=True))
            for option, p in enumerate(row)
            if option != first
        )
        for _, k, option in runners_up:
            best, first = leads[k]
            row = list(scores[k])
            # Strictly ahead, also of an option that is as probable as the first.
            row[first], row[option] = row[option], math.nextafter(best, math.inf)
            yield self.now([row if j == k else other for j, other in enumerate(scores)])

    def state_dict(self) -> dict[str, Any]:
        """The architectures remembered."""
        return {"kept": [architecture.to_json() for architecture in self._kept]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._kept = [Architecture.from_json(a, source="checkpoint") for a in state["kept"]]


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
