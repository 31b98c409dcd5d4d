"""Which parameters get gradients, and the step down them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nasgan.contracts.trainer_settings import ZeroGrad
from nasgan.training.replicas import ALONE, Replicas

__all__ = ["descend", "without_gradients"]


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
