"""Searches by several objectives, or without a final training, in tables and pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from record_samples import (
    DIGITS,
    architecture,
    average_random,
    cost,
    evaluation,
    failed_record,
    record,
    sound_record,
)

from nasgan.errors import ConfigError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.leaderboard.summaries import RunSummary
from nasgan.publishing.bundle import publish
from nasgan.publishing.bundle_check import verify_bundle
from nasgan.publishing.verification import verify_table
from nasgan.report.page import build_report
from nasgan.runs.record import RunRecord, hash_config

OBJECTIVE = {
    "metric": "fid",
    "direction": "min",
    "others": [{"metric": "parameters", "direction": "min"}],
}


def point(phase: str, index: int, **values: float) -> dict[str, Any]:
    return {"phase": phase, "architecture": architecture(index), "values": values}


FRONT = [
    point("search", 0, fid=30.0, parameters=2_000_000),
    point("search", 1, fid=40.0, parameters=1_000_000),
    point("search", 2, fid=50.0, parameters=900_000),
    point("final", 0, fid=20.0, parameters=4_405_251),
    point("final", 1, fid=25.0, parameters=3_000_000),
]


def of_two(seed: int = 0, **changes: Any) -> RunRecord:
    result = point("final", 0, fid=20.0 + seed, parameters=4_405_251)
    front = [*FRONT[:3], result, FRONT[4]]
    values = {"objective": OBJECTIVE, "front": front, "run_id": f"two-{seed}"}
    return sound_record("evolution_pareto", seed, 20.0 + seed, **{**values, **changes})


def untrained(seed: int = 0, **changes: Any) -> RunRecord:
    scored = {**evaluation(0, fid=70.0 + seed), "fidelity": "scratch"}
    config = {"seed": seed, "final": {"top_k": 0, "generator_steps": 100}}
    values = {
        "metrics": None,
        "finalists": [],
        "search_result": scored,
        "config": config,
        "cost": {"search": cost(architectures=10, device_seconds=60.0 + seed), "final": cost()},
        "run_id": f"untrained-{seed}",
    }

    return sound_record(
        "random_scratch", seed, **{**values, "config_hash": hash_config(config), **changes}
    )


def written(folder: Path, *records: RunRecord) -> Path:
    for made in records:
        place = folder / made.run_id
        place.mkdir(parents=True)
        made.write(place / "record.json")
    return folder


def test_fronts_and_search_results_read_back_and_old_records_have_none() -> None:
    for made in (of_two(), untrained()):
        again = RunRecord.from_json(json.loads(json.dumps(made.to_json())))
        assert again.to_json() == made.to_json()
    assert of_two().objectives == ["fid", "parameters"]
    old = sound_record().to_json()
    del old["front"], old["search_result"]
    assert (RunRecord.from_json(old).front, RunRecord.from_json(old).search_result) == ((), None)
    assert RunRecord.from_json(old).objectives == ["fid"]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ([point("final", 0, fid=1.0)], "'final' must have the values fid, parameters, got fid"),
        ([point("warm-up", 0, fid=1.0, parameters=2)], "phase"),
        ([{**FRONT[0], "architecture": {}}], "architecture"),
        ([point("search", 0, fid="1", parameters=2)], "values.fid"),  # type: ignore[arg-type]
    ],
)
def test_a_front_of_another_form_is_refused(wrong: list[dict[str, Any]], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        of_two(front=wrong)


def test_a_table_tells_objectives_and_fronts_only_where_there_are_some(tmp_path: Path) -> None:
    alone = build_leaderboard([sound_record(seed=k) for k in range(3)])
    assert "objectives" not in alone.columns
    records, _ = find_records([written(tmp_path, *map(of_two, range(3)))])
    board = build_leaderboard(records)
    (row,) = board.rows
    assert (row["objectives"], row["front_size"]) == ("fid, parameters", 2.0), "of those trained"
    assert "objectives fid, parameters: on the Pareto front 2 (seed 0)" in "; ".join(row["note"])
    lines = board.to_csv().splitlines()
    assert "objectives" in lines[0]
    assert '"fid, parameters"' in lines[1]
    for name in ("table.csv", "table.json"):
        board.write(tmp_path / name)
        assert verify_table(tmp_path / name, records).differences == ()
    edited = (tmp_path / "table.csv").read_text().replace("fid, parameters", "fid, macs", 1)
    (tmp_path / "table.csv").write_text(edited)
    assert "objectives" in str(verify_table(tmp_path / "table.csv", records).differences)


def test_searches_without_a_final_training_stand_in_the_table_unranked(tmp_path: Path) -> None:
    records, _ = find_records([written(tmp_path, *map(untrained, range(3)))])
    board = build_leaderboard([*records, *(sound_record(seed=k, final=100) for k in range(3))])
    row = next(row for row in board.rows if row["strategy"] == "random_scratch")
    assert (row["n_seeds"], row["n_failed"], row["rank"], dict(row["metrics"])) == (
        3,
        0,
        None,
        {},
    )
    assert row["search_architectures"] == 10
    assert row["generator_parameters"] == 4_405_251
    assert row["budget"].endswith("no final training")
    assert "no scores: the search's result was not trained (final.top_k=0)" in row["note"]
    assert "not ranked: no fid" in row["note"]
    board.write(tmp_path / "table.json")
    assert "not trained" in board.to_markdown()


def test_a_table_of_untrained_searches_alone_is_verified(tmp_path: Path) -> None:
    records, _ = find_records([written(tmp_path, *map(untrained, range(3)))])
    build_leaderboard(records).write(tmp_path / "table.csv")
    found = verify_table(tmp_path / "table.csv", records)
    assert (found.differences, found.num_rows) == ((), 1)


def test_the_report_shows_fronts_and_says_what_was_not_trained(tmp_path: Path) -> None:
    trained = written(tmp_path / "a", *map(of_two, range(2)))
    page = build_report([trained, written(tmp_path / "b", untrained())]).html
    for seed in (0, 1):  # each has its own, though the architecture is one
        assert f"Pareto fronts of evolution_pareto · autogan, seed {seed}" in page
    assert "Pareto fronts, 5 architectures" in page
    for word in ("in the search", "after training", "Parameters G", "not trained (final.top_k=0)"):
        assert word in page
    assert DIGITS in page


def test_finalists_of_another_evaluator_are_named_in_the_budget() -> None:
    def budget(evaluator: Any, *finalists: dict[str, Any]) -> str:
        config = {"final": {"top_k": 2, "generator_steps": 9, "evaluator": evaluator}}
        return RunSummary.of(sound_record(config=config, finalists=finalists)).budget

    def scored(steps: int, **changes: Any) -> dict[str, Any]:
        return {
            **evaluation(0, fid=20.0), "fidelity": "scratch", "generator_steps": steps, **changes
        }  # fmt: skip

    failed = scored(3, failure="collapsed", metrics={}, score=None)
    # One evaluator by its name and by its class, and what was done with it.
    for evaluator in ("scratch", {"_target_": "somewhere.ScratchEvaluator"}):
        assert budget(evaluator, scored(500)).endswith("final 2 by scratch, 500 steps")
        assert budget(evaluator, failed, scored(50000)).endswith("by scratch, 50000 steps")
    for evaluator in ("scratch", {"_target_": "somewhere.scratch"}):
        assert budget(evaluator).endswith("final 2 by scratch")


def test_seeds_that_failed_or_broke_down_stay_in_the_row_of_the_others() -> None:
    scored = {**evaluation(0, fid=20.0), "fidelity": "scratch", "generator_steps": 500}
    cut_off = {"generator_step": 300, "reason": "collapsed"}
    broken = {**scored, "generator_steps": 300, "breakdown": cut_off}
    config = {"final": {"top_k": 1, "generator_steps": 9, "evaluator": "scratch"}}
    records = [
        record(seed=0, config=config, finalists=[scored]),
        record(seed=1, config=config, finalists=[broken]),
        failed_record(seed=2, config=config, finalists=[]),
    ]
    for some in (records, records[::-1]):
        (row,) = (r for r in build_leaderboard(some).rows if r["strategy"] == "random")
        assert row["budget"].endswith("final 1 by scratch, 500 steps")
        assert (row["n_seeds"], row["n_failed"]) == (2, 1)


def test_the_row_of_what_a_table_judged_tells_the_mean_regret() -> None:
    judged = {"table": "T", "scores": "exact", "best_known": 19.0}
    records = [
        record(seed=seed, fid=20.0 + seed, judge={**judged, "regret": 1.0 + seed})
        for seed in (0, 1)
    ]
    board = build_leaderboard(records)
    (row,) = (r for r in board.rows if r["strategy"] == "random")
    assert row["regret"] == 1.5
    assert "regret" in board.columns
    assert board.frame["regret"].tolist() == [1.5]
    assert "| Regret |" in board.to_markdown()
    assert "regret" not in build_leaderboard([record(seed=0)]).columns


def test_what_a_table_judged_is_named_with_the_table_and_how_exact_it_is() -> None:
    def budget(scores: str, checksum: str) -> str:
        config = {"top_k": 1, "generator_steps": 9, "evaluator": {"_target_": "a.TableMean"}}
        judged = {"table": "T", "scores": scores, "best_known": 19.0, "regret": 1.0}
        content = {"images": "0123456789abcdef", "test_images": None, "features": "f"}
        content |= {"architecture": None, "judge": checksum}
        scored = {**evaluation(0, fid=20.0), "fidelity": "table_mean", "generator_steps": 600}
        made = record(config={"final": config}, finalists=[scored], judge=judged, content=content)
        return RunSummary.of(made).budget

    assert budget("exact", "a" * 64).endswith(
        "final 1 by table_mean, 600 steps, exact scores of aaaaaaaa"
    )
    assert len({budget(s, c * 64) for s in ("exact", "surrogate") for c in "ab"}) == 4


def test_random_architectures_do_not_hide_that_the_result_was_not_trained() -> None:
    made = untrained(average_random=average_random(evaluation(4, fid=30.0)))
    row = next(r for r in build_leaderboard([made]).rows if r["strategy"] == "random_scratch")
    assert row["n_seeds"] == 1


def test_untrained_searches_are_published_and_verified(tmp_path: Path) -> None:
    runs = written(tmp_path / "runs", *map(untrained, range(2)))
    publish([runs], tmp_path / "bundle")
    assert verify_bundle(tmp_path / "bundle").differences == ()
