"""Searches that stop between their steps, and go on, end as if they had never stopped.

Real kills at random moments, which take longer, are in `test_kill_and_resume`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_comparison import fingerprint, stopping

from nasgan.engine import run_config
from nasgan.engine.search_job import SearchJob
from nasgan.runs.record import RunRecord

SHORT_TRAININGS = ["strategy.min_steps=1", "strategy.max_steps=3", "budget.architectures=null"]

SEARCHES = {
    # Its densities are fitted from the third candidate on.
    "bohb": [
        *("strategy=bohb", "strategy.num_candidates=5", *SHORT_TRAININGS),
        "+strategy.sampler_settings.n_startup_trials=2",
    ],
    "asha": ["strategy=asha", "strategy.num_candidates=5", *SHORT_TRAININGS],
    # Children begin with the networks that their parents left in files.
    "nsga2_inherit": [
        *("strategy=nsga2", "strategy.inherit=true", "strategy.population_size=2"),
        *("strategy.num_candidates=5", "strategy.supernet_steps=2", "budget.architectures=5"),
        *("evaluator=inherit", "evaluator.generator_steps=1", "objective=[fid,parameters]"),
    ],
    "local_search": [
        *("strategy=local_search", "strategy.num_initial=2", "strategy.num_candidates=5"),
        *("strategy.supernet_steps=2", "budget.architectures=5"),
    ],
}
SHORTEST = [
    *("checkpoint.every_seconds=0", "trainer.n_critic=1", "metrics.num_images=32"),
    *("dataset.suggested.search_images=16", "budget.generator_steps=30"),
    *("final.random_architectures=0", "final.generator_steps=1", "final.eval_every=1"),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", list(SEARCHES))
def test_a_search_that_is_stopped_between_its_steps_ends_bit_identical(
    case: str,
    tiny: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if case == "bohb":
        pytest.importorskip("optuna")
    monkeypatch.setattr("nasgan.evaluation.training_task._PIECE_SECONDS", 0.0)
    config = tiny("search", *SHORTEST, *SEARCHES[case])
    run_config(config, tmp_path / "whole")
    # Before any score, between scores that others depend on, and before the last.
    for scores in (0, 2, 4):
        with stopping(SearchJob, lambda job, least=scores: len(job.strategy.evaluations) >= least):
            run_config(config, tmp_path / "run")
    run_config(config, tmp_path / "run")
    assert fingerprint(tmp_path / "run") == fingerprint(tmp_path / "whole")
    records = [RunRecord.read(tmp_path / name / "record.json") for name in ("run", "whole")]
    assert records[0].front == records[1].front
