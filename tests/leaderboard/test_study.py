from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from record_samples import architecture, cost, failed_record, record

import nasgan
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.leaderboard.study import Study
from nasgan.runs.history import History
from nasgan.runs.proxy import proxy_correlation
from nasgan.runs.record import RunRecord
from nasgan.runs.status import Status

pd = pytest.importorskip("pandas")

CELL = "cell1.norm"
ROOT = Path(__file__).resolve().parents[2]


def spent(steps: int, architectures: int = 0) -> dict[str, Any]:
    return {"spent": cost(generator_steps=steps, architectures=architectures)}


def scored(index: int, score: float | None, *, phase: str = "search") -> dict[str, Any]:
    return {
        "kind": "evaluation",
        "phase": phase,
        "architecture": architecture(index),
        "metrics": {} if score is None else {"fid": score},
        "score": score,
        "fidelity": "shared" if phase == "search" else "final",
        "failure": "" if score is not None else "NaN",
        **spent(100, index + 1),
    }


def write_run(folder: Path, made: RunRecord) -> None:
    folder.mkdir(parents=True)
    made.write(folder / "record.json")
    history = History(folder / "history.jsonl")
    if made.status == "failed":
        return
    for line in (
        {"kind": "values", "phase": "search", "values": {"loss": 0.5}, **spent(50)},
        {
            "kind": "values",
            "phase": "search",
            "values": {},
            "options": {CELL: [0.25, 0.75], "unknown": [1.0]},
            **spent(100, 2),
        },
        scored(0, 30.0),
        scored(1, None),
        {"kind": "finalists", "phase": "final", "architectures": [architecture(0)["id"]]},
        {
            "kind": "checkpoint",
            "phase": "final",
            "architecture": architecture(0)["id"],
            "generator_steps": 10,
            "metrics": {"fid": 25.0},
            **spent(10),
        },
        scored(0, 20.0, phase="final"),
    ):
        history.append(line)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    searched = {name: {("shared", 0): float(k)} for k, name in enumerate("abc")}
    proxy = proxy_correlation(searched, {"a": 3.0, "b": 1.0, "c": 2.0}, "fid")
    decisions = {CELL: ["option0", "option1"]}
    for seed in (0, 1):
        made = record(seed=seed, fid=20.0 + seed, decisions=decisions, proxy_correlation=proxy)
        write_run(tmp_path / "random" / f"seed{seed}", made)
    write_run(tmp_path / "rl" / "seed0", record("rl", fid=10.0))
    write_run(tmp_path / "rl" / "seed1", failed_record("rl", 1))
    (tmp_path / "rl" / "seed2").mkdir()
    Status(phase="search", message="x").write(tmp_path / "rl" / "seed2" / "status.json")
    return tmp_path


def test_the_package_hands_it_out() -> None:
    assert nasgan.Study is Study


