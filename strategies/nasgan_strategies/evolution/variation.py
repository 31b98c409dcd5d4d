"""Children: crossover of one network, and mutation of one of its decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from nasgan.architecture import Architecture, Part
from nasgan.contracts import SearchSpace

__all__ = ["varied"]

Shaped: TypeAlias = Part | Literal["both"]


def varied(
    space: SearchSpace,
    first: Architecture,
    other: Architecture | None,
    rng: np.random.Generator,
    parts: Sequence[Shaped],
) -> Architecture:
    """A child of ``first``: one of its decisions is another, drawn from those of ``parts``.

    With an ``other`` parent one network is mixed from both before, decision by decision, and the
    mutation is in that network.

    Args:
        space: of the parents.
        first: what the child is made from.
        other: a second parent, or None.
        rng: draws.
        parts: see `SearchSpace.searched_parts`: a network with more decisions changes more often.
    """
    if not parts:
        return first
    part = parts[int(rng.integers(len(parts)))]
    if other is not None:
        first = space.crossover(first, other, rng, part=part)
    return space.mutate(first, rng, part=part)
