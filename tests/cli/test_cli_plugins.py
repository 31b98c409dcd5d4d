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
from installed_plugins import Install, findings, random_search

import nasgan
from nasgan.cli import config_folders, config_options, doctor_plugins
from nasgan.cli.compose import compose
from nasgan.cli.main import main
from nasgan.errors import PluginError
from nasgan.registry import CONFIGS, STRATEGIES, Plugin


@pytest.fixture
def acme(install: Install) -> None:
    """An installed package that would fail if it were imported, with a folder of configurations."""
    install(
        "acme",
        {
            "acme_search/__init__.py": "raise RuntimeError('imported')\n",
            "acme_search/conf/strategy/acme.yaml": (
                "# The search of ACME\n_target_: acme_search.Search\nspeed: 3\n"
            ),
            "acme_search/conf/strategy/random.yaml": "_target_: acme_search.Other\n",
        },
    )


def test_a_plugins_options_are_found_without_importing_it(
    acme: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compose("search", ["strategy=acme"])["strategy"]["speed"] == 3
    assert main(["list", "strategies"]) == 0
    assert "The search of ACME  [acme]" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["search", "--help"])
    (offered,) = re.findall(r"strategy +(.*)", capsys.readouterr().out)[:1]
    assert {"acme", "[random]", "random_scratch"} <= set(offered.split(", "))
    assert "acme_search" not in sys.modules


def test_a_plugin_cannot_replace_an_option_of_nasgan(acme: None) -> None:
    assert "nasgan_strategies" in compose("search", [])["strategy"]["_target_"]
    owners = {option.name: option.owner for option in config_options.options("strategy")}
    assert (owners["random"], owners["acme"]) == ("nasgan", "acme")
    state, detail = findings()["option strategy/random"]
    assert state == "note"
    assert "that of nasgan is used" in detail


