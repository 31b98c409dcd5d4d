"""The examinations of ``nasgan doctor`` that concern plugins: what they register and bring."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, Literal

from omegaconf import OmegaConf

from nasgan.cli.compose import compose
from nasgan.cli.config_folders import PAIRED, config_folders, plugin_folder, read_yaml
from nasgan.cli.config_options import ConfigOption, options
from nasgan.cli.doctor import Finding, refused_target
from nasgan.errors import MissingSettingError, NasganError, PluginError
from nasgan.metrics.table import metric_info
from nasgan.registry import (
    ARCHITECTURES,
    AUGMENTATIONS,
    CONFIGS,
    EVALUATORS,
    EXTRACTORS,
    LOSSES,
    METRICS,
    SEARCH_SPACES,
    STRATEGIES,
    Plugin,
    duplicate_names,
    load_plugin,
    plugins,
    unreadable_packages,
)

__all__ = ["TookTooLongError", "config_findings", "plugin_findings", "time_limit"]

_KINDS = {
    STRATEGIES: "strategy",
    SEARCH_SPACES: "space",
    EVALUATORS: "evaluator",
    ARCHITECTURES: "architecture",
    METRICS: "metric",
    LOSSES: "loss",
    AUGMENTATIONS: "augmentation",
    EXTRACTORS: "feature extractor",
}
_BASES = {
    STRATEGIES: ("nasgan.contracts", "SearchStrategy"),
    SEARCH_SPACES: ("nasgan.contracts", "SearchSpace"),
    EVALUATORS: ("nasgan.contracts", "Evaluator"),
    ARCHITECTURES: ("nasgan.architecture", "Architecture"),
    LOSSES: ("nasgan.contracts", "AdversarialLoss"),
    AUGMENTATIONS: ("nasgan.contracts", "Augmentation"),
    EXTRACTORS: ("nasgan.metrics", "FeatureExtractor"),
}
_NEEDED = {
    STRATEGIES: "random",
    SEARCH_SPACES: "autogan",
    EVALUATORS: "shared",
    EXTRACTORS: "digits",
}
# By these names records and protocol ids call them.
_OWN_NAME = {SEARCH_SPACES: "name", EVALUATORS: "fidelity", EXTRACTORS: "name"}

_SECONDS = 30.0  # torch alone may take ten
_AGAIN_SECONDS = 1.0

_UNPAIRED = ("budget", "executor", "experiment", "logger", "metrics", "trainer")


def plugin_findings() -> Iterator[Finding]:
    """Whether everything that is registered can be loaded."""
    for package, reason in unreadable_packages().items():
        yield Finding("faulty", package, reason)
    for group, kind in _KINDS.items():
        twice = duplicate_names(group)
        for name in twice:
            yield from _twice(kind, [plugin for plugin in plugins(group) if plugin.name == name])
        for plugin in plugins(group):
            if plugin.name not in twice or plugin.distribution == "nasgan":
                yield _loading(kind, plugin)


def _twice(kind: str, claiming: Sequence[Plugin]) -> Iterator[Finding]:
    what = f"{kind} {claiming[0].name}"
    owners = [plugin.distribution for plugin in claiming]
    if "nasgan" in owners:
        for plugin in claiming:
            if plugin.distribution != "nasgan":
                yield Finding("note", what, _hidden(plugin))
    else:
        detail = f"registered by {' and '.join(sorted(set(owners)))}: uninstall one of them"
        yield Finding("faulty", what, detail)


def _hidden(plugin: Plugin) -> str:
    return f"that of {plugin.distribution} is hidden: nasgan has one of this name"


def _loading(kind: str, plugin: Plugin) -> Finding:
    what = f"{kind} {plugin.name}"
    severity: Literal["faulty", "broken"] = (
        "broken" if _NEEDED.get(plugin.group) == plugin.name else "faulty"
    )
    owner = f"{plugin.distribution} {plugin.version}"
    try:
        with time_limit(_SECONDS):
            return _loaded(plugin, what, owner, severity)
    except PluginError as error:
        return Finding(severity, what, str(error))
    except TookTooLongError as error:
        return Finding(severity, what, f"{plugin.value!r} of {owner}: {error}")


def _loaded(
    plugin: Plugin, what: str, owner: str, severity: Literal["faulty", "broken"]
) -> Finding:
    if plugin.group == METRICS:
        if metric_info(plugin.name).compute is None:
            return Finding("note", what, _hidden(plugin))
        return Finding("ok", what, owner)
    fault = _fault(plugin, load_plugin(plugin.group, plugin.name))
    if fault:
        return Finding(severity, what, f"{plugin.value!r} of {owner} {fault}")
    return Finding("ok", what, owner)


def _fault(plugin: Plugin, loaded: object) -> str:
    """What is wrong with the object that ``plugin`` points to; empty if nothing is."""
    module, name = _BASES[plugin.group]
    base = getattr(import_module(module), name)
    is_class = plugin.group != ARCHITECTURES
    if is_class and not (isinstance(loaded, type) and issubclass(loaded, base)):
        return f"is no subclass of {module}.{name}"
    if not is_class and not isinstance(loaded, base):
        return f"is no {module}.{name}"
    own_name = getattr(loaded, _OWN_NAME.get(plugin.group, ""), plugin.name)
    if own_name != plugin.name:
        return f"calls itself {own_name!r}: the name of the entry point has to be the same"
    return ""


def config_findings() -> Iterator[Finding]:
    """What Hydra hides: missing folders, files that are not used, halves of pairs."""
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
    yield from _unused()
    for group, entry_points in PAIRED.items():
        yield from _pairs(group, entry_points)
    for group in _UNPAIRED:
        for option in options(group):
            if option.owner != "nasgan":
                yield from _composing(group, option)


def _unused() -> Iterator[Finding]:
    """Options that nobody can choose, each once, and files that another package's go before."""
    left_out: dict[str, str] = {}
    for folder in config_folders():
        left_out |= folder.left_out
        for option, winner in sorted(folder.hidden.items()):
            why = "" if winner == "nasgan" else ", as it registers the name"
            detail = f"that of {winner} is used{why}; that of {folder.owner} is hidden"
            yield Finding("note", f"option {option}", detail)
    for option, reason in sorted(left_out.items()):
        yield Finding("faulty", f"option {option}", f"left out: {reason}")


