"""What a training does with parameters: where they are, which get gradients, steps, averages."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from nasgan.contracts.trainer_settings import TrainerSettings, ZeroGrad
from nasgan.training.replicas import ALONE, Replicas

__all__ = [
    "AveragedGenerator",
    "descend",
    "placed",
    "without_gradients",
]


@contextmanager
def without_gradients(*networks: nn.Module) -> Iterator[None]:
    """What runs in the block makes no gradients of the networks' parameters; of inputs it does."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)


def descend(
    optimiser: torch.optim.Optimizer,
    loss: Tensor,
    zero_grad: ZeroGrad = "set_to_none",
    replicas: Replicas = ALONE,
) -> None:
    """One step of ``optimiser`` down ``loss``.

    Args:
        optimiser: of the parameters.
        loss: a scalar.
        zero_grad: what a parameter that ``loss`` does not reach has for a gradient: none, so that
            it is passed over, or ``zero`` if it ever had one, so that its moments decay (the
            `zero_grad` of torch before 2.0 leaves zeros behind).
        replicas: whose gradients are added up.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    replicas.add_up(p for group in optimiser.param_groups for p in group["params"])
    if zero_grad == "zero":
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                # The state, unlike the gradients, is in the checkpoint.
                if parameter.grad is None and parameter in optimiser.state:
                    parameter.grad = torch.zeros_like(parameter)
    optimiser.step()


def placed(network: nn.Module, settings: TrainerSettings, device: torch.device) -> nn.Module:
    """``network``, moved to ``device`` and into the memory format of ``settings``.

    On CUDA TF32 is switched as they say, for the whole process: torch knows no smaller scope.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = settings.tf32
        torch.backends.cudnn.allow_tf32 = settings.tf32
    layout = torch.preserve_format if settings.channels_last is False else torch.channels_last
    return network.to(device).to(memory_format=layout)


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
