"""Exponential moving average of a generator."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["AveragedGenerator"]


class AveragedGenerator:
    """A generator whose parameters follow the trained one's by an exponential moving average.

    It starts at the initial parameters, without warm-up or bias correction, as published.

    Args:
        generator: the network in training.
        decay: share of the old average that each update keeps.
        buffers: ``live``: an evaluation takes the running statistics that the network in training
            has at that moment (AutoGAN's and AdversarialNAS's code); ``averaged``: they are
            averaged like parameters.
    """

    def __init__(
        self, generator: nn.Module, *, decay: float, buffers: Literal["live", "averaged"]
    ) -> None:
        self.module = copy.deepcopy(generator).eval().requires_grad_(False)
        self._decay = decay
        self._buffers = buffers

    @torch.no_grad()
    def update(self, generator: nn.Module) -> None:
        """Move the average towards ``generator``; call after each generator step."""
        averaged: list[Tensor] = list(self.module.parameters())
        if averaged:
            torch._foreach_lerp_(averaged, list(generator.parameters()), 1 - self._decay)
        if self._buffers == "averaged":
            for mean, live in zip(self.module.buffers(), generator.buffers(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(live, 1 - self._decay)
                else:
                    mean.copy_(live)

    @torch.no_grad()
    def evaluated(self, generator: nn.Module) -> nn.Module:
        """The average as it is to be scored and kept now, with ``generator`` in training."""
        if self._buffers == "live":
            # Discriminator steps move them, too, after the last `update`.
            for held, live in zip(self.module.buffers(), generator.buffers(), strict=True):
                held.copy_(live)
        return self.module
