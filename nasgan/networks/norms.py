"""Normalisation layers by the names that architectures use."""

from __future__ import annotations

from torch import nn

from nasgan.errors import UnknownNameError

__all__ = ["make_norm"]

_NORMS = ("none", "batch", "instance")


def make_norm(name: str, channels: int) -> nn.Module:
    """The normalisation ``name`` for maps of ``channels`` channels.

    Instance normalisation has neither parameters nor running statistics; it needs maps of more
    than one pixel.

    Raises:
        UnknownNameError: no such normalisation.
    """
    if name == "none":
        return nn.Identity()
    if name == "batch":
        return nn.BatchNorm2d(channels)
    if name == "instance":
        return nn.InstanceNorm2d(channels)
    raise UnknownNameError("normalisation", name, _NORMS)
