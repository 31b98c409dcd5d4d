"""Where launching an operation costs more than the arithmetic of a small one."""

from __future__ import annotations

from torch import Tensor

__all__ = ["launches_are_dear"]

_CHEAP_LAUNCHES = ("cpu",)


def launches_are_dear(tensor: Tensor) -> bool:
    """Whether few large operations beat many small ones on the device of ``tensor``."""
    return tensor.device.type not in _CHEAP_LAUNCHES
