"""The inventory of plugins: entry points, read without importing what they point to.

Built-ins and third-party packages register alike, in the groups `STRATEGIES`, `SEARCH_SPACES`,
`ARCHITECTURES` and `CONFIGS`; an object is imported only when it is selected, so a broken plugin
breaks only itself.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from nasgan.errors import PluginError, UnknownNameError

__all__ = [
    "ARCHITECTURES",
    "CONFIGS",
    "SEARCH_SPACES",
    "STRATEGIES",
    "Plugin",
    "duplicate_names",
    "find_plugin",
    "load_plugin",
    "plugin_packages",
    "plugins",
]

STRATEGIES = "nasgan.strategies"
SEARCH_SPACES = "nasgan.search_spaces"
ARCHITECTURES = "nasgan.architectures"
CONFIGS = "nasgan.conf"

_KIND = {
    STRATEGIES: "search strategy",
    SEARCH_SPACES: "search space",
    ARCHITECTURES: "architecture",
    CONFIGS: "configuration package",
}


@dataclass(frozen=True)
class Plugin:
    """One registered entry point.

    Attributes:
        group: e.g. ``"nasgan.strategies"``.
        name: what a user types.
        value: ``"module:attribute"`` (for `CONFIGS`: the package that holds the YAML files).
        distribution: name of the installed package that registers it.
        version: that package's version.
    """

    group: str
    name: str
    value: str
    distribution: str
    version: str

    @property
    def package(self) -> str:
        """Top-level package of the entry point's module."""
        return re.split(r"[.:]", self.value, maxsplit=1)[0]


@cache
def plugins(group: str) -> tuple[Plugin, ...]:
    """All plugins of ``group``, sorted by name; nothing is imported."""
    found = [
        Plugin(group, point.name, point.value, point.dist.name, point.dist.version)
        for point in metadata.entry_points(group=group)
        if point.dist is not None
    ]
    if not any(plugin.distribution == "nasgan" for plugin in found):
        found += [plugin for plugin in _checkout_plugins() if plugin.group == group]
    return tuple(sorted(set(found), key=lambda plugin: (plugin.name, plugin.distribution)))


def find_plugin(group: str, name: str) -> Plugin:
    """The plugin called ``name``.

    Raises:
        UnknownNameError: no such name; lists the nearest.
        PluginError: two packages register the name.
    """
    known = plugins(group)
    matches = [plugin for plugin in known if plugin.name == name]
    if not matches:
        raise UnknownNameError(_KIND.get(group, group), name, {plugin.name for plugin in known})
    if len(matches) > 1:
        owners = " and ".join(sorted(plugin.distribution for plugin in matches))
        raise PluginError(
            f"{_KIND.get(group, group)} {name!r} is registered by {owners}; uninstall one of them"
        )
    return matches[0]


def load_plugin(group: str, name: str) -> Any:
    """Import and return the object that the plugin ``name`` points to.

    Raises:
        UnknownNameError: no such name.
        PluginError: importing it failed; names the package at fault.
    """
    plugin = find_plugin(group, name)
    point = metadata.EntryPoint(plugin.name, plugin.value, plugin.group)
    try:
        return point.load()
    except Exception as error:
        raise PluginError(
            f"{_KIND.get(group, group)} {name!r} of the package {plugin.distribution} "
            f"{plugin.version} cannot be loaded from {plugin.value!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


def duplicate_names(group: str) -> list[str]:
    """Names of ``group`` that several packages register."""
    counts = Counter(plugin.name for plugin in plugins(group))
    return sorted(name for name, count in counts.items() if count > 1)


def plugin_packages() -> frozenset[str]:
    """Top-level packages that configurations may name in ``_target_``: nasgan's and plugins'."""
    groups = (STRATEGIES, SEARCH_SPACES, ARCHITECTURES, CONFIGS)
    return frozenset({"nasgan"} | {plugin.package for g in groups for plugin in plugins(g)})


@cache
def _checkout_plugins() -> tuple[Plugin, ...]:
    """The built-ins as pyproject.toml declares them, for a checkout that is not installed.

    On a machine without a package index the code runs by PYTHONPATH alone and has no metadata.
    """
    project_file = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if sys.version_info < (3, 11) or not project_file.is_file():
        return ()
    import tomllib

    project = tomllib.loads(project_file.read_text(encoding="utf-8")).get("project", {})
    if project.get("name") != "nasgan":
        return ()
    return tuple(
        Plugin(group, name, value, "nasgan", str(project.get("version", "unknown")))
        for group, entries in project.get("entry-points", {}).items()
        for name, value in entries.items()
    )
