"""What the conformance suites have in common: how they fail, and what no plugin may do."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["expect", "own_randomness_only", "through_a_file"]


def expect(condition: bool, message: str) -> None:
    """Fail with ``message``, which says what to change, unless ``condition``."""
    if not condition:
        raise AssertionError(message)


@contextmanager
def own_randomness_only(
    what: str, *, advice: str = "draw from `self.run.rng(...)`"
) -> Iterator[None]:
    """Fail if the block draws from a global random generator."""
    before = _global_randomness()
    yield
    for name, state in _global_randomness().items():
        expect(state == before[name], f"{what} drew from the global generator of {name}: {advice}")


def _global_randomness() -> dict[str, object]:
    kind, keys, position, *_ = np.random.get_state(legacy=True)
    return {
        "python's random": random.getstate(),
        "numpy": (kind, np.asarray(keys).tobytes(), position),
        "torch": torch.random.get_rng_state().numpy().tobytes(),
    }


def through_a_file(state: dict[str, Any]) -> Any:
    """``state`` as a checkpoint gives it back."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)
