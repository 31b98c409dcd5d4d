"""Dynamic resetting: when the supernet's training has stalled (AutoGAN, section 3.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nasgan.architecture import Architecture
from nasgan.contracts import SharedWeights, StepLosses
from nasgan.errors import BudgetExhausted, ConfigError

__all__ = ["LossWindows", "train_until_stalled"]


class LossWindows:
    """The last losses of both networks.

    As in AutoGAN's code the threshold is on the variance (the paper's text says standard
    deviation), either network suffices, and the generator's window must be full.

    Args:
        length: losses in a window.
        threshold: of the variance.
    """

    def __init__(self, length: int, threshold: float) -> None:
        if length < 2:
            raise ConfigError(f"strategy.reset_window must be at least 2, got {length}")
        if threshold <= 0:
            raise ConfigError(f"strategy.reset_threshold must be above 0, got {threshold}")
        self._length = length
        self._threshold = threshold
        self._windows: dict[str, deque[float]] = {
            name: deque(maxlen=length) for name in ("generator", "discriminator")
        }

    def stalled(self, generator: Sequence[float], discriminator: Sequence[float]) -> bool:
        """Take new losses; whether either window has too little variance. If so, both are emptied.

        Looked at after each discriminator step, as published; what follows on the one in which it
        has stalled is dropped. In each iteration the generator's step comes after the first
        discriminator step.
        """
        critic_steps = len(discriminator) // len(generator)
        for k, loss in enumerate(discriminator):
            self._windows["discriminator"].append(loss)
            if k % critic_steps == 0:
                self._windows["generator"].append(generator[k // critic_steps])
            if self._too_quiet():
                self.load_state_dict(dict.fromkeys(self._windows, ()))
                return True
        return False

    def _too_quiet(self) -> bool:
        if len(self._windows["generator"]) < self._length:
            return False
        return min(float(np.var(window)) for window in self._windows.values()) < self._threshold

    def state_dict(self) -> dict[str, Any]:
        """The windows."""
        return {name: list(window) for name, window in self._windows.items()}

    def load_state_dict(self, state: Mapping[str, Sequence[float]]) -> None:
        """Continue from `state_dict`."""
        for name, window in self._windows.items():
            window.clear()
            window.extend(state[name])


def train_until_stalled(
    shared: SharedWeights,
    sample_path: Callable[[], Architecture],
    windows: LossWindows | None,
    *,
    generator_steps: int,
    stage: int | None,
) -> tuple[StepLosses, bool]:
    """Train along paths, with ``windows`` no further than the iteration in which they stall.

    Args:
        shared: the supernet.
        sample_path: see `SharedWeights.train`.
        windows: take the losses; None: nothing stalls.
        generator_steps: at most.
        stage: of the networks.

    Returns:
        The losses, and whether it has stalled.

    Raises:
        BudgetExhausted: no generator step is left.
    """
    if windows is None:
        return shared.train(sample_path, generator_steps=generator_steps, stage=stage), False
    generator: list[float] = []
    discriminator: list[float] = []
    stalled = False
    while len(generator) < generator_steps and not stalled:
        try:
            losses = shared.train(sample_path, generator_steps=1, stage=stage)
        except BudgetExhausted:
            if not generator:
                raise
            break  # what was done counts; the next call says so again
        generator += losses.generator
        discriminator += losses.discriminator
        stalled = windows.stalled(losses.generator, losses.discriminator)
    return StepLosses(tuple(generator), tuple(discriminator)), stalled
