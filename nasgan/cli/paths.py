"""Paths among the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nasgan.registry import ARCHITECTURES, plugins
from nasgan.run_settings import absolute, with_places

__all__ = ["from_the_root", "is_architecture_file"]


def from_the_root(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with the paths of what a run works with from the root.

    They go into its record, which may be read from elsewhere.
    """
    made = with_places(config, absolute)
    if is_architecture_file(made.get("architecture")):
        made["architecture"] = absolute(made["architecture"])
    return made


def is_architecture_file(value: object) -> bool:
    """Whether the architecture of a training is given as a path, not by a registered name."""
    if not isinstance(value, str) or value in {plugin.name for plugin in plugins(ARCHITECTURES)}:
        return False
    # Of what is not there the name is nearer to what was typed.
    return os.sep in value or os.path.lexists(absolute(value))
