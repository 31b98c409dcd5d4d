"""The package that docs/extending.md builds: written as shown, built, and used as installed."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from built_packages import build_wheel, run, unpack

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES: dict[str, str] = dict(
    re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', GUIDE, re.DOTALL),
)
NASGAN = [sys.executable, "-m", "nasgan"]
TESTS = [f"tests/test_{name}.py" for name in ("tabu", "plain", "evaluators", "tiles")]
PARTS = {
    "strategy": ["mylab/tabu.py", "mylab/conf/strategy/tabu.yaml"],
    "evaluator": ["mylab/size.py", "mylab/conf/evaluator/size.yaml"],
    "evaluator that trains": ["mylab/catch_up.py", "mylab/conf/evaluator/catch_up.yaml"],
    "search space": ["mylab/plain.py", "mylab/conf/search_space/plain.yaml"],
    "data set": ["mylab/patches.py", "mylab/conf/dataset/patches.yaml"],
    "metric": ["mylab/swd.py"],
    "feature extractor": ["mylab/tiles.py", "mylab/conf/metrics/tiles.yaml"],
    "loss and augmentation": ["mylab/margin.py"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all files of the guide."""
    folder = tmp_path_factory.mktemp("guide") / "project"
    for name, text in {"mylab/__init__.py": "", **FILES}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def installed(project: Path) -> Path:
    """The package as an installation leaves it."""
    return unpack(build_wheel(project, project.parent), project.parent / "site")


@pytest.mark.parametrize("part", PARTS)
def test_each_part_takes_under_fifty_lines(part: str) -> None:
    lines = [line for name in PARTS[part] for line in FILES[name].splitlines() if line.strip()]
    code = [line for line in lines if not line.lstrip().startswith("#")]
    assert 0 < len(code) < 50, len(code)


def test_the_guide_shows_every_file_of_the_package() -> None:
    shown = {name for names in PARTS.values() for name in names}
    assert set(FILES) == {*shown, "pyproject.toml", *TESTS}


def test_the_conformance_tests_of_the_guide_pass(project: Path, installed: Path) -> None:
    out = run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=project,
        path=[installed],
    )
    assert f"{len(TESTS)} passed" in out


def test_all_parts_run_together(installed: Path, tmp_path: Path) -> None:
    run(
        [
            *NASGAN,
            "search",
            "strategy=tabu",
            "search_space=plain",
            "dataset=patches",
            "+experiment=debug/tiny",
            "metrics.metrics=[fid,swd]",
            "objective=swd",
            "trainer.loss=margin",
            "trainer.loss_settings={margin: 0.5}",
            "trainer.augmentation=jitter",
            "run_dir=mine",
        ],
        cwd=tmp_path,
        path=[installed],
    )
    record = json.loads((tmp_path / "mine" / "record.json").read_text(encoding="utf-8"))
    text = json.dumps(record)
    assert record["environment"]["plugins"]["mylab"] == "0.1.0"
    assert '"tabu"' in text
    assert "patches@" in text
    history = (tmp_path / "mine" / "history.jsonl").read_text(encoding="utf-8")
    assert '"swd"' in history
    out = run([*NASGAN, "leaderboard", "runs=mine", "rank_by=swd"], cwd=tmp_path, path=[installed])
    assert "SWD (digits)" in out
    assert "swd_best" in (tmp_path / "leaderboard.csv").read_text(encoding="utf-8")
    # Where the package is missing, the direction of its metric is.
    out = run([*NASGAN, "leaderboard", "runs=mine", "rank_by=swd"], cwd=tmp_path, code=2)
    assert "install the package that brings this metric" in out
    assert "swd" in run([*NASGAN, "leaderboard", "runs=mine"], cwd=tmp_path)


def test_the_evaluator_names_its_scores_and_the_method(installed: Path, tmp_path: Path) -> None:
    tiny = ["+experiment=debug/tiny", "final.random_architectures=0", "run_dir=sized"]
    command = [*NASGAN, "search", "strategy=tabu", "evaluator=size", *tiny]
    run(command, cwd=tmp_path, path=[installed])
    record = json.loads((tmp_path / "sized" / "record.json").read_text(encoding="utf-8"))
    assert record["strategy"] == "tabu_size"
    assert record["search_objective"] == {"metric": "parameters", "direction": "max"}
    assert "evaluator" in run([*NASGAN, "list", "evaluators"], cwd=tmp_path, path=[installed])


def test_an_evaluator_that_trains_ranks_the_candidates(installed: Path, tmp_path: Path) -> None:
    tiny = ["+experiment=debug/tiny", "final.random_architectures=0", "run_dir=caught"]
    command = [*NASGAN, "search", "strategy=tabu", "evaluator=catch_up", "evaluator.steps=2", *tiny]
    run(command, cwd=tmp_path, path=[installed])
    record = json.loads((tmp_path / "caught" / "record.json").read_text(encoding="utf-8"))
    assert record["strategy"] == "tabu_catch_up"
    assert record["search_objective"]["metric"] == "discriminator_loss"
    assert record["cost"]["search"]["generator_steps"] == 6 + 3 * 2


def test_a_strategy_runs_on_the_toy_run_of_the_guide(installed: Path, tmp_path: Path) -> None:
    section = GUIDE[GUIDE.index("### On a run of your own") :]
    (code,) = re.findall(r"```python\n(.*?)```", section[: section.index("## An eval")], re.DOTALL)
    out = run([sys.executable, "-c", code], cwd=tmp_path, path=[installed])
    assert out.split()[-1] == "12"


def test_the_doctor_finds_nothing_wrong(installed: Path, tmp_path: Path) -> None:
    out = run([*NASGAN, "doctor"], cwd=tmp_path, path=[installed])
    about = {line.split()[0] for line in out.splitlines() if "mylab" in line}
    assert about == {"ok"}, out
    for found in (
        "strategy tabu",
        "space plain",
        "metric swd",
        "evaluator size",
        "evaluator catch_up",
        "feature extractor tiles",
        "loss margin",
        "augmentation jitter",
        "dataset=patches",
    ):
        assert f"ok     {found}: mylab" in out


def test_all_parts_are_listed(installed: Path, tmp_path: Path) -> None:
    out = run([*NASGAN, "list"], cwd=tmp_path, path=[installed])
    names = "tabu size catch_up plain patches swd tiles margin jitter"
    for name in names.split():
        assert re.search(rf"^  {name} .*\[mylab\]$", out, re.MULTILINE), name
