"""``nasgan new``: what it writes installs, runs and passes its own test; what it refuses."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from built_packages import build_wheel, run, unpack

from nasgan.cli.main import main
from nasgan.cli.new import KINDS

NASGAN = [sys.executable, "-m", "nasgan"]


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_packages_build_run_together_and_pass_their_tests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "strategy", "hill_search"]) == 0
    assert main(["new", "space", "plain", "path=spaces/mine"]) == 0
    said = capsys.readouterr().out
    assert "nasgan search strategy=hill_search +experiment=debug/tiny" in said
    assert main(["new", "evaluator", "brief"]) == 0
    assert main(["new", "extractor", "fixed", "path=features"]) == 0
    said = capsys.readouterr().out
    assert "nasgan search evaluator=brief +experiment=debug/tiny" in said
    assert "nasgan search metrics=fixed +experiment=debug/tiny" in said
    projects = [tmp_path / "nasgan-hill-search", tmp_path / "spaces" / "mine"]
    projects += [tmp_path / "nasgan-brief", tmp_path / "features"]
    site = tmp_path / "site"
    for project in projects:
        assert "{{" not in "".join(p.read_text() for p in project.rglob("*") if p.is_file())
        unpack(build_wheel(project, tmp_path), site)
    tests = [str(project / "tests") for project in projects]
    pytest_options = ["-q", "-p", "no:cacheprovider"]
    assert "4 passed" in run(
        [sys.executable, "-m", "pytest", *pytest_options, *tests], cwd=tmp_path, path=[site]
    )
    chosen = ["strategy=hill_search", "search_space=plain", "+experiment=debug/tiny"]
    chosen += ["evaluator=brief", "metrics=fixed", "evaluator.num_images=16"]
    chosen += ["executor=processes", "executor.workers=1"]
    run([*NASGAN, "search", *chosen, "run_dir=run"], cwd=tmp_path, path=[site])
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    plugins = record["environment"]["plugins"]
    owners = ("nasgan-hill-search", "nasgan-plain", "nasgan-brief", "nasgan-fixed")
    assert plugins.items() >= dict.fromkeys(owners, "0.1.0").items()
    assert record["strategy"] == "hill_search_brief"
    assert record["protocol"].endswith("-fixed-v1")
    listed = run([*NASGAN, "list"], cwd=tmp_path, path=[site])
    for name, owner in zip(("hill_search", "plain", "brief", "fixed"), owners, strict=True):
        assert re.search(rf"^  {name} .*\[{owner}\]$", listed, re.MULTILINE)


def test_pytest_comes_with_the_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in KINDS:
        folder = f"my {kind}"
        assert main(["new", kind, f"mine_{kind}", f"path={folder}"]) == 0
        said = capsys.readouterr().out
        assert f"  pip install -e '{folder}[test]'\n  python -m pytest '{folder}'\n" in said
        project = (tmp_path / folder / "pyproject.toml").read_text()
        assert '[project.optional-dependencies]\ntest = ["pytest"]\n' in project
        assert "pip install -e '.[test]' " in (tmp_path / folder / "README.md").read_text()


def test_progress_counts_the_supernets_training(tmp_path: Path) -> None:
    assert main(["new", "strategy", "hill"]) == 0
    source = runpy.run_path(str(tmp_path / "nasgan-hill/nasgan_hill/strategy.py"))
    strategy = source["HillSearch"](num_candidates=4)
    assert strategy.progress() == 0.0
    shared = SimpleNamespace(generator_steps=5)
    strategy.run, strategy.supernet_steps = SimpleNamespace(shared_weights=shared), 10
    assert strategy.progress() == 0.25
    shared.generator_steps, strategy.evaluations = 10, [None] * 2
    assert strategy.progress() == 0.75
    strategy.supernet_steps = 0
    assert strategy.progress() == 0.5


def test_the_class_is_not_called_search_twice(tmp_path: Path) -> None:
    assert main(["new", "strategy", "hill_search"]) == 0
    source = (tmp_path / "nasgan-hill-search/nasgan_hill_search/strategy.py").read_text()
    assert "class HillSearch(AskTellStrategy)" in source


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["strategy", "Hill-Climb"], "Did you mean 'hill_climb'?"),
        (["strategy", "class"], "cannot be the name of a strategy"),
        (["strategy", "null"], "cannot be the name of a strategy"),
        (["strategy", "../up"], "cannot be the name of a strategy"),
        (["strategy", "trailing_"], "Did you mean 'trailing'?"),
        (["strategy", "random"], "the strategy 'random' exists already, in the package nasgan"),
        (["space", "autogan"], "the space 'autogan' exists already"),
        (["evaluator", "scratch"], "the evaluator 'scratch' exists already"),
        (["extractor", "lite0"], "the extractor 'lite0' exists already"),
        (["strategy", "strategies"], "a Python package 'nasgan_strategies' already"),
        (["stategy", "hill"], "Did you mean 'strategy'"),
        (["strategy", "hill", "folder"], "the folder is given as path=FOLDER"),
        (["strategy", "hill", "path="], "the folder is given as path=FOLDER"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_written(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", *arguments]) == 2
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nasgan-hill").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for arguments in (["hill"], ["hill", "path=link"]):
        assert main(["new", "strategy", *arguments]) == 2
        assert "exists already" in capsys.readouterr().err
    assert list((tmp_path / "nasgan-hill").iterdir()) == []


def test_it_is_shown_and_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--help"]) == 0
    assert re.search(r"^  new  +write a package", capsys.readouterr().out, re.MULTILINE)
    monkeypatch.setenv("COMP_LINE", "nasgan new st")
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.split() == ["strategy"]
