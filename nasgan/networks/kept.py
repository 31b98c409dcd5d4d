"""What saves passes: things made of weights alone, made once, and few large operations for many."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from torch import Tensor

__all__ = [
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