def test_a_copy_of_a_run_is_no_further_seed(results: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(results / "rl" / "seed0", copy)
    study = Study(results / "rl", copy)
    assert sorted(study.runs["run_id"]) == ["rl-0", "rl-1"]
    (problem,) = [p for p in study.problems if p.source == "rl-0"]
    assert problem.message == "found 2 times, counted once"


def test_odd_lines_of_a_history_are_told_and_change_no_identity(tmp_path: Path) -> None:
    write_run(tmp_path / "run", record(fid=10.0))
    history = History(tmp_path / "run" / "history.jsonl")
    history.append({"kind": "values", "strategy": "other", "seed": 7, "options": {CELL: [1, 0]}})
    history.append({"kind": "values", "options": {CELL: 3}, **spent(1)})
    study = Study(tmp_path)
    assert set(study.history["strategy"]) == {"random"}
    assert set(study.history["seed"]) == {0}
    assert study.options["generator_steps"].isna().sum() == 2
    (problem,) = study.problems
    assert problem.message == "line 9: its options are no lists of shares: left out"


def test_runs_are_rows_with_scores_costs_and_times(results: Path) -> None:
    study = Study(results)
    runs = study.runs.set_index("run_id")
    assert len(study) == len(runs) == 4
    assert runs.loc["random-1", "fid"] == 21.0
    assert runs.loc["random-1", "search_generator_steps"] == 600
    assert runs.loc["random-1", "final_device_seconds"] == pytest.approx(14.5)
    begun = pd.Timestamp(RunRecord.read(results / "random" / "seed1" / "record.json").started)
    assert runs.loc["random-1", "started"] == begun
    assert ((runs["ended"] - runs["started"]).dt.total_seconds() > 0).all()
    assert runs.loc["rl-1", ["status", "failure"]].tolist() == ["failed", "NaN loss"]
    assert pd.isna(runs.loc["rl-1", "fid"])
    assert Path(runs.loc["rl-0", "folder"]) == results / "rl" / "seed0"
    assert not {"path", "metrics", "search_cost"} & set(runs)


def test_runs_that_do_not_count_are_told(results: Path) -> None:
    (problem,) = Study(results).problems
    assert "seed2" in problem.source
    assert "1 problems" in repr(Study(results))


def test_the_history_of_all_runs_is_one_frame(results: Path) -> None:
    study = Study(results)
    history = study.history
    assert len(history) == 3 * 7
    first = history[history["run_id"] == "rl-0"]
    assert first["index"].tolist() == list(range(7))
    assert first["values/loss"].iloc[0] == 0.5
    assert first["strategy"].unique().tolist() == ["rl"]
    assert not any(name.startswith("options") for name in history)
    evaluations = study.evaluations
    assert len(evaluations) == 9
    assert evaluations["architecture"].iloc[0] == architecture(0)["id"]
    assert evaluations[f"choices/{CELL}"].iloc[1] == "option1"
    assert evaluations["score"].isna().tolist() == [False, True, False] * 3
    assert evaluations["spent/architectures"].tolist() == [1, 2, 1] * 3
    assert "values/loss" not in evaluations
    assert study.curves["metrics/fid"].tolist() == [25.0] * 3


def test_options_over_time_have_their_names_where_the_record_tells_them(results: Path) -> None:
    options = Study(results).options
    named = options[(options["run_id"] == "random-0") & (options["decision"] == CELL)]
    assert dict(zip(named["option"], named["share"], strict=True)) == {
        "option0": 0.25,
        "option1": 0.75,
    }
    assert named[["index", "generator_steps", "architectures"]].iloc[0].tolist() == [1, 100, 2]
    numbered = options[(options["run_id"] == "rl-0")]
    assert numbered["option"].tolist() == ["0", "1", "0"]


def test_proxy_scores_and_their_correlation(results: Path) -> None:
    proxy = Study(results).proxy
    assert proxy["run_id"].tolist() == ["random-0"] * 3 + ["random-1"] * 3
    one = proxy[proxy["run_id"] == "random-0"]
    assert one["architecture"].tolist() == ["a", "b", "c"]
    assert one["search"].corr(one["final"], method="spearman") == pytest.approx(
        one["spearman"].iloc[0]
    )


def test_where_narrows_the_runs_and_refuses_what_runs_do_not_have(results: Path) -> None:
    study = Study(results)
    assert len(study.where(strategy="rl")) == 2
    assert len(study.where(strategy=["rl", "random"], seed=0, status="completed")) == 2
    assert study.where(strategy="rl").evaluations["run_id"].unique().tolist() == ["rl-0"]
    with pytest.raises(UnknownNameError, match="strategy"):
        study.where(stratgy="rl")


def test_what_is_missing_or_damaged_is_told_and_costs_that_run_alone(results: Path) -> None:
    (results / "random" / "seed0" / "history.jsonl").unlink()
    (results / "random" / "seed1" / "history.jsonl").write_text("{\n{}\n")
    study = Study(results)
    assert study.history["run_id"].unique().tolist() == ["rl-0"]
    (results / "random" / "seed0" / "record.json").unlink()
    assert study.proxy["run_id"].unique().tolist() == ["random-1"]
    told = " ".join(map(str, study.problems))
    assert "there is no such history" in told
    assert "damaged" in told
    assert "cannot read this record" in told


def test_no_runs_make_empty_frames(tmp_path: Path) -> None:
    study = Study(tmp_path)
    assert len(study) == 0
    frames = (study.runs, study.history, study.evaluations, study.curves, study.options)
    assert all(frame.empty for frame in (*frames, study.proxy))


def test_no_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a folder"):
        Study()
    with pytest.raises(ConfigError, match="no such results folder"):
        Study("/nowhere/at/all")


def test_the_leaderboard_of_a_study_is_that_of_its_records_and_a_frame(results: Path) -> None:
    study = Study(results)
    board = study.leaderboard(rank_by="fid")
    assert board.to_json() == build_leaderboard(find_records([results])[0], rank_by="fid").to_json()
    frame = board.frame
    assert list(frame) == list(board.columns)
    assert len(frame) == len(board.all_rows) > 0
    for name in frame:
        whole = [None if pd.isna(cell) else cell for cell in frame[name]]
        assert whole == [row[name] for row in board.cells], name
    assert study.where(seed=0).leaderboard().rows[0]["n_seeds"] == 1


def test_the_examples_of_the_guide_run(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results.rename(results.parent / "outputs")
    monkeypatch.chdir(results.parent)
    guide = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/study.md", "exec"), names)
    assert names["table"].loc[("autogan", "random"), "mean"] == 20.5
    assert names["mean"].loc[1].to_dict() == {"random": 30.0, "rl": 30.0}
    assert names["shares"].loc[("random", 1), "option1"] == 0.75
    assert names["best"]["strategy"] == "rl"
    frames = set(re.findall(r"^\| `study\.(\w+)`", guide, re.MULTILINE))
    assert frames == {name for name, value in vars(Study).items() if hasattr(value, "attrname")}
    assert "random-1 3 -0.5" in capsys.readouterr().out


def test_importing_nasgan_imports_nothing_heavy_and_a_study_no_torch(results: Path) -> None:
    program = (
        "import sys, nasgan; heavy = {'torch', 'pandas', 'numpy', 'scipy'}; "
        "assert not heavy & set(sys.modules); "
        f"study = nasgan.Study({str(results)!r}); assert len(study) == 4; "
        "study.runs; study.leaderboard(); assert not {'torch', 'scipy'} & set(sys.modules)"
    )
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "strategies", ROOT / "search_spaces")))
    environment = {**os.environ, "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=environment)
