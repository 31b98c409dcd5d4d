"""How passes compute: where autocast ends, what is made once, when large operations are few."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

__all__ = [
    "autocast_type",
    "full_precision",
    "launches_are_dear",
    "made_once",
    "weights_unchanged",
]

_kept: list[dict[Hashable, Tensor]] = []


@contextmanager
def weights_unchanged() -> Iterator[None]:
    """Inside, no weight changes between the passes of one loss: `made_once` keeps what it makes."""
    _kept.append({})
    try:
        yield
    finally:
        _kept.pop()


def made_once(key: Hashable, make: Callable[[], Tensor]) -> Tensor:
    """What ``make`` returns, within `weights_unchanged` made once per ``key``.

    Each use gets a view of its own, so that its gradients are added up before those of the others.
    """
    if not _kept:
        return make()
    kept = _kept[-1]
    if key not in kept:
        kept[key] = make()
    return kept[key].view_as(kept[key])


_CHEAP_LAUNCHES = ("cpu",)


def launches_are_dear(tensor: Tensor) -> bool:
    """Whether few large operations beat many small ones on the device of ``tensor``."""
    return tensor.device.type not in _CHEAP_LAUNCHES


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
