"""Tells when an adversarial training has broken down."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nasgan.contracts.trainer_settings import HealthSettings
from nasgan.errors import TrainingDiverged

__all__ = ["HealthMonitor"]

_log = logging.getLogger(__name__)


class HealthMonitor:
    """Watches the losses and the variation of generated images.

    The numbers stay on the device and are read every ``check_every`` steps only, at fixed step
    numbers, so that a resumed run sees the same as one never stopped.

    Args:
        settings: the limits.
        limits_end: whether a training ends that passes a limit; else the log says it once, and
            only numbers that are not finite end it.
    """

    def __init__(self, settings: HealthSettings, *, limits_end: bool = True) -> None:
        self._settings = settings
        self._limits_end = limits_end
        self._told = False
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
        for number, row in enumerate(rows, step - len(rows) + 1):
            passed = self._passed(*row)
            reason = _not_finite(*row) or (passed if self._limits_end else "")
            if reason:
                raise TrainingDiverged(reason, generator_step=number)
            if passed and not self._told:
                self._told = True
                _log.warning("generator step %d: %s; the training goes on", number, passed)

    def _passed(self, discriminator: float, generator: float, variation: float) -> str:
        """Which limit is passed with the numbers of the next step, in words."""
        limits = self._settings
        if limits.max_loss is not None:
            for name, loss in (("discriminator", discriminator), ("generator", generator)):
                if abs(loss) > limits.max_loss:
                    return f"the {name}'s loss exploded ({loss:.3g}, limit {limits.max_loss:g})"
        self._vanished = _run_length(self._vanished, abs(discriminator), limits.min_loss)
        if self._vanished >= limits.patience:
            return (
                f"the discriminator's loss vanished (below {limits.min_loss:g} for "
                f"{limits.patience} steps): the generator has nothing to learn from"
            )
        self._collapsed = _run_length(self._collapsed, variation, limits.min_variation)
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
            "told": self._told,
            "pending": [row.cpu() for row in self._pending],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._vanished = state["vanished"]
        self._collapsed = state["collapsed"]
        self._told = state["told"]
        self._pending = list(state["pending"])  # on the CPU, whatever the device


def _not_finite(discriminator: float, generator: float, variation: float) -> str:
    """Which of the numbers of a step is not finite, in words; empty if all are."""
    for name, loss in (("discriminator", discriminator), ("generator", generator)):
        if not math.isfinite(loss):
            return f"the {name}'s loss is not finite ({loss})"
    return "" if math.isfinite(variation) else "the generated images are not finite"


def _run_length(before: int, value: float, limit: float | None) -> int:
    """For how many steps on end a value has been below its limit, with the next one."""
    return before + 1 if limit is not None and value < limit else 0