@pytest.mark.parametrize("value", ["no_such_package.conf", "acme_search.nothing", "..", "."])
def test_a_folder_that_is_missing_is_left_out(
    acme: None, install: Install, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    install("broken", {}, conf=value)
    with caplog.at_level(logging.WARNING):
        assert compose("search", ["strategy=acme"])["strategy"]["speed"] == 3
        compose("search", [])
    assert len([r for r in caplog.records if "plugin broken 1.0" in r.getMessage()]) == 1
    with pytest.raises(PluginError):
        config_folders.plugin_folder(Plugin(CONFIGS, "broken", value, "broken", "1.0"))
    assert findings()["configurations of broken"][0] == "faulty"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("steps: [1\n", "cannot be read"),
        ("- a list\n", "holds no mapping"),
        ("defaults: [nowhere]\n_target_: broken_search.Search\n", "name strategy/nowhere, which"),
        ("defaults:\n  - override /trainer: nowhere\n", "name trainer/nowhere, which"),
        ("defaults:\n  - /nothing@_here_: [small]\n", "name nothing/small, which"),
    ],
)
def test_a_file_that_would_stop_every_sweep_is_left_out_alone(
    acme: None,
    install: Install,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    text: str,
    complaint: str,
) -> None:
    files = {
        "broken_search/conf/strategy/broken.yaml": text,
        "broken_search/conf/strategy/heir.yaml": "defaults: [broken]\n",
        "broken_search/conf/strategy/sound.yaml": "_target_: broken_search.Search\nspeed: 5\n",
    }
    install("broken", files)
    with caplog.at_level(logging.WARNING):
        names = [option.name for option in config_options.options("strategy")]
        assert compose("search", ["strategy=sound"])["strategy"]["speed"] == 5
    assert {"acme", "sound"} <= set(names)
    assert not {"broken", "heir"} & set(names)
    assert not caplog.records
    with pytest.raises(PluginError) as caught:
        compose("search", ["strategy=broken"])
    assert str(caught.value).startswith("strategy/broken cannot be chosen: plugin broken 1.0: ")
    assert complaint in str(caught.value)
    with pytest.raises(PluginError, match=r"name strategy/broken, which is left out$"):
        compose("search", ["strategy=heir"])
    state, detail = findings()["option strategy/broken"]
    assert state == "faulty"
    assert complaint in detail
    assert findings()["configurations of broken"][0] == "ok"
    assert main(["list", "strategies"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"^  broken +left out: plugin broken 1.0: .*{complaint}", out, re.MULTILINE)


def test_defaults_that_exist_are_accepted(acme: None, install: Install) -> None:
    text = (
        "defaults:\n  - acme\n  - override /trainer@_global_.trainer: small\n"
        "  - optional /dataset: nowhere\n  - override /hydra/launcher: nowhere\n  - _self_\n"
        "  - /metrics@_global_.metrics: ${choice}\nspeed: 4\n"
    )
    install("more", {"more_search/conf/strategy/more.yaml": text})
    assert "more" in [option.name for option in config_options.options("strategy")]


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('my fault')\n",
        "import sys\n\nsys.exit('my fault')\n",
        "def (: 'my fault'\n",
        "import no_such_module_at_all\n",
    ],
)
def test_a_module_that_cannot_be_imported_is_named_and_hurts_nobody_else(
    install: Install,
    source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(
        "broken",
        {
            "broken_search/__init__.py": source,
            "broken_search/conf/strategy/broken.yaml": "_target_: broken_search.Search\n",
        },
        strategies={"broken": "broken_search:Search"},
    )
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 0
    assert main(["search", "strategy=broken", "+experiment=debug/tiny"]) == 2
    error = capsys.readouterr().err
    assert "'broken_search.Search' of the package broken 1.0 cannot be imported" in error
    assert not (tmp_path / "outputs").exists()
    found = findings()
    assert found["strategy broken"][0] == "faulty"
    assert "of the package broken 1.0 cannot be loaded" in found["strategy broken"][1]
    assert found["strategy random"] == ("ok", f"nasgan {nasgan.__version__}")
    assert "broken" not in [state for state, _ in found.values()]
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAULTY strategy broken: " in out
    assert "Plugins that do not work: strategy broken." in out


def test_in_a_sweep_only_the_broken_plugins_job_fails(
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, source in {"sound": random_search("sound"), "broken": "raise ValueError()\n"}.items():
        install(
            name,
            {
                f"{name}_search/__init__.py": source,
                f"{name}_search/conf/strategy/{name}.yaml": f"_target_: {name}_search.Search\n",
            },
            strategies={name: f"{name}_search:Search"},
        )
    monkeypatch.chdir(tmp_path)
    command = ["search", "-m", "strategy=glob([broken,sound])", "+experiment=debug/tiny"]
    assert main([*command, "progress=false"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"broken +REFUSED .*of the package broken 1\.0 cannot be imported", out)
    assert re.search(r"sound +completed", out)


def test_the_doctor_finds_halves_of_pairs(install: Install) -> None:
    install(
        "acme",
        {
            "acme_search/__init__.py": random_search("lonely"),
            "acme_search/conf/strategy/acme.yaml": "_target_: acme_search.Search\n",
            "acme_search/conf/strategy/empty.yaml": "speed: 3\n",
        },
        strategies={"lonely": "acme_search:Lonely"},
    )
    found = {what: detail for what, (_, detail) in findings().items()}
    assert "no entry point of nasgan.strategies" in found["strategy=acme"]
    assert "has no _target_ (acme)" in found["strategy=empty"]
    assert "acme should bring a strategy/lonely.yaml" in found["strategy lonely"]


def test_a_strategy_without_an_option_is_answered_with_what_is_missing(
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = {
        "acme_search/__init__.py": random_search("acme"),
        "acme_search/conf/strategy/other.yaml": "_target_: acme_search.Search\n",
    }
    install("acme", files, strategies={"acme": "acme_search:Search"})
    monkeypatch.chdir(tmp_path)
    assert main(["search", "strategy=acme"]) == 2
    assert "'acme' is registered by acme 1.0, but no configuration" in capsys.readouterr().err
    assert main(["list", "strategies"]) == 0
    assert re.search(r"acme +no configuration .*from Python only", capsys.readouterr().out)


def test_the_doctor_finds_names_that_two_packages_claim(install: Install) -> None:
    for name in ("one", "two"):
        files = {
            f"{name}_search/__init__.py": random_search("twin"),
            f"{name}_search/conf/strategy/twin.yaml": f"_target_: {name}_search.Search\n",
        }
        install(name, files, strategies={"twin": f"{name}_search:Search"})
    install(
        "thief",
        {"thief_search/__init__.py": random_search("random")},
        strategies={"random": "thief_search:Search"},
    )
    examined = [*doctor_plugins.plugin_findings(), *doctor_plugins.config_findings()]
    notes = [(f.what, f.detail) for f in examined if f.state == "note"]
    faults = [(f.what, f.detail) for f in examined if f.state == "faulty"]
    assert ("strategy twin", "registered by one and two: uninstall one of them") in faults
    assert ("strategy random", "that of thief is hidden: nasgan has one of this name") in notes
    assert [what for what, _ in notes + faults if "twin" in what] == [
        "strategy twin",
        "option strategy/twin",
    ]
    with pytest.raises(PluginError, match="registered by one and two"):
        nasgan.make_strategy("twin")
    assert type(nasgan.make_strategy("random")).__module__.startswith("nasgan_strategies.")


def test_the_doctor_finds_what_is_no_strategy(install: Install) -> None:
    files = {
        "acme_search/__init__.py": "class Search:\n    pass\n",
        "acme_search/conf/strategy/acme.yaml": "_target_: acme_search.Search\n",
    }
    install("acme", files, strategies={"acme": "acme_search:Search"})
    state, detail = findings()["strategy acme"]
    assert state == "faulty"
    assert (
        detail
        == "'acme_search:Search' of acme 1.0 is no subclass of nasgan.contracts.SearchStrategy"
    )


def test_architectures_of_a_package_without_submodules_are_listed(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"acme_search/__init__.py": "", "acme_search/conf/budget/acme.yaml": "images: 3\n"}
    install("acme", files, architectures={"mine": "acme_search:MINE"})
    assert main(["list", "architectures"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^  mine +acme_search  \[acme\]$", out, re.MULTILINE)
    assert re.search(r"^  autogan_a +autogan$", out, re.MULTILINE)


def test_metrics_are_listed_unloaded_and_examined_by_the_doctor(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (
        "from nasgan.metrics import MetricInfo\n\n"
        "SOUND = MetricInfo('sound_score', 'Sound', 'max', compute=lambda features, real: 1.0)\n"
        "EMPTY = MetricInfo('empty_score', 'Empty', 'max')\n"
    )
    files = {"acme_search/__init__.py": source, "acme_search/conf/budget/acme.yaml": "images: 3\n"}
    names = {"sound_score": "SOUND", "empty_score": "EMPTY", "fid": "SOUND"}
    install("acme", files, metrics={name: f"acme_search:{names[name]}" for name in names})
    assert main(["list", "metrics"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^  fid +FID, less is better$", out, re.MULTILINE)
    assert re.search(r"^  sound_score +acme_search:SOUND  \[acme\]$", out, re.MULTILINE)
    assert "acme_search" not in sys.modules
    found = findings()
    assert found["metric sound_score"] == ("ok", "acme 1.0")
    assert "needs a `compute`" in found["metric empty_score"][1]
    hidden = "that of acme is hidden: nasgan has one of this name"
    assert found["metric fid"] == ("note", hidden)


def test_the_doctor_is_content_with_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert not re.search("BROKEN|FAULTY", out)
    assert "ok     dataset=digits" in out
    assert "note   dataset=npz: set dataset.path" in out
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_fails_when_the_default_cannot_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = Plugin(STRATEGIES, "random", "no_such_module:Thing", "nasgan", "1.0")
    monkeypatch.setattr(
        doctor_plugins, "plugins", lambda group: (broken,) if group == STRATEGIES else ()
    )
    monkeypatch.setattr("nasgan.registry.plugins", lambda group: (broken,))
    assert main(["doctor"]) == 1
    assert "BROKEN strategy random" in capsys.readouterr().out


def test_an_installed_package_reads_its_own_configurations(tmp_path: Path) -> None:
    site = tmp_path / "site"
    own = Path(nasgan.__file__).parent
    shutil.copytree(own, site / "nasgan", ignore=shutil.ignore_patterns("__pycache__", "conf"))
    shutil.copytree(config_options.config_folder(), site / "nasgan" / "conf")
    (site / "nasgan" / "conf" / "budget" / "mine.yaml").write_text(
        "_target_: nasgan.contracts.Budget\nimages: 7\n", encoding="utf-8"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "nasgan",
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
        [sys.executable, "-m", "nasgan", "search", "--info", "searchpath"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "pkg://nasgan.conf" in info.stdout
