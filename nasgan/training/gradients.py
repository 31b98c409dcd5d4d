"""Which parameters get gradients, and the step down them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

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


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of ``optimiser`` down ``loss``."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
