"""Normalisation layers by the names that architectures use."""

from __future__ import annotations

from torch import nn

from nasgan.errors import UnknownNameError
from nasgan.networks.conditional import ConditionalBatchNorm2d

__all__ = ["make_norm"]

_NORMS = ("none", "batch", "instance")


def make_norm(name: str, channels: int, num_classes: int = 0) -> nn.Module:
    """The normalisation ``name`` for maps of ``channels`` channels.

    With classes, batch norm is class-conditional: run it by
    `nasgan.networks.conditional.apply_norm`.
    Instance normalisation has neither parameters nor running statistics, with classes or without;
    it needs maps of more than one pixel.

    Raises:
        UnknownNameError: no such normalisation.
    """
    if name == "none":
        return nn.Identity()
    if name == "batch":
        if num_classes:
            return ConditionalBatchNorm2d(channels, num_classes)
        return nn.BatchNorm2d(channels)
    if name == "instance":
        return nn.InstanceNorm2d(channels)
    raise UnknownNameError("normalisation", name, _NORMS)
