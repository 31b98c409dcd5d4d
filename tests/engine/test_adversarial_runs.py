"""Adversarial search as a whole run: what it leaves, and that it resumes bit-identical."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_comparison import TINY, fingerprint

from nasgan.cli.compose import compose
from nasgan.engine import run_config
from nasgan.engine.loop import JobReport, RunLoop
from nasgan.runs.history import read_history
from nasgan.runs.record import RunRecord

# In the AutoGAN space only the generator is searched, in the baselines both networks are.
SEARCHES = {
    "autogan": [
        "strategy=adversarial",
        "search_space=autogan",
        "strategy.generator_steps=4",
        "strategy.derive_every=1",
        "strategy.score_every=2",
    ],
    "baselines": [
        "strategy=adversarial",
        "search_space=baselines",
        "strategy.generator_steps=4",
        "strategy.derive_every=1",
        "strategy.relaxation=straight_through",
    ],
}


class StoppedError(Exception):
    """Stands for a crash between two steps."""


@pytest.fixture(scope="module", params=list(SEARCHES))
def finished(request: pytest.FixtureRequest, tmp_path_factory: Any) -> tuple[str, Path]:
    run_dir = tmp_path_factory.mktemp("finished") / "run"
    run_config(compose("search", [*TINY, *SEARCHES[request.param]]), run_dir)
    return request.param, run_dir


def test_a_search_by_gradient_leaves_a_record(finished: tuple[str, Path]) -> None:
    space, run_dir = finished
    record = RunRecord.read(run_dir / "record.json")
    assert record.status == "completed"
    assert (
        record.strategy
        == {
            "autogan": "adversarial",
            "baselines": "adversarial_straight_through",
        }[space]
    )
    scores = {"autogan": 2, "baselines": 0}[space]
    assert record.cost["search"]["generator_steps"] == 4
    assert record.cost["search"]["architectures"] == scores
    # n_critic 2, batches of 8: both halves of the real batch or all of it; logits and weights.
    assert record.cost["search"]["images"] == 4 * (2 * 2 * 8 + 2 * 8) + scores * 32
    lines = read_history(run_dir / "history.jsonl")
    looks = [x["values"] for x in lines if x["kind"] == "values"]
    assert len(looks) == 4
    assert all("entropy_generator_mean" in values for values in looks)
    scored = [x for x in lines if x["kind"] == "evaluation" and x["phase"] == "search"]
    assert [x["fidelity"] for x in scored] == ["shared"] * scores


@pytest.mark.parametrize("stop_at", [2, 3])
def test_a_stopped_search_by_gradient_resumes_bit_identical(
    stop_at: int,
    finished: tuple[str, Path],
    tiny: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = 0
    original = RunLoop._publish

    def publish(self: RunLoop, report: JobReport) -> None:
        nonlocal steps
        steps += 1
        if steps == stop_at:
            raise StoppedError
        original(self, report)

    space, whole = finished
    monkeypatch.setattr(RunLoop, "_publish", publish)
    config = tiny("search", *SEARCHES[space], "checkpoint.every_seconds=0")
    with pytest.raises(StoppedError):
        run_config(config, tmp_path)
    run_config(config, tmp_path)
    assert fingerprint(tmp_path) == fingerprint(whole)
