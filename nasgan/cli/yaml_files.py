"""Configuration files as YAML, read with care."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # comes with OmegaConf
from omegaconf import OmegaConf

from nasgan.reading import read_text

__all__ = ["read_yaml"]

_MOST_BYTES = 1_000_000
_MOST_VALUES = 100_000


def read_yaml(path: Path) -> Any:
    """A configuration, looked at before its aliases are followed: few bytes can stand for a world.

    Raises:
        OSError: it cannot be read, or is too large.
        ValueError: it stands for too much.
        YAMLError: it is no YAML.
    """
    text = read_text(path, most=_MOST_BYTES)
    # To look costs as much as to read, and nearly no file has an alias.
    if "*" in text and _size(yaml.compose(text, yaml.SafeLoader), {}) > _MOST_VALUES:
        raise ValueError(f"its aliases stand for more than {_MOST_VALUES} values")
    return OmegaConf.load(io.StringIO(text))


def _size(node: Any, known: dict[int, float]) -> float:
    """The values that a node stands for; infinitely many where it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        pairs = [pair if isinstance(pair, tuple) else (pair,) for pair in inner]
        known[id(node)] = 1 + sum(_size(item, known) for pair in pairs for item in pair)
    return known[id(node)]
