"""Sizes of generators as objectives: put beside the scores of each candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nasgan.contracts import (
    Evaluation,
    EvaluationPool,
    GeneratorSizes,
    Objective,
    Proposal,
    SearchSpace,
)
from nasgan.metrics.table import SIZES

__all__ = ["measured_pool"]


def measured_pool(pool: EvaluationPool, objective: Objective, space: SearchSpace) -> EvaluationPool:
    """``pool``, whose evaluations also hold the sizes that are among the objectives."""
    names = tuple(each.metric for each in objective.others if each.metric in SIZES)
    return _MeasuredPool(pool, GeneratorSizes(space, names)) if names else pool


class _MeasuredPool(EvaluationPool):
    """Another pool; a candidate that failed has no sizes, as it has no scores."""

    def __init__(self, pool: EvaluationPool, sizes: GeneratorSizes) -> None:
        self.begins_again = pool.begins_again  # type: ignore[misc]
        self._pool = pool
        self._sizes = sizes

    def room(self, together: int = 1) -> int:
        return self._pool.room(together)

    @property
    def under_way(self) -> int:
        return self._pool.under_way

    def submit(self, proposal: Proposal) -> None:
        self._pool.submit(proposal)

    def advance(self) -> list[Evaluation]:
        return [self._with_sizes(made) for made in self._pool.advance()]

    def _with_sizes(self, made: Evaluation) -> Evaluation:
        if made.score is None:
            return made
        return replace(made, metrics={**made.metrics, **self._sizes(made.architecture)})

    @property
    def note(self) -> str:
        return self._pool.note

    def close(self) -> None:
        self._pool.close()

    def state_dict(self) -> dict[str, Any]:
        return self._pool.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._pool.load_state_dict(state)
