"""Paths among the settings, and to their defaults: one place for what holds of all of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nasgan
from nasgan.errors import ConfigError, RunDirectoryError, shortened
from nasgan.registry import ARCHITECTURES, plugins
from nasgan.run_settings import PLACES, TABLES, absolute, changed, is_table_file, with_home

__all__ = [
    "cannot_make",
    "config_folder",
    "given_folder",
    "is_architecture_file",
    "refuse_empty_paths",
    "settled_paths",
]

_PATHS = (
    PLACES
    | TABLES.keys()
    | {
        "architecture",
        "design.path",
        "hydra.run.dir",
        "hydra.sweep.dir",
        "out",
        "output_root",
        "run",
        "run_dir",
        "runs",
        "table",
        "to",
    }
)
"""The settings that are paths, or may be."""


def config_folder() -> Path:
    """The folder of nasgan's own configurations, installed or in a checkout."""
    package = Path(nasgan.__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def settled_paths(config: Mapping[str, Any], start: str) -> dict[str, Any]:
    """``config`` with its paths checked and without ``~``.

    Those of what a run works with are given from the root: they go into its record, which may be
    read from elsewhere.

    Args:
        config: as composed.
        start: the folder that paths are given from.

    Raises:
        ConfigError: a path is empty, or of nobody's home.
    """
    refuse_empty_paths(config)

    def settled(name: str, value: Any, node: Mapping[str, Any]) -> Any:
        if name not in _PATHS or not isinstance(value, str | list):
            return value
        if isinstance(value, list):
            return [settled(name, item, node) for item in value]
        is_table = name in TABLES and is_table_file(value)
        is_file = is_table or (name == "architecture" and is_architecture_file(value, start))
        return absolute(value, start) if name in PLACES or is_file else with_home(value)

    return changed(config, settled)


def refuse_empty_paths(config: Any, where: str = "") -> None:
    """Refuse a path that is an empty text: it would mean the folder one happens to be in.

    Raises:
        ConfigError: naming the setting.
    """
    if isinstance(config, Mapping):
        for key, value in config.items():
            refuse_empty_paths(value, f"{where}.{key}" if where else str(key))
    elif isinstance(config, list) and where in _PATHS:
        for value in config:
            refuse_empty_paths(value, where)
    elif isinstance(config, str) and where in _PATHS and not config.strip():
        raise ConfigError(
            f"{where}= is empty where a path is needed: a variable in it may not be set. Give a "
            "path, or leave the setting out"
        )


def given_folder(name: str, value: Any) -> str:
    """The folder that the setting ``name`` gives.

    Raises:
        ConfigError: it is empty, or of nobody's home.
    """
    refuse_empty_paths(value, name)
    return with_home(str(value))


def is_architecture_file(value: object, start: str = ".") -> bool:
    """Whether the architecture of a training is given as a path, not by a registered name."""
    if not isinstance(value, str) or value in {plugin.name for plugin in plugins(ARCHITECTURES)}:
        return False
    # Of what is not there the name is nearer to what was typed.
    return os.sep in value or os.path.lexists(absolute(value, start))


def cannot_make(folder: Path, error: OSError) -> RunDirectoryError:
    """The error for a run's folder that cannot be made."""
    return RunDirectoryError(
        f"{shortened(str(folder))}: this folder cannot be made: {error.strerror}; choose another "
        "with run_dir= or output_root="
    )
