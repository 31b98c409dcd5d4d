"""A run whose training breaks down has a result: the best moment before, marked as what it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nasgan.cli.main import main
from nasgan.engine import load, run_config
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.runs.history import read_history
from nasgan.runs.record import RunRecord
from nasgan.training import AdversarialTrainer

Tiny = Callable[..., dict[str, Any]]


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call it, and generators become NaN after two steps: of supernets, or of single networks."""
    original = AdversarialTrainer.iteration
    by_steps = AdversarialTrainer.update_generator

    def damage(trainer: AdversarialTrainer) -> None:
        if trainer.generator_steps == 2:
            with torch.no_grad():
                next(trainer.generator.parameters()).fill_(torch.nan)

    def make(*, supernet: bool) -> None:
        def iteration(self: AdversarialTrainer, *arguments: Any, **settings: Any) -> Any:
            if self._limits_end and not supernet:
                damage(self)
            return original(self, *arguments, **settings)

        def update_generator(self: AdversarialTrainer, loss: torch.Tensor) -> None:
            by_steps(self, loss)
            if supernet and not self._limits_end:
                damage(self)

        monkeypatch.setattr(AdversarialTrainer, "iteration", iteration)
        monkeypatch.setattr(AdversarialTrainer, "update_generator", update_generator)

    return make


def test_a_late_breakdown_leaves_the_best_moment_with_all_that_a_run_leaves(
    tiny: Tiny, tmp_path: Path, breaking: Callable[..., None]
) -> None:
    run_config(
        tiny("train", "architecture=dcgan", "training.generator_steps=2"), tmp_path / "short"
    )
    breaking(supernet=False)
    folder = tmp_path / "broken"
    outcome = run_config(tiny("train", "architecture=dcgan"), folder)
    record = RunRecord.read(folder / "record.json")
    assert outcome.status == record.status == "completed"
    assert record.metrics == RunRecord.read(tmp_path / "short" / "record.json").metrics
    (mark,) = record.breakdowns
    assert (mark["phase"], mark["generator_step"]) == ("final", 3)
    assert "not finite" in mark["reason"]
    assert record.finalists[0]["breakdown"] == {
        "generator_step": 3,
        "reason": mark["reason"],
    }
    assert any("broke down at generator step 3" in line for line in outcome.summary_lines)
    assert (folder / "architecture.json").exists()
    assert (folder / "samples" / "final.png").exists()
    for name in ("generator", "discriminator"):
        file = f"checkpoints/{name}.safetensors"
        assert (folder / file).read_bytes() == (tmp_path / "short" / file).read_bytes()
    assert bool(load(folder).sample(4).isfinite().all())


def test_table_and_report_say_that_it_broke_down_and_the_table_verifies(
    tiny: Tiny, tmp_path: Path, breaking: Callable[..., None]
) -> None:
    breaking(supernet=False)
    run_config(tiny("search"), tmp_path / "runs")
    records, _ = find_records([tmp_path / "runs"])
    board = build_leaderboard(records)
    notes = {row["strategy"]: "; ".join(row["note"]) for row in board.rows}
    assert "seed 0: the training broke down at generator step 3 (the " in notes["random"]
    assert "1 of 1 architectures broke down" in notes["average random architecture"]
    table, page = tmp_path / "table.csv", tmp_path / "report.html"
    assert main(["leaderboard", f"runs={tmp_path / 'runs'}", f"out={table}"]) == 0
    assert main(["leaderboard", "verify", str(table), f"runs={tmp_path / 'runs'}"]) == 0
    assert main(["report", f"runs={tmp_path / 'runs'}", f"out={page}"]) == 0
    html = page.read_text()
    runs = html[html.index("All runs under") :]
    assert "the training broke down at generator step 3" in runs


def test_a_supernet_that_breaks_down_ends_the_search_with_what_it_had_found(
    tiny: Tiny, tmp_path: Path, breaking: Callable[..., None]
) -> None:
    breaking(supernet=True)
    settings = ["search_space=baselines", "strategy=adversarial", "strategy.derive_every=1"]
    outcome = run_config(tiny("search", *settings), tmp_path)
    record = RunRecord.read(tmp_path / "record.json")
    assert outcome.status == record.status == "completed"
    (mark,) = record.breakdowns
    assert (mark["phase"], mark["generator_step"]) == ("search", 3)
    assert any("the search's supernet broke down" in line for line in outcome.summary_lines)
    ended = [line for line in read_history(tmp_path / "history.jsonl") if "search_ended_by" in line]
    assert "supernet's training diverged at generator step 3" in ended[0]["search_ended_by"]
    assert record.cost["final"]["generator_steps"] == 8, "the final phase was as planned"


def test_a_search_goes_on_beyond_the_limits_of_trainings(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = ["min_loss=1e9", "patience=6", "check_every=1"]  # of final trainings: after 4 steps
    with caplog.at_level(logging.WARNING):
        run_config(tiny("search", *[f"trainer.health.{limit}" for limit in limits]), tmp_path)
    record = RunRecord.read(tmp_path / "record.json")
    assert (record.status, record.breakdowns) == ("completed", [])
    assert record.cost["search"]["generator_steps"] == 12
    assert "generator step 6: the discriminator's loss vanished" in caplog.text
