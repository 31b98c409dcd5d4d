"""Make search spaces, strategies and architectures by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts import SearchSpace, SearchStrategy, narrowed
from nasgan.errors import ArchitectureError, PluginError, UnknownNameError
from nasgan.nodes import make_plugin
from nasgan.registry import ARCHITECTURES, SEARCH_SPACES, STRATEGIES, load_plugin, plugins

__all__ = ["load_architecture", "make_search_space", "make_strategy", "settings_for"]


def make_search_space(
    name: str, *, fixed: Mapping[str, Any] | None = None, **settings: Any
) -> SearchSpace:
    """Make a registered search space; without settings, at the published sizes for 32 pixels.

    Args:
        name: e.g. ``"autogan"``; `nasgan list spaces` shows all.
        fixed: decisions that are taken already, see `nasgan.contracts.narrowed`.
        settings: those that every space takes, see `nasgan.contracts.NetworkSettings`, and what
            this space takes beyond them.

    Raises:
        UnknownNameError: no such space; lists the nearest names.
        ConfigError: a setting is unknown or impossible in this space.
        PluginError: the package that registers it is broken.
    """
    space: SearchSpace = make_plugin(SEARCH_SPACES, name, SearchSpace, settings, where=name)
    return narrowed(space, fixed)


def settings_for(architecture: Architecture) -> dict[str, Any]:
    """The settings of its search space that ``architecture`` calls for.

    Give them to `make_search_space` for what you do not set yourself.

    Raises:
        UnknownNameError: its space is not registered.
        PluginError: the package that registers it is broken.
    """
    space = load_plugin(SEARCH_SPACES, architecture.space)
    if not (isinstance(space, type) and issubclass(space, SearchSpace)):
        raise PluginError(f"search space {architecture.space!r} is registered as {space!r}")
    return space.settings_for(architecture)


def make_strategy(name: str, **settings: Any) -> SearchStrategy:
    """Make a registered search strategy.

    Args:
        name: e.g. ``"random"``; `nasgan list strategies` shows all.
        settings: its own, see its class.

    Raises:
        UnknownNameError: no such strategy; lists the nearest names.
        ConfigError: a setting is unknown or out of range.
        PluginError: the package that registers it is broken.
    """
    strategy: SearchStrategy = make_plugin(STRATEGIES, name, SearchStrategy, settings, where=name)
    return strategy


def load_architecture(name_or_path: str | Path) -> Architecture:
    """An architecture by its registered name (``"autogan_a"``), or from a file.

    A path may be an ``architecture.json`` or the folder of a run that holds one. A name without a
    slash that is registered wins over a file of that name.

    Raises:
        UnknownNameError: neither a registered name nor an existing path.
        ArchitectureError: the file is malformed.
    """
    text = str(name_or_path)
    names = {plugin.name for plugin in plugins(ARCHITECTURES)}
    if text in names:
        architecture = load_plugin(ARCHITECTURES, text)
        if not isinstance(architecture, Architecture):
            raise PluginError(f"architecture {text!r} is registered as something else")
        return architecture
    path = Path(text).expanduser()
    try:
        if path.is_dir():
            path = path / "architecture.json"
        exists = path.exists()
    except OSError as error:  # a text too long for a path, a folder that may not be entered
        raise ArchitectureError(f"{path}: cannot look for this file: {error.strerror}") from error
    if exists:
        return Architecture.load(path)
    if path.suffix == ".json" or "/" in text:
        raise ArchitectureError(f"{path}: there is no such architecture file")
    raise UnknownNameError("architecture", text, names)
