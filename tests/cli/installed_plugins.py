"""Plugins that are installed for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from built_packages import write_package

from nasgan import registry
from nasgan.cli import config_folders, config_options, doctor_plugins
from nasgan.registry import ARCHITECTURES, CONFIGS, METRICS, SEARCH_SPACES, STRATEGIES

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install("acme", {path: text}, strategies={"name": "module:Class"})``."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def forget() -> None:
        registry.refresh()
        config_folders._examined.cache_clear()
        config_options._warn_once.cache_clear()

    def add(
        name: str,
        files: Mapping[str, str],
        *,
        conf: str | None = None,
        strategies: Mapping[str, str] | None = None,
        metrics: Mapping[str, str] | None = None,
        architectures: Mapping[str, str] | None = None,
        spaces: Mapping[str, str] | None = None,
    ) -> None:
        folder = f"{name}_search.conf" if conf is None else conf
        points = {
            CONFIGS: {name: folder},
            STRATEGIES: strategies or {},
            METRICS: metrics or {},
            ARCHITECTURES: architectures or {},
            SEARCH_SPACES: spaces or {},
        }
        write_package(site, name, entry_points=points, files=files)
        forget()

    yield add
    monkeypatch.undo()
    forget()
    for module in set(sys.modules) - before:
        if "_search" in module.partition(".")[0]:
            del sys.modules[module]


def random_search(name: str) -> str:
    """A module with a strategy that works."""
    return (
        "from nasgan_strategies.random.strategy import RandomSearch\n\n\n"
        f"class Search(RandomSearch):\n    name = {name!r}\n"
    )


def findings() -> dict[str, tuple[str, str]]:
    """What the doctor finds about plugins: state and detail by what it is about."""
    examined = [*doctor_plugins.plugin_findings(), *doctor_plugins.config_findings()]
    return {finding.what: (finding.state, finding.detail) for finding in examined}
