from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nasgan.architecture import Architecture
from nasgan.contracts import Evaluation
from nasgan.testing.toy_space import ToySpace


@pytest.fixture(scope="session")
def architectures() -> list[Architecture]:
    """Some distinct ones."""
    space, rng = ToySpace(), np.random.default_rng(0)
    return list(dict.fromkeys(space.sample(rng) for _ in range(100)))[:8]


@pytest.fixture(scope="session")
def arrive() -> Callable[..., list[Evaluation]]:
    """Advances a pool until so many evaluations have arrived."""

    def advance(pool: Any, count: int) -> list[Evaluation]:
        arrived: list[Evaluation] = []
        while len(arrived) < count:
            arrived += pool.advance()
        return arrived

    return advance
