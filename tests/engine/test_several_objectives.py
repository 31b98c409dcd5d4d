"""Searches by several objectives: their front, its final trainings, what records say of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_comparison import fingerprint, stopping

from nasgan.contracts import GeneratorSizes
from nasgan.engine import run_config
from nasgan.engine.parts import bind
from nasgan.engine.search_job import SearchJob
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.factory import make_search_space
from nasgan.runs.history import read_history
from nasgan.runs.record import RunRecord

Tiny = Callable[..., dict[str, Any]]
SEARCH = (
    "strategy=random",
    "strategy.num_candidates=8",
    "budget.architectures=8",
    "final.top_k=3",
    "final.random_architectures=1",
    "final.eval_every=null",
    "objective=[fid,parameters]",
)


def searched(run_dir: Path) -> dict[str, dict[str, float]]:
    """Metrics by architecture, of the search."""
    return {
        line["architecture"]["id"]: line["metrics"]
        for line in read_history(run_dir / "history.jsonl")
        if line["kind"] == "evaluation" and line["phase"] == "search"
    }


def is_beaten(metrics: dict[str, float], others: list[dict[str, float]]) -> bool:
    """By the definition, of two objectives that are minimised."""
    mine = metrics["fid"], metrics["parameters"]
    theirs = [(other["fid"], other["parameters"]) for other in others]
    return any(t[0] <= mine[0] and t[1] <= mine[1] and t != mine for t in theirs)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from run_comparison import TINY

    from nasgan.cli.compose import compose

    folder = tmp_path_factory.mktemp("several") / "run"
    run_config(compose("search", [*TINY, *SEARCH]), folder)
    return folder


def test_the_search_s_front_is_what_no_other_candidate_beats(run_dir: Path) -> None:
    record = RunRecord.read(run_dir / "record.json")
    scores = searched(run_dir)
    front = [point for point in record.front if point["phase"] == "search"]
    unbeaten = [key for key, m in scores.items() if not is_beaten(m, list(scores.values()))]
    assert sorted(point["architecture"]["id"] for point in front) == sorted(unbeaten)
    for point in front:
        of_it = scores[point["architecture"]["id"]]
        assert point["values"] == {name: of_it[name] for name in ("fid", "parameters")}
    assert record.objective == {
        "metric": "fid",
        "direction": "min",
        "others": [{"metric": "parameters", "direction": "min"}],
    }
    assert record.strategy == "random_pareto"


def test_sizes_are_those_of_the_networks_at_the_widths_of_the_search(run_dir: Path) -> None:
    record = RunRecord.read(run_dir / "record.json")
    settings = {**record.space_settings, "generator_channels": 8}
    space = make_search_space("autogan", **settings)
    for point in record.front:
        if point["phase"] == "search":
            generator = space.build_generator(space.architecture(point["architecture"]["choices"]))
            counted = sum(p.numel() for p in generator.parameters() if p.requires_grad)
            assert point["values"]["parameters"] == counted


def test_the_finalists_are_of_the_front_and_their_own_front_is_recorded(run_dir: Path) -> None:
    record = RunRecord.read(run_dir / "record.json")
    searched_front = [p["architecture"] for p in record.front if p["phase"] == "search"]
    finalists = [finalist["architecture"] for finalist in record.finalists]
    assert finalists == searched_front[:3], "by crowding distance"
    trained = {
        finalist["architecture"]["id"]: {
            "fid": finalist["score"],
            "parameters": GeneratorSizes(
                make_search_space("autogan", **record.space_settings), ("parameters",)
            )(_read(finalist["architecture"]))["parameters"],
        }
        for finalist in record.finalists
    }
    front = [point for point in record.front if point["phase"] == "final"]
    unbeaten = [key for key, m in trained.items() if not is_beaten(m, list(trained.values()))]
    assert sorted(p["architecture"]["id"] for p in front) == sorted(unbeaten)
    assert all(p["values"] == trained[p["architecture"]["id"]] for p in front)
    assert record.architecture == min(record.finalists, key=lambda f: f["score"])["architecture"]
    assert "parameters" not in (record.metrics or {}), "no score of images"


def _read(data: Any) -> Any:
    from nasgan.architecture import Architecture

    return Architecture.from_json(data)


def test_a_search_by_several_objectives_resumes_to_the_bit(
    run_dir: Path, tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny("search", *SEARCH, "checkpoint.every_seconds=0")
    with stopping(SearchJob, lambda job: job.strategy.finished):
        run_config(config, tmp_path / "run")
    outcome = run_config(config, tmp_path / "run")
    assert fingerprint(tmp_path / "run") == fingerprint(run_dir)
    front = RunRecord.read(run_dir / "record.json").front
    assert RunRecord.read(tmp_path / "run" / "record.json").front == front
    (line,) = [line for line in outcome.summary_lines if line.startswith("Pareto front")]
    assert "after training" in line


def test_several_metrics_of_images_are_all_scored(tiny: Tiny, tmp_path: Path) -> None:
    few = ("strategy.num_candidates=3", "final.top_k=1", "final.random_architectures=0")
    config = tiny("search", *few, "objective=[fid,is,macs]", "metrics.metrics=[is,fid]")
    run_config(config, tmp_path / "run")
    record = RunRecord.read(tmp_path / "run" / "record.json")
    assert record.objectives == ["fid", "is", "macs"]
    assert {tuple(point["values"]) for point in record.front} == {("fid", "is", "macs")}


def test_workers_sizes_are_measured_too(tiny: Tiny, tmp_path: Path) -> None:
    few = ("strategy=random_scratch", "strategy.num_candidates=3", "final.top_k=1")
    workers = ("executor=processes", "executor.workers=1", "final.random_architectures=0")
    run_config(tiny("search", *few, *workers, "objective=[fid,parameters]"), tmp_path / "run")
    record = RunRecord.read(tmp_path / "run" / "record.json")
    assert record.strategy == "random_scratch_pareto"
    assert all(point["values"]["parameters"] > 0 for point in record.front)


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["objective=[parameters,fid]"], "the first must be a score of images"),
        (["objective=[]"], "the first must be a score of images"),
        (["objective=[fid,fid]"], "names one twice"),
        (["objective=[fid,kid]"], "kid is not among the metrics of this run"),
        (
            ["objective=[fid,macs]", "strategy=rl"],
            r"strategy 'rl' searches by one objective, and there are 2 \(fid, macs\)",
        ),
        (["objective=[fid,macs]", "strategy=adversarial"], "'adversarial' searches by one"),
    ],
)
def test_objectives_that_cannot_be_searched_by_are_refused_before_data_are_read(
    tiny: Tiny, overrides: list[str], what: str
) -> None:
    with pytest.raises(ConfigError, match=what):
        bind(tiny("search", "metrics.metrics=[is,fid]", *overrides))


def test_a_misspelt_objective_names_the_nearest(tiny: Tiny) -> None:
    with pytest.raises(UnknownNameError, match="parameters"):
        tiny("search", "objective=[fid,paramters]")


def test_a_training_has_one_objective(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="a training has one objective"):
        bind(tiny("train", "architecture=autogan_a", "objective=[fid,parameters]"))
