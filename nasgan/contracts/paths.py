"""Paths along which a supernet is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasgan.architecture import Architecture
from nasgan.contracts.search_space import SearchSpace

__all__ = ["FairPaths"]


class FairPaths:
    """Draws paths in which every option of a decision comes equally often.

    Each decision goes through its options in a random order, then in another (EWSGAN 2024; the
    strict fairness of Chu et al., "FairNAS", ICCV 2021). Independent draws leave some options
    behind: after 100 draws of one of seven, the rarest has had 9 and the commonest 20 on average.
    Where a space repairs what was drawn, the counts are those before the repair.

    Args:
        space: of the paths.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._left: list[list[int]] = [[] for _ in space.decisions]

    def draw(self, rng: np.random.Generator) -> Architecture:
        """The next path."""
        indices = []
        for decision, left in zip(self._space.decisions, self._left, strict=True):
            if not left:
                left.extend(rng.permutation(len(decision.options)).tolist())
            indices.append(left.pop())
        return self._space.architecture(self._space.repair(tuple(indices)))

    def state_dict(self) -> list[list[int]]:
        """What is left of each decision's round."""
        return [list(left) for left in self._left]

    def load_state_dict(self, state: Sequence[Sequence[int]]) -> None:
        """Continue from `state_dict`."""
        self._left = [list(left) for left in state]
