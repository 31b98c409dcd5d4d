"""final.evaluator: what scores the finalists instead of the full training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_comparison import fingerprint, stopping

import nasgan
from nasgan.contracts import GeneratorSizes, Objective, Proposal, SimpleEvaluator
from nasgan.engine import parts as run_parts
from nasgan.engine.summary import how_it_ended
from nasgan.errors import ConfigError, RunDirectoryError, UnknownNameError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.report.page import build_report
from nasgan.runs.history import read_history
from nasgan.runs.record import RunRecord

Tiny = Callable[..., dict[str, Any]]
SCRATCH = "final.evaluator={_target_: nasgan.evaluation.ScratchEvaluator, generator_steps: 3}"


class Sizer(SimpleEvaluator):
    """A proxy: the generator's size, less is better."""

    fidelity = "sizer"
    objective = Objective("size", "min")

    def score(self, proposal: Proposal) -> dict[str, float]:
        sizes = GeneratorSizes(self.run.space)(proposal.architecture)
        return {"aux": 1.0, "size": sizes["parameters"]}


class Drawing(SimpleEvaluator):
    """A score from the run's random numbers, and one of a few images."""

    fidelity = "drawing"

    def score(self, proposal: Proposal) -> dict[str, float]:
        pair = self.run.networks(proposal.architecture)
        drawn: list[int] = []
        sample = self.run.sample(pair.generator)

        def counting(count: int) -> Any:
            drawn.append(count)
            return sample(count)

        found = self.run.harness.evaluate(counting, num_images=8)
        return {**found, "drawn": sum(drawn), "noise": self.run.rng("noise").random()}


def run_config(config: dict[str, Any], run_dir: Path) -> RunRecord:
    from nasgan.engine import run_config as search

    search(config, run_dir)
    return RunRecord.read(run_dir / "record.json")


def test_the_finalists_are_scored_by_the_named_evaluator(tiny: Tiny, tmp_path: Path) -> None:
    record = run_config(tiny("search", SCRATCH, "final.top_k=2"), tmp_path / "run")
    assert [(f["fidelity"], f["generator_steps"]) for f in record.finalists] == [("scratch", 3)] * 2
    assert record.metrics == min(record.finalists, key=lambda f: f["score"])["metrics"]
    assert record.average_random is not None
    assert record.average_random["evaluations"][0]["fidelity"] == "scratch", "in the same way"
    assert record.cost["final"]["generator_steps"] == 3 * 3
    assert record.cost["final"]["architectures"] == 3
    full = run_config(tiny("search", "final.top_k=2"), tmp_path / "full")
    assert record.cost["search"]["architectures"] == full.cost["search"]["architectures"]
    searched = list(read_history(tmp_path / "run" / "history.jsonl"))
    of_full = list(read_history(tmp_path / "full" / "history.jsonl"))
    scores = [[x["score"] for x in each if x["phase"] == "search" and "score" in x]
              for each in (searched, of_full)]  # fmt: skip
    assert scores[0] == scores[1], "the search does not see the final phase"
    images = nasgan.load(tmp_path / "run").sample(2)
    assert images.shape[0] == 2, "what was trained is kept"


def test_a_name_takes_the_evaluator_s_own_settings(tiny: Tiny) -> None:
    parts = run_parts.bind(tiny("search", "final.evaluator=scratch"))
    assert isinstance(parts, run_parts.SearchParts)
    assert type(parts.final_evaluator).__name__ == "ScratchEvaluator"
    assert parts.evaluator is not parts.final_evaluator
    # The guide to objectives names the number.
    assert parts.final_evaluator._generator_steps == 1000
    with pytest.raises(UnknownNameError, match="scratch"):
        run_parts.bind(tiny("search", "final.evaluator=scrach"))


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("final.evaluator=shared", "scores with shared weights, which end with the search"),
        (SCRATCH.replace("}", ", num_images: 7}"), "under the protocol, with 64 images"),
        ("final.evaluator={_target_: nasgan.contracts.Ledger}", "final.evaluator"),
        ("final.evaluator=3", "final.evaluator"),
    ],
)
def test_evaluators_that_cannot_score_results_are_refused_at_once(
    tiny: Tiny, override: str, what: str
) -> None:
    with pytest.raises(ConfigError, match=what):
        run_parts.bind(tiny("search", override))


def test_a_proxy_of_its_own_unit_leaves_no_networks_and_no_fid(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_parts, "_final_evaluator", lambda *_: Sizer())
    record = run_config(tiny("search", "final.top_k=3", "objective=[fid,macs]"), tmp_path / "run")
    assert record.status == "completed"
    sizes = [finalist["metrics"]["size"] for finalist in record.finalists]
    assert record.metrics == {"aux": 1.0, "size": min(sizes)}
    assert record.final_metric == "size"
    assert "size" in how_it_ended(record)
    assert record.proxy_correlation is None, "nothing was trained to be foretold"
    final = [point for point in record.front if point["phase"] == "final"]
    assert final
    assert all(set(point["values"]) == {"size", "macs"} for point in final)
    with pytest.raises(RunDirectoryError, match="its result was not trained"):
        nasgan.load(tmp_path / "run").sample(1)
    (row, *_) = build_leaderboard(find_records([tmp_path / "run"])[0]).rows
    assert row["rank"] is None
    assert "size" in build_report([tmp_path / "run"]).html


def test_scores_of_the_protocol_are_of_its_number_of_images(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_parts, "_final_evaluator", lambda *_: Drawing())
    record = run_config(tiny("search", "final.top_k=1"), tmp_path / "run")
    assert record.metrics is not None
    assert record.metrics["drawn"] == 64


@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize("kind", ["scratch", "drawing"])
def test_a_final_phase_by_an_evaluator_resumes_to_the_bit(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, kind: str
) -> None:
    from nasgan.engine.final_phase import FinalPhase

    monkeypatch.setattr("nasgan.evaluation.training_task._PIECE_SECONDS", 0.0)
    if kind == "drawing":
        monkeypatch.setattr(run_parts, "_final_evaluator", lambda *_: Drawing())
    final = [SCRATCH, "final.top_k=2", "final.random_architectures=3"]
    config = tiny("search", *final, "checkpoint.every_seconds=0")
    run_config(config, tmp_path / "whole")
    steps = iter(range(99))
    with stopping(FinalPhase, lambda _: next(steps) == after):
        run_config(config, tmp_path / "run")
    run_config(config, tmp_path / "run")
    if kind == "scratch":
        assert fingerprint(tmp_path / "run") == fingerprint(tmp_path / "whole")
        return
    runs = [RunRecord.read(tmp_path / name / "record.json") for name in ("run", "whole")]
    scores = [[made["metrics"] for made in run.average_random["evaluations"]] for run in runs]
    assert scores[0] == scores[1]
    assert len({made["noise"] for made in scores[0]}) == 3
    assert runs[0].metrics == runs[1].metrics
