"""Tells when an adversarial training has broken down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nasgan.errors import TrainingDiverged
from nasgan.training.settings import HealthSettings

__all__ = ["HealthMonitor"]


class HealthMonitor:
    """Watches the losses and the variation of generated images.

    The numbers stay on the device and are read every ``check_every`` steps only, at fixed step
    numbers, so that a resumed run sees the same as one never stopped.
    """

    def __init__(self, settings: HealthSettings) -> None:
        self._settings = settings
        self._pending: list[Tensor] = []
        self._vanished = 0
        self._collapsed = 0

    def observe(
        self, step: int, loss_discriminator: Tensor, loss_generator: Tensor, variation: Tensor
    ) -> None:
        """Take the numbers (scalars) of generator step ``step``, counted from 1.

        Raises:
            TrainingDiverged: a reason is found in the steps since the last look.
        """
        numbers = (loss_discriminator, loss_generator, variation)
        self._pending.append(torch.stack([number.detach().float() for number in numbers]))
        if step % self._settings.check_every == 0:
            self.check(step)

    def check(self, step: int) -> None:
        """Look at everything observed and not yet looked at; ``step`` is the last one's number.

        Raises:
            TrainingDiverged: as `observe`.
        """
        rows: list[list[float]] = []
        if self._pending:
            device = self._pending[-1].device
            rows = torch.stack([row.to(device) for row in self._pending]).tolist()
        self._pending.clear()
        for number, (discriminator, generator, variation) in enumerate(rows, step - len(rows) + 1):
            reason = self._reason(discriminator, generator, variation)
            if reason:
                raise TrainingDiverged(reason, generator_step=number)

    def _reason(self, discriminator: float, generator: float, variation: float) -> str:
        limits = self._settings
        losses = {"discriminator": discriminator, "generator": generator}
        for name, loss in losses.items():
            if not math.isfinite(loss):
                return f"the {name}'s loss is not finite ({loss})"
            if abs(loss) > limits.max_loss:
                return f"the {name}'s loss exploded ({loss:.3g}, limit {limits.max_loss:g})"
        if not math.isfinite(variation):
            return "the generated images are not finite"
        self._vanished = self._vanished + 1 if abs(discriminator) < limits.min_loss else 0
        if self._vanished >= limits.patience:
            return (
                f"the discriminator's loss vanished (below {limits.min_loss:g} for "
                f"{limits.patience} steps): the generator has nothing to learn from"
            )
        self._collapsed = self._collapsed + 1 if variation < limits.min_variation else 0
        if self._collapsed >= limits.patience:
            return (
                f"the generated images collapsed into one (standard deviation over the batch below "
                f"{limits.min_variation:g} for {limits.patience} steps)"
            )
        return ""

    def state_dict(self) -> dict[str, Any]:
        """Counters and the numbers not yet looked at."""
        return {
            "vanished": self._vanished,
            "collapsed": self._collapsed,
            "pending": [row.cpu() for row in self._pending],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._vanished = state["vanished"]
        self._collapsed = state["collapsed"]
        self._pending = list(state["pending"])  # on the CPU, whatever the device
