"""The examinations of ``nasgan doctor`` that concern plugins: what they register and bring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Literal

from omegaconf import OmegaConf

from nasgan.cli.checkup import Finding
from nasgan.cli.compose import compose
from nasgan.cli.configs import ConfigOption, config_sources, options, plugin_folder
from nasgan.errors import NasganError, PluginError
from nasgan.metrics.table import metric_info
from nasgan.registry import (
    ARCHITECTURES,
    CONFIGS,
    METRICS,
    SEARCH_SPACES,
    STRATEGIES,
    Plugin,
    duplicate_names,
    load_plugin,
    plugins,
    unreadable_packages,
)

__all__ = ["config_findings", "plugin_findings"]

_KINDS = {
    STRATEGIES: "strategy",
    SEARCH_SPACES: "space",
    ARCHITECTURES: "architecture",
    METRICS: "metric",
}
_BASES = {
    STRATEGIES: ("nasgan.contracts", "SearchStrategy"),
    SEARCH_SPACES: ("nasgan.contracts", "SearchSpace"),
    ARCHITECTURES: ("nasgan.architecture", "Architecture"),
}
_NEEDED = {STRATEGIES: "random", SEARCH_SPACES: "autogan"}

# Groups whose options name a class that an entry point should register, and the others.
_PAIRED = {"strategy": STRATEGIES, "search_space": SEARCH_SPACES}
_UNPAIRED = ("budget", "evaluator", "executor", "experiment", "logger", "metrics", "trainer")


def plugin_findings() -> Iterator[Finding]:
    """Whether every registered strategy, space, architecture and metric can be loaded."""
    for package, reason in unreadable_packages().items():
        yield Finding("faulty", package, reason)
    for group, kind in _KINDS.items():
        twice = set(duplicate_names(group))
        for plugin in plugins(group):
            if plugin.name in twice and plugin.distribution != "nasgan":
                yield _twice(kind, plugin)
            else:
                yield _loading(kind, plugin)


def _twice(kind: str, plugin: Plugin) -> Finding:
    owners = {p.distribution for p in plugins(plugin.group) if p.name == plugin.name}
    if "nasgan" in owners:
        return Finding("note", f"{kind} {plugin.name}", _hidden(plugin))
    detail = f"registered by {' and '.join(sorted(owners))}: uninstall one of them"
    return Finding("faulty", f"{kind} {plugin.name}", detail)


def _hidden(plugin: Plugin) -> str:
    return f"that of {plugin.distribution} is hidden: nasgan has one of this name"


def _loading(kind: str, plugin: Plugin) -> Finding:
    what = f"{kind} {plugin.name}"
    severity: Literal["faulty", "broken"] = (
        "broken" if _NEEDED.get(plugin.group) == plugin.name else "faulty"
    )
    owner = f"{plugin.distribution} {plugin.version}"
    try:
        if plugin.group == METRICS:
            if metric_info(plugin.name).compute is None:
                return Finding("note", what, _hidden(plugin))
            return Finding("ok", what, owner)
        fault = _fault(plugin, load_plugin(plugin.group, plugin.name))
    except PluginError as error:
        return Finding(severity, what, str(error))
    if fault:
        return Finding(severity, what, f"{plugin.value!r} of {owner} {fault}")
    return Finding("ok", what, owner)


def _fault(plugin: Plugin, loaded: object) -> str:
    """What is wrong with the object that ``plugin`` points to; empty if nothing is."""
    module, name = _BASES[plugin.group]
    base = getattr(import_module(module), name)
    is_class = plugin.group in _PAIRED.values()
    if is_class and not (isinstance(loaded, type) and issubclass(loaded, base)):
        return f"is no subclass of {module}.{name}"
    if not is_class and not isinstance(loaded, base):
        return f"is no {module}.{name}"
    own_name = getattr(loaded, "name", plugin.name)
    # Architectures name their space, which is then looked up.
    if plugin.group == SEARCH_SPACES and own_name != plugin.name:
        return f"calls itself {own_name!r}: the name of the entry point has to be the same"
    return ""


def config_findings() -> Iterator[Finding]:
    """What Hydra hides: missing folders, options that shadow each other, halves of pairs."""
    try:
        compose("search")
        yield Finding("ok", "default", "nasgan search composes")
    except NasganError as error:
        yield Finding("broken", "default", str(error))
    for plugin in plugins(CONFIGS):
        try:
            folder = plugin_folder(plugin)
            yield Finding("ok", f"configurations of {plugin.distribution}", str(folder))
        except PluginError as error:
            yield Finding("faulty", f"configurations of {plugin.distribution}", str(error))
    yield from _shadowed()
    for group, entry_points in _PAIRED.items():
        yield from _pairs(group, entry_points)
    for group in _UNPAIRED:
        for option in options(group):
            if option.owner != "nasgan":
                yield from _composing(group, option)


def _shadowed() -> Iterator[Finding]:
    owners: dict[str, list[str]] = defaultdict(list)
    for owner, folder in config_sources():
        for path in folder.rglob("*.yaml"):
            owners[path.relative_to(folder).with_suffix("").as_posix()].append(owner)
    for name, several in sorted(owners.items()):
        if len(several) > 1:
            detail = f"in {' and '.join(several)}: that of {several[0]} is used, the rest is hidden"
            yield Finding("note", f"option {name}", detail)


def _pairs(group: str, entry_points: str) -> Iterator[Finding]:
    """Options whose class no entry point registers, and entry points that no option selects."""
    registered = {plugin.value.replace(":", ".") for plugin in plugins(entry_points)}
    selected = set()
    for option in options(group):
        try:
            target = _target(group, option)
        except NasganError as error:
            yield Finding("faulty", f"{group}={option.name}", f"{error} ({option.owner})")
            continue
        selected.add(target)
        if target is None and option.owner != "nasgan":
            yield Finding("faulty", f"{group}={option.name}", f"has no _target_ ({option.owner})")
        if target is not None and target not in registered:
            detail = f"its _target_ {target} is no entry point of {entry_points} ({option.owner})"
            yield Finding("note", f"{group}={option.name}", detail)
    for plugin in plugins(entry_points):
        if plugin.value.replace(":", ".") not in selected:
            detail = f"no configuration selects it; {plugin.distribution} should bring a {group}/"
            yield Finding("note", f"{group} {plugin.name}", f"{detail}{plugin.name}.yaml")


def _target(group: str, option: ConfigOption) -> str | None:
    if option.owner != "nasgan":
        # Composed, as it may inherit the target from another option.
        return _as_text(compose("search", [f"{group}={option.name}"])[group].get("_target_"))
    content: Any = OmegaConf.load(option.path)
    return _as_text(content.get("_target_"))


def _as_text(target: object) -> str | None:
    return None if target is None else str(target)


def _composing(group: str, option: ConfigOption) -> Iterator[Finding]:
    """Whether an option of a plugin can be read; experiments are added, the others chosen."""
    choice = f"{'+' if group == 'experiment' else ''}{group}={option.name}"
    try:
        compose("search", [choice])
    except NasganError as error:
        yield Finding("faulty", choice, f"{error} ({option.owner})")
