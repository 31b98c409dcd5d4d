"""Configurations of installed plugins, and what the doctor says about broken ones."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nasgan
from nasgan.cli import checkup, configs
from nasgan.cli.compose import compose
from nasgan.cli.main import main
from nasgan.errors import PluginError
from nasgan.registry import CONFIGS, STRATEGIES, Plugin

ROOT = Path(__file__).resolve().parents[2]


def config_plugin(value: str, distribution: str = "acme") -> Plugin:
    return Plugin(CONFIGS, "acme", value, distribution, "1.0")


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that would fail if it were imported, with a folder of configurations."""
    package = tmp_path / "acme_search"
    folder = package / "conf" / "strategy"
    folder.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    (folder / "acme.yaml").write_text(
        "# The search of ACME\n_target_: acme_search.Search\nspeed: 3\n", encoding="utf-8"
    )
    (folder / "random.yaml").write_text("_target_: acme_search.Other\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    install(monkeypatch, [config_plugin("acme_search.conf")])
    return package


def install(monkeypatch: pytest.MonkeyPatch, found: list[Plugin]) -> None:
    def plugins(group: str) -> tuple[Plugin, ...]:
        return tuple(plugin for plugin in found if plugin.group == group)

    configs._folder_or_warning.cache_clear()
    monkeypatch.setattr(configs, "plugins", plugins)
    monkeypatch.setattr(checkup, "plugins", plugins)


def test_a_plugins_options_are_found_without_importing_it(
    acme: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compose("search", ["strategy=acme"])["strategy"]["speed"] == 3
    assert main(["list", "strategies"]) == 0
    assert "The search of ACME  [acme]" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["search", "--help"])
    (offered,) = re.findall(r"strategy +(.*)", capsys.readouterr().out)[:1]
    assert {"acme", "[random]", "random_scratch"} <= set(offered.split(", "))


def test_a_plugin_cannot_replace_an_option_of_nasgan(acme: Path) -> None:
    assert "nasgan_strategies" in compose("search", [])["strategy"]["_target_"]
    owners = {option.name: option.owner for option in configs.options("strategy")}
    assert (owners["random"], owners["acme"]) == ("nasgan", "acme")
    findings = {finding.what: finding for finding in checkup.config_findings()}
    assert findings["option strategy/random"].state == "note"
    assert "that of nasgan is used" in findings["option strategy/random"].detail


@pytest.mark.parametrize("value", ["no_such_package.conf", "acme_search.nothing", "..", ""])
def test_a_broken_plugin_breaks_only_itself(
    acme: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    value: str,
) -> None:
    install(monkeypatch, [config_plugin(value, "broken"), config_plugin("acme_search.conf")])
    with caplog.at_level(logging.WARNING):
        assert compose("search", ["strategy=acme"])["strategy"]["speed"] == 3
        compose("search", [])
    assert len([r for r in caplog.records if "plugin broken 1.0" in r.getMessage()]) == 1
    with pytest.raises(PluginError):
        configs.plugin_folder(config_plugin(value))
    findings = {finding.what: finding for finding in checkup.config_findings()}
    assert findings["configurations of broken"].state == "note"


def test_the_doctor_finds_halves_of_pairs(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Plugin(STRATEGIES, "lonely", "acme_search:Lonely", "acme", "1.0")
    install(monkeypatch, [config_plugin("acme_search.conf"), alone])
    findings = {finding.what: finding.detail for finding in checkup.config_findings()}
    assert "no entry point of nasgan.strategies" in findings["strategy=acme"]
    assert "no configuration selects it" in findings["strategy lonely"]


def test_the_doctor_is_content_with_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "BROKEN" not in out
    assert "ok     dataset=digits" in out
    assert "note   dataset=npz: set dataset.path" in out
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_fails_when_the_default_cannot_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = Plugin(STRATEGIES, "random", "no_such_module:Thing", "nasgan", "1.0")
    monkeypatch.setattr(checkup, "plugins", lambda group: (broken,) if group == STRATEGIES else ())
    monkeypatch.setattr("nasgan.registry.plugins", lambda group: (broken,))
    assert main(["doctor"]) == 1
    assert "BROKEN strategy random" in capsys.readouterr().out


def test_an_installed_package_reads_its_own_configurations(tmp_path: Path) -> None:
    site = tmp_path / "site"
    own = Path(nasgan.__file__).parent
    shutil.copytree(own, site / "nasgan", ignore=shutil.ignore_patterns("__pycache__", "conf"))
    shutil.copytree(configs.config_folder(), site / "nasgan" / "conf")
    (site / "nasgan" / "conf" / "budget" / "mine.yaml").write_text(
        "_target_: nasgan.contracts.Budget\nimages: 7\n", encoding="utf-8"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "nasgan.cli",
            "search",
            "budget=mine",
            "--cfg",
            "job",
            "-p",
            "budget",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "images: 7" in done.stdout, done.stderr
    info = subprocess.run(
        [sys.executable, "-m", "nasgan.cli", "search", "--info", "searchpath"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "pkg://nasgan.conf" in info.stdout
