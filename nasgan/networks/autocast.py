"""Where autocast must not reach, and what it would do."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["autocast_type", "full_precision"]


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Autocast off: a power iteration in bfloat16 does not converge, for one."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def autocast_type(x: Tensor) -> Tensor:
    """``x`` in the type that autocast gives a convolution; as it is where autocast is off."""
    kind = x.device.type
    if kind == "meta" or x.dtype == torch.float64 or not torch.is_autocast_enabled(kind):
        return x
    return x.to(torch.get_autocast_dtype(kind))
