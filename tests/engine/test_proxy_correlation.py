"""The scores of the search against those after training, in a run's record and at its end."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_comparison import fingerprint, stopping

from nasgan.engine import run_config
from nasgan.engine.search_job import SearchJob
from nasgan.engine.summary import proxy_lines
from nasgan.errors import ConfigError
from nasgan.runs.history import read_history
from nasgan.runs.proxy import rank_correlations
from nasgan.runs.record import RunRecord

Tiny = Callable[..., dict[str, Any]]
ALL_TRAINED = (
    "strategy.num_candidates=5",
    "budget.architectures=5",
    "final.random_architectures=0",
    "final.eval_every=null",
)


def scores(run_dir: Path, phase: str) -> dict[str, float]:
    return {
        line["architecture"]["id"]: line["score"]
        for line in read_history(run_dir / "history.jsonl")
        if line["kind"] == "evaluation" and line["phase"] == phase
    }


def test_a_search_that_trains_all_it_scored_tells_how_the_two_scores_correlate(
    tiny: Tiny, tmp_path: Path
) -> None:
    outcome = run_config(tiny("search", *ALL_TRAINED, "final.top_k=5"), tmp_path)
    proxy = RunRecord.read(tmp_path / "record.json").proxy_correlation
    assert proxy is not None
    searched, final = scores(tmp_path, "search"), scores(tmp_path, "final")
    assert len(final) == 5
    assert proxy["points"] == [
        {"architecture": key, "search": searched[key], "final": final[key]} for key in final
    ]
    assert (proxy["metric"], proxy["fidelity"], proxy["generator_steps"]) == ("fid", "shared", 0)
    wanted = rank_correlations([searched[key] for key in final], list(final.values()))
    assert (proxy["spearman"], proxy["kendall"]) == wanted
    (line,) = [line for line in outcome.summary_lines if "Spearman" in line]
    assert f"Spearman {wanted[0]:.2f}" in line
    assert "(5 architectures)" in line


def test_finalists_drawn_at_random_survive_a_crash(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(
        "search", *ALL_TRAINED, "final.top_k=3", "final.select=random", "checkpoint.every_seconds=0"
    )
    run_config(config, tmp_path / "whole")
    drawn = list(scores(tmp_path / "whole", "final"))
    searched = scores(tmp_path / "whole", "search")
    assert len(drawn) == 3
    assert drawn != sorted(searched, key=searched.__getitem__)[:3]

    with stopping(SearchJob, lambda job: job.strategy.finished):
        run_config(config, tmp_path / "cut")
    run_config(config, tmp_path / "cut")
    assert fingerprint(tmp_path / "cut") == fingerprint(tmp_path / "whole")
    records = [json.loads((tmp_path / x / "record.json").read_text()) for x in ("cut", "whole")]
    assert records[0]["proxy_correlation"] == records[1]["proxy_correlation"]
    assert records[0]["proxy_correlation"]["n"] == 3


def test_a_search_that_scores_nothing_trains_its_best_instead(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("search", "strategy=adversarial", "final.select=random", "final.eval_every=null")
    with caplog.at_level(logging.WARNING):
        run_config(config, tmp_path)
    assert "final.select=random: the search scored nothing" in caplog.text
    assert RunRecord.read(tmp_path / "record.json").proxy_correlation is None


def test_another_way_to_select_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("search")
    config["final"] = {**config["final"], "select": "worst"}
    with pytest.raises(ConfigError, match=r"final\.select"):
        run_config(config, tmp_path)


def test_the_line_says_when_there_is_no_correlation() -> None:
    proxy = {"metric": "fid", "n": 3, "spearman": None, "kendall": None}
    (line,) = proxy_lines(proxy, "digits-train-64-digits-v1")
    assert "no rank correlation" in line
    assert proxy_lines({**proxy, "n": 2}, "digits-train-64-digits-v1") == []
    assert proxy_lines(None, "digits-train-64-digits-v1") == []
