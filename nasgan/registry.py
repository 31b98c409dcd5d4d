"""The inventory of plugins: entry points, read without importing what they point to.

Built-ins and third-party packages register alike, each kind of thing in a group of its own (the
constants below); an object is imported only when it is selected, so a
broken plugin breaks only itself. Of equal names nasgan's own wins, as among configurations.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from nasgan.errors import NasganError, PluginError, UnknownNameError, shortened

__all__ = [
    "ARCHITECTURES",
    "AUGMENTATIONS",
    "CONFIGS",
    "EVALUATORS",
    "EXTRACTORS",
    "GROUPS",
    "LOSSES",
    "METRICS",
    "SEARCH_SPACES",
    "STRATEGIES",
    "Plugin",
    "duplicate_names",
    "find_plugin",
    "load_plugin",
    "package_owners",
    "plugin_packages",
    "plugins",
    "plugins_named",
    "refresh",
    "unreadable_packages",
]

_log = logging.getLogger(__name__)

STRATEGIES = "nasgan.strategies"
SEARCH_SPACES = "nasgan.search_spaces"
EVALUATORS = "nasgan.evaluators"
ARCHITECTURES = "nasgan.architectures"
METRICS = "nasgan.metrics"
LOSSES = "nasgan.losses"
AUGMENTATIONS = "nasgan.augmentations"
EXTRACTORS = "nasgan.extractors"
CONFIGS = "nasgan.conf"

_NAMELESS = "a package without metadata"

_KIND = {
    STRATEGIES: "search strategy",
    SEARCH_SPACES: "search space",
    EVALUATORS: "evaluator",
    ARCHITECTURES: "architecture",
    METRICS: "metric",
    LOSSES: "trainer.loss",
    AUGMENTATIONS: "trainer.augmentation",
    EXTRACTORS: "feature extractor",
    CONFIGS: "configuration package",
}
GROUPS = tuple(_KIND)
"""All groups of entry points."""


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
    found = [plugin for plugin in _installed().plugins if plugin.group == group]
    if not any(plugin.distribution == "nasgan" for plugin in found):
        found += [plugin for plugin in _checkout_plugins() if plugin.group == group]
    return tuple(sorted(set(found), key=lambda plugin: (plugin.name, plugin.distribution)))


def find_plugin(group: str, name: str) -> Plugin:
    """The plugin called ``name``.

    Raises:
        UnknownNameError: no such name; lists the nearest.
        PluginError: two packages register the name, and none of them is nasgan.
    """
    known = plugins(group)
    matches = [plugin for plugin in known if plugin.name == name]
    matches = [plugin for plugin in matches if plugin.distribution == "nasgan"] or matches
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
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module that leaves the program, too
        raise PluginError(
            f"{_KIND.get(group, group)} {name!r} of the package {plugin.distribution} "
            f"{plugin.version} cannot be loaded from {plugin.value!r}: "
            f"{type(error).__name__}: {shortened(str(error), 600)}"
        ) from error


@contextmanager
def plugins_named(kind: type[PluginError] = PluginError) -> Iterator[None]:
    """Name the package of a plugin whose own code raises within, however it does.

    Args:
        kind: of the error that names it.

    Raises:
        PluginError: in place of what the plugin raised, which is its cause.
    """
    try:
        yield
    except (NasganError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if place := _place_in_a_plugin(error):
            raise kind(
                f"{place}: {type(error).__name__}: {shortened(str(error), 600)} (the log in the "
                "run's folder, or NASGAN_DEBUG=1, has the traceback)"
            ) from error
        raise


def _place_in_a_plugin(error: BaseException) -> str:
    """The package, function and line, if the innermost code of ours or a plugin's is a plugin's."""
    owners = package_owners()
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        owner = owners.get(package, "nasgan" if package == "nasgan" else "")
        if owner:
            place = f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}, line {line})"
            is_ours = owner.partition(" ")[0] == "nasgan"
            found = "" if is_ours else f"the plugin {owner} failed in {place}"
    return found


def duplicate_names(group: str) -> list[str]:
    """Names of ``group`` that several packages register, nasgan's own included."""
    counts = Counter(plugin.name for plugin in plugins(group))
    return sorted(name for name, count in counts.items() if count > 1)


def plugin_packages() -> frozenset[str]:
    """Top-level packages that configurations may name in ``_target_``: nasgan's and plugins'."""
    return frozenset({"nasgan", *package_owners()})


def unreadable_packages() -> dict[str, str]:
    """Why the entry points of a package cannot be read, by ``"distribution version"``."""
    return dict(_installed().unreadable)


def refresh() -> None:
    """Read the inventory anew, after a package was installed while this process runs."""
    _installed.cache_clear()
    plugins.cache_clear()


def package_owners() -> dict[str, str]:
    """``"distribution version"`` by the top-level package of its plugins."""
    return {p.package: f"{p.distribution} {p.version}" for g in GROUPS for p in plugins(g)}


class _Installed(NamedTuple):
    plugins: tuple[Plugin, ...]
    unreadable: tuple[tuple[str, str], ...]


@cache
def _installed() -> _Installed:
    """What the installed packages register, each read apart: one may be damaged.

    Of two installations of a package Python imports the first, so only that one counts.
    """
    found: list[Plugin] = []
    unreadable: list[tuple[str, str]] = []
    seen: set[str] = set()
    for distribution in metadata.distributions():
        try:
            if "nasgan." not in (distribution.read_text("entry_points.txt") or ""):
                continue
        except (OSError, ValueError):
            continue  # nothing can be known of it, not even whether it is a plugin
        name, version = _owner(distribution)
        normalised = re.sub(r"[-_.]+", "-", name).lower()
        if name != _NAMELESS and normalised in seen:
            continue
        seen.add(normalised)
        try:
            found += [
                Plugin(point.group, point.name, point.value, name, version)
                for point in distribution.entry_points
                if point.group.startswith("nasgan.")
            ]
        except Exception as error:  # whatever the parser of the Python at hand stumbles over
            reason = f"its entry points cannot be read: {type(error).__name__}: {error}"
            _log.warning("plugin %s %s: %s; it is left out", name, version, reason)
            unreadable.append((f"{name} {version}", reason))
    return _Installed(tuple(found), tuple(unreadable))


def _owner(distribution: metadata.Distribution) -> tuple[str, str]:
    """Name and version; a package whose metadata are damaged must not break the others."""
    found: list[str | None] = [None, None]
    with suppress(Exception):
        found = [distribution.name, distribution.version]
    return found[0] or _NAMELESS, found[1] or "unknown"


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
