"""final.top_k=0: the search's own result is recorded, and every reader says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nasgan
from nasgan.engine import evaluate_run, run_config, sample_run
from nasgan.errors import ConfigError, RunDirectoryError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.publishing.verification import verify_table
from nasgan.report.page import build_report
from nasgan.runs.history import read_history
from nasgan.runs.record import RunRecord

Tiny = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from run_comparison import TINY

    from nasgan.cli.compose import compose

    folder = tmp_path_factory.mktemp("untrained") / "run"
    outcome = run_config(compose("search", [*TINY, "final.top_k=0"]), folder)
    assert outcome.status == "completed"
    assert any("it was not trained (final.top_k=0)" in line for line in outcome.summary_lines)
    assert outcome.summary_lines[-1].endswith(f"nasgan train architecture={folder}")
    return folder


def test_the_record_holds_the_search_s_own_result(run_dir: Path) -> None:
    record = RunRecord.read(run_dir / "record.json")
    scored = [line for line in read_history(run_dir / "history.jsonl") if "score" in line]
    assert {line["phase"] for line in scored} == {"search"}, "random architectures neither"
    best = min(scored, key=lambda line: line["score"])
    assert (record.status, record.metrics, record.finalists) == ("completed", None, [])
    assert record.architecture == best["architecture"]
    assert record.search_result is not None
    assert record.search_result["score"] == best["score"]
    assert record.parameters is not None
    assert record.cost["final"]["generator_steps"] == 0
    assert record.average_random is None
    assert nasgan.load_architecture(str(run_dir)).id == best["architecture"]["id"]
    left = {path.name for path in run_dir.rglob("*") if path.is_file()}
    assert not {"generator.safetensors", "final.png"} & left


def test_loading_gives_all_but_the_generator(run_dir: Path) -> None:
    run = nasgan.load(run_dir)
    assert (run.architecture.id, run.metrics) == (run.record.architecture["id"], {})  # type: ignore[index]
    missing = f"its result was not trained .* nasgan train architecture={run_dir}"
    with pytest.raises(RunDirectoryError, match=missing):
        run.sample(4)
    sampled = {"run": str(run_dir), "num": 4, "seed": 0, "out": None, "classes": None}
    given = {"device": "cpu", "threads": None, "columns": None}
    with pytest.raises(RunDirectoryError, match=missing):
        sample_run({**sampled, **given})
    evaluated = {"run": str(run_dir), "metrics": {}, "dataset": {}, "num_images": None, "seed": 0}
    with pytest.raises(RunDirectoryError, match=missing):
        evaluate_run({**evaluated, **given})
    assert torch.get_num_threads() >= 1


def test_it_is_found_finished_and_its_architecture_can_be_trained(
    run_dir: Path, tiny: Tiny, tmp_path: Path
) -> None:
    again = run_config(tiny("search", "final.top_k=0"), run_dir)
    assert again.status == "already_completed"
    outcome = run_config(tiny("train", f"architecture={run_dir}"), tmp_path / "trained")
    trained = RunRecord.read(outcome.run_dir / "record.json")
    assert trained.architecture == RunRecord.read(run_dir / "record.json").architecture


def test_tables_and_reports_take_it_in(run_dir: Path, tmp_path: Path) -> None:
    records, problems = find_records([run_dir])
    board = build_leaderboard(records)
    assert problems == []
    (row,) = board.rows
    assert "no scores: the search's result was not trained (final.top_k=0)" in row["note"]
    board.write(tmp_path / "table.csv")
    assert verify_table(tmp_path / "table.csv", records).differences == ()
    assert "not trained (final.top_k=0)" in build_report([run_dir]).html


def test_a_negative_number_of_finalists_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"final\.top_k must be at least 0"):
        tiny("search", "final.top_k=-1")


def test_a_front_is_recorded_without_a_final_training_too(tiny: Tiny, tmp_path: Path) -> None:
    run_config(tiny("search", "final.top_k=0", "objective=[fid,parameters]"), tmp_path / "run")
    record = RunRecord.read(tmp_path / "run" / "record.json")
    assert {point["phase"] for point in record.front} == {"search"}
    assert record.front[0]["architecture"] == record.architecture, "the best in the first"
