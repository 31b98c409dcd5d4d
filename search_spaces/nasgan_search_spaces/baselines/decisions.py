"""The decisions of the baselines: which pair's half to use. Imports no torch."""

from __future__ import annotations

from nasgan.architecture import Architecture, Decision

__all__ = ["DECISIONS", "NAME", "VERSION", "pair"]

NAME = "baselines"
VERSION = 1

_NETWORKS = ("dcgan", "sngan")

DECISIONS = (
    Decision("generator", _NETWORKS, part="generator"),
    Decision("discriminator", _NETWORKS, part="discriminator"),
)


def pair(name: str) -> Architecture:
    """The architecture with both halves of the pair ``name``."""
    return Architecture(NAME, VERSION, tuple((decision.name, name) for decision in DECISIONS))
