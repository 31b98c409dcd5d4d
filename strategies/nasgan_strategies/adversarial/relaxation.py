"""How logits over options become the weights that mix them, and at which temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from nasgan.errors import ConfigError, quoted

__all__ = ["Relaxation", "TemperatureSchedule", "check_relaxation", "relax", "select"]

Relaxation = Literal[
    "softmax", "gumbel_probabilities", "gumbel_log_probabilities", "straight_through"
]


def check_relaxation(name: str) -> None:
    """Refuse an unknown relaxation.

    Raises:
        ConfigError: lists those that there are.
    """
    if name not in get_args(Relaxation):
        raise ConfigError(
            f"strategy.relaxation must be one of {', '.join(get_args(Relaxation))}, "
            f"got {quoted(name)}"
        )


def relax(
    logits: Tensor, relaxation: Relaxation, temperature: float, noise: torch.Generator
) -> Tensor:
    """Weights of the options of each row, drawn afresh.

    With ``p = softmax(logits)`` and g standard Gumbel noise:

    - ``softmax``: p itself, without noise and temperature (DARTS);
    - ``gumbel_probabilities``: ``softmax((p + g) / temperature)``, as AdversarialNAS has it in its
      eq. 1 and its code. p lies in [0, 1] and the noise spreads over 1.28, so the samples follow p
      only weakly: an option of p = 1 among seven leads in 31 % of the draws;
    - ``gumbel_log_probabilities``: ``softmax((log p + g) / temperature)``, the usual
      Gumbel-softmax (Jang et al. 2017), whose leading option follows p exactly;
    - ``straight_through``: as the one before, for `select` to make one-hot.

    Args:
        logits: (n, K), n decisions of K options.
        relaxation: see above.
        temperature: above 0.
        noise: of the device of ``logits``.

    Returns:
        (n, K); each row is positive and sums to 1. Gradients flow to ``logits``.
    """
    if relaxation == "softmax":
        return torch.softmax(logits, dim=-1)
    if relaxation == "gumbel_probabilities":
        location = torch.softmax(logits, dim=-1)
    else:
        location = torch.log_softmax(logits, dim=-1)
    # The negative logarithm of an exponential variable is a Gumbel one.
    waits = torch.empty_like(location, requires_grad=False).exponential_(generator=noise)
    return torch.softmax((location - waits.log()) / temperature, dim=-1)


def select(soft: Tensor, option: int) -> Tensor:
    """The one-hot vector of ``option``, with the gradient of ``soft`` (straight-through).

    A supernet runs the one option that a one-hot vector selects, so only this option's weight gets
    a gradient, as in GDAS (Dong and Yang 2019).

    Args:
        soft: (K,), on the CPU: weights that select are read.
        option: index.
    """
    hard = torch.zeros_like(soft, requires_grad=False)
    hard[option] = 1.0
    # The bracket is exactly zero, so the sum is exactly one-hot.
    return hard + (soft - soft.detach())


@dataclass(frozen=True)
class TemperatureSchedule:
    """Exponential decay from ``tau_max`` to ``tau_min`` over ``epochs``, as published.

    The code's and not the paper's, which does not give one. Epoch ``epochs`` would reach
    ``tau_min``; the last epoch ``epochs - 1`` does not quite.

    Attributes:
        tau_max: temperature of epoch 0.
        tau_min: its limit.
        epochs: number of epochs.

    Raises:
        ConfigError: a temperature is not positive, or the limit lies above the start.
    """

    tau_max: float
    tau_min: float
    epochs: int

    def __post_init__(self) -> None:
        if not 0 < self.tau_min < math.inf:
            raise ConfigError(
                f"strategy.tau_min must be above 0, got {self.tau_min}: weights are divided by the "
                f"temperature"
            )
        if not self.tau_min <= self.tau_max < math.inf:
            raise ConfigError(
                f"strategy.tau_max must be finite and at least tau_min, the temperature falls: got "
                f"tau_max={self.tau_max}, tau_min={self.tau_min}"
            )
        if self.epochs < 1:
            raise ConfigError(
                f"strategy.temperature_epochs must be at least 1 or null, got {self.epochs}"
            )

    def at(self, epoch: int) -> float:
        """The temperature of ``epoch``, counted from 0."""
        decay = math.log(self.tau_max / self.tau_min)
        return max(self.tau_min, self.tau_max * math.exp(-decay * epoch / self.epochs))