def _pairs(group: str, entry_points: str) -> Iterator[Finding]:
    """Options whose class no entry point registers, and entry points that no option selects."""
    registered = {plugin.value.replace(":", ".") for plugin in plugins(entry_points)}
    selected = set()
    for option in options(group):
        what = f"{group}={option.name}"
        try:
            node = _node(group, option)
        except NasganError as error:
            yield Finding("faulty", what, f"{error} ({option.owner})")
            continue
        target = node.get("_target_")
        selected.add(target)
        if refused := refused_target(node):
            yield Finding("faulty", what, f"{refused} ({option.owner})")
        elif target is None and option.owner != "nasgan":
            yield Finding("faulty", what, f"has no _target_ ({option.owner})")
        elif target is not None and target not in registered:
            detail = f"its _target_ {target} is no entry point of {entry_points} ({option.owner})"
            yield Finding("note", what, detail)
    for plugin in plugins(entry_points):
        if plugin.value.replace(":", ".") not in selected:
            yield from _unselected(group, plugin)


def _unselected(group: str, plugin: Plugin) -> Iterator[Finding]:
    """What to do about an entry point that no option selects, unless `_unused` has said it."""
    option = f"{group}/{plugin.name}"
    own = [folder for folder in config_folders() if folder.owner == plugin.distribution]
    if any(option in folder.usable(group) for folder in own):
        advice = f"the _target_ of {plugin.distribution}'s {option}.yaml is another"
    elif any(option in folder.files(group) for folder in own):
        return
    elif plugin.name in duplicate_names(plugin.group):
        return  # to bring the file would not help
    else:
        advice = f"{plugin.distribution} should bring a {option}.yaml"
    detail = f"no configuration selects it; {advice}"
    yield Finding("note", f"{group} {plugin.name}", detail)


def _node(group: str, option: ConfigOption) -> Mapping[str, Any]:
    if option.owner != "nasgan":
        # Composed, as it may inherit the target from another option.
        try:
            node: Any = compose("search", [f"{group}={option.name}"])[group]
        except MissingSettingError:
            node = _as_written(option)
    else:
        node = _as_written(option)
    return node if isinstance(node, Mapping) else {}


def _as_written(option: ConfigOption) -> Any:
    return OmegaConf.to_container(read_yaml(option.path))


def _composing(group: str, option: ConfigOption) -> Iterator[Finding]:
    """Whether an option of a plugin can be used; experiments are added, the others chosen."""
    choice = f"{'+' if group == 'experiment' else ''}{group}={option.name}"
    try:
        refused = refused_target(compose("search", [choice]))
    except MissingSettingError as needed:
        yield Finding("ok", choice, f"needs {needed.key}=VALUE ({option.owner})")
        return
    except NasganError as error:
        refused = str(error)
    if refused:
        yield Finding("faulty", choice, f"{refused} ({option.owner})")


class TookTooLongError(BaseException):
    """The time is over; no `Exception`, which what has hung might catch."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop what takes longer, by a signal; a thread other than the main one has no limit.

    Raises:
        TookTooLongError: within what has taken too long, and again each second until it ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLongError(f"it has not ended within {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
