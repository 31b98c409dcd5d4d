"""Dynamic resetting: when the supernet's training has stalled (AutoGAN, section 3.3)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasgan.architecture import Architecture
from nasgan.contracts import SharedWeights, StepLosses
from nasgan.errors import BudgetExhausted, ConfigError, TrainingDiverged

__all__ = ["LossWindows", "TrainedPiece", "train_until_stalled"]

_log = logging.getLogger(__name__)


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
                self.clear()
                return True
        return False

    def _too_quiet(self) -> bool:
        if len(self._windows["generator"]) < self._length:
            return False
        return min(float(np.var(window)) for window in self._windows.values()) < self._threshold

    def clear(self) -> None:
        """Forget the losses: the training begins anew."""
        self.load_state_dict(dict.fromkeys(self._windows, ()))

    def state_dict(self) -> dict[str, Any]:
        """The windows."""
        return {name: list(window) for name, window in self._windows.items()}

    def load_state_dict(self, state: Mapping[str, Sequence[float]]) -> None:
        """Continue from `state_dict`."""
        for name, window in self._windows.items():
            window.clear()
            window.extend(state[name])


class TrainedPiece(NamedTuple):
    """What `train_until_stalled` did.

    Attributes:
        losses: of the steps that count.
        generator_steps: trained.
        stalled: whether the training has stalled.
        begun_anew: whether the supernet was, as its numbers were not finite.
    """

    losses: StepLosses
    generator_steps: int
    stalled: bool = False
    begun_anew: bool = False


def train_until_stalled(
    shared: SharedWeights,
    sample_path: Callable[[], Architecture],
    windows: LossWindows | None,
    *,
    generator_steps: int,
    stage: int | None,
) -> TrainedPiece:
    """Train along paths, with ``windows`` no further than the iteration in which they stall.

    A supernet that is not finite is begun anew at once, with ``windows``: from it a policy could
    learn nothing.

    Args:
        shared: the supernet.
        sample_path: see `SharedWeights.train`.
        windows: take the losses; None: nothing stalls.
        generator_steps: at most.
        stage: of the networks.

    Raises:
        BudgetExhausted: no generator step is left.
        TrainingDiverged: without ``windows``, as `SharedWeights.train`.
    """
    before = shared.generator_steps
    if windows is None:
        losses = shared.train(sample_path, generator_steps=generator_steps, stage=stage)
        return TrainedPiece(losses, shared.generator_steps - before)
    begun_anew = False
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
        except TrainingDiverged as error:
            windows.clear()
            shared.reset()
            begun_anew = True
            _log.info("the supernet is reset: its %s", error)
            break
        generator += losses.generator
        discriminator += losses.discriminator
        stalled = windows.stalled(losses.generator, losses.discriminator)
    losses = StepLosses(tuple(generator), tuple(discriminator))
    return TrainedPiece(losses, shared.generator_steps - before, stalled, begun_anew)
