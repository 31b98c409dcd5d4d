"""Dynamic resetting: when the supernet's training has stalled (AutoGAN, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import pvariance
from typing import Any

from nasgan.errors import ConfigError

__all__ = ["LossWindows"]


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
        self._windows: dict[str, list[float]] = {"generator": [], "discriminator": []}

    def stalled(self, generator: Sequence[float], discriminator: Sequence[float]) -> bool:
        """Take new losses; whether either window has too little variance. If so, both are emptied.

        Looked at once for the losses of a call, not after each discriminator step.
        """
        for name, losses in (("generator", generator), ("discriminator", discriminator)):
            self._windows[name] = [*self._windows[name], *losses][-self._length :]
        if len(self._windows["generator"]) < self._length:
            return False
        if min(pvariance(window) for window in self._windows.values()) >= self._threshold:
            return False
        self._windows = {"generator": [], "discriminator": []}
        return True

    def state_dict(self) -> dict[str, Any]:
        """The windows."""
        return {name: list(window) for name, window in self._windows.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._windows = {name: list(state[name]) for name in self._windows}
