from __future__ import annotations

import json
import os
import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from record_samples import architecture, average_random, evaluation, failed_record, record

from nasgan.errors import ConfigError, StorageError
from nasgan.runs.record import RunRecord, hash_config


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    original = record(
        average_random=average_random(evaluation(3, fid=50.0), evaluation(4, failure="NaN")),
        bound={"metrics": {"fid": 2.0}, "num_images": 359},
        bound_note="no fid_per_class of the test images",
        experiment="debug/tiny",
        tuning_budget="none",
    )
    original.write(tmp_path / "record.json")
    read = RunRecord.read(tmp_path / "record.json")
    assert read.to_json() == original.to_json()
    assert RunRecord.from_json(failed_record().to_json()).failure == "NaN loss"


def test_costs_and_evaluations_of_the_contracts_are_accepted() -> None:
    from nasgan.architecture import Architecture
    from nasgan.contracts.budget import Budget, Cost
    from nasgan.contracts.evaluation import Evaluation

    parsed = Architecture.from_json(architecture())
    for scored in (
        Evaluation(parsed, {"fid": 3.0}, 3.0, "final", 10, Cost(1, 10, 640, 0.5)),
        Evaluation(parsed, {}, None, "shared", failure="NaN"),
    ):
        spent = {"search": scored.cost.to_json(), "final": Cost().to_json()}
        made = record(finalists=[scored.to_json()], cost=spent, budget=Budget().to_json())
        again = RunRecord.from_json(json.loads(json.dumps(made.to_json())))
        assert Evaluation.from_json(again.finalists[0]) == scored
        assert Cost.from_json(again.cost["search"]) == scored.cost


def test_breakdowns_are_read_and_records_without_them_too() -> None:
    mark = {"reason": "the loss exploded", "generator_step": 7}
    broken = {**evaluation(0, fid=20.0), "breakdown": mark}
    made = record(finalists=[broken], breakdowns=[{**mark, "phase": "final"}])
    again = RunRecord.from_json(json.loads(json.dumps(made.to_json())))
    assert again.to_json() == made.to_json()
    old = record().to_json()
    del old["breakdowns"]
    assert RunRecord.from_json(old).breakdowns == ()
    for wrong in ({**mark, "phase": "warm-up"}, mark, {**mark, "generator_step": "7"}):
        with pytest.raises(ConfigError, match="breakdowns"):
            record(breakdowns=[wrong])
    with pytest.raises(ConfigError, match="breakdown"):
        record(finalists=[{**broken, "breakdown": None}])


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run_id", ""),
        ("kind", "sweep"),
        ("status", "running"),
        ("seed", True),
        ("seed", -1),
        ("seed", "0"),
        ("metrics", {"fid": float("nan")}),
        ("metrics", {"fid": "12"}),
        ("objective", {"metric": "fid", "direction": "down"}),
        ("parameters", {"generator": 1}),
        ("macs", 1.5),
        ("macs", 2**64),
        ("metrics", {"fid": 10**400}),
        ("metrics", {"fid": 1e200}),
        ("space_settings", [16]),
        ("finalists", {}),
        ("finalists", [{**evaluation(fid=1.0), "score": float("inf")}]),
        ("finalists", [{**evaluation(fid=1.0), "architecture": {"format": "pickle"}}]),
        ("architecture", {"space": "autogan"}),
        ("average_random", {"count": 1, "failed": 0, "metrics": {}, "evaluations": []}),
        ("bound", {"metrics": {}}),
        ("cost", {"search": {}}),
        ("budget", {"architectures": 3}),
        ("timers", {"search": -1.0}),
        ("config", {"a": object()}),
        ("config", {"a": nested(101)}),
        ("seed", nested(900)),
        ("config", {"a": [1, {"b": float("nan")}]}),
        ("dataset_info", {"num_images": 3}),
        ("started", "yesterday"),
        ("started", "2026-11-22T10:00:00"),
        ("started", "20261122T100000+00:00"),
        ("started", "2026-11-22T10:00:00Z"),
        ("ended", "2026-11-22T09:00:00.000+00:00"),
        ("failure", "but it completed"),
        ("strategy", "train"),
    ],
)
def test_a_wrong_field_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        record(**{field: value})


OUTSIDE = [("fid", -5.0), ("precision", 7), ("recall", -0.01), ("is", 0.9), ("kid_std", -1.0)]


@pytest.mark.parametrize(("metric", "value"), OUTSIDE)
@pytest.mark.parametrize("place", ["metrics", "finalists", "average_random", "bound", "per_class"])
def test_a_score_that_the_metric_cannot_give_is_refused_by_its_place(
    place: str, metric: str, value: float
) -> None:
    scores = {metric: value}
    held: dict[str, Any] = {
        "metrics": scores,
        "finalists": [evaluation(**scores)],
        "average_random": average_random(evaluation(**scores)),
        "bound": {"metrics": scores, "num_images": 9},
        "per_class": {metric: [1.0, value]},
    }
    with pytest.raises(ConfigError, match=rf"{place}.*\.{metric}(\[1\])? must be (at|from)"):
        record(**{place: held[place]})


def test_scores_within_bounds_of_unknown_metrics_and_rounded_ones_are_kept() -> None:
    scores = {"fid": 0.0, "is": 1 - 1e-12, "precision": 1.0, "kid": -0.2, "elsewhere": -7.0}
    assert record(metrics=scores).metrics == scores


def test_a_completed_run_has_an_architecture_and_a_failed_one_a_reason() -> None:
    with pytest.raises(ConfigError, match="architecture must not be null"):
        record(architecture=None)
    with pytest.raises(ConfigError, match="failure must give the reason"):
        failed_record(failure="")


def test_foreign_and_newer_and_incomplete_records_are_refused() -> None:
    good = record().to_json()
    for data, message in (
        ([], "not a run record"),
        ({**good, "format": "other"}, "not a run record"),
        ({**good, "version": 2}, "version 2"),
        ({**good, "colour": "red"}, "unknown colour"),
        ({key: value for key, value in good.items() if key != "macs"}, "lacks macs"),
    ):
        with pytest.raises(ConfigError, match=message):
            RunRecord.from_json(data)


def test_no_malformed_file_gets_through_or_raises_anything_else(tmp_path: Path) -> None:
    good = json.dumps(record().to_json()).encode()
    rng = random.Random(0)
    path = tmp_path / "record.json"
    for _ in range(300):
        damaged = bytearray(good[: rng.randrange(len(good))])
        for _ in range(3):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(bytes(damaged))
        with pytest.raises(ConfigError, match="record"):
            RunRecord.read(path)
    for content in (b"[" * 100_000, good.replace(b"20.0", b"NaN"), b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="not JSON"):
            RunRecord.read(path)


def test_every_field_survives_any_replacement_only_if_valid() -> None:
    messages: list[str] = []
    junk = [None, True, -1, 1.5, "", "text", [], {}, [None], {"a": None}, {"": {}}]
    good = record().to_json()
    for item in fields(RunRecord):
        for value in junk:
            try:
                read = RunRecord.from_json({**good, item.name: value})
            except ConfigError as error:
                messages.append(str(error))
            else:
                assert json.loads(json.dumps(read.to_json()))[item.name] == value
    assert len(messages) > 200
    assert all(message.startswith("record: ") for message in messages)


def test_a_full_disk_leaves_the_old_record_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record.json"
    record(fid=11.0).write(path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="full"):
        record(fid=22.0).write(path)
    monkeypatch.undo()
    read = RunRecord.read(path)
    assert read.metrics is not None
    assert read.metrics["fid"] == 11.0
    assert [item.name for item in tmp_path.iterdir()] == ["record.json"]


def test_seeds_of_one_experiment_have_one_config_hash() -> None:
    config = {"seed": 0, "run_dir": "a", "device": "cpu", "trainer": {"lr": 1e-4, "n_critic": 5}}
    same = {"trainer": {"n_critic": 5, "lr": 1e-4}, "seed": 1, "run_dir": "b", "device": "cuda"}
    other = {**config, "trainer": {"lr": 2e-4, "n_critic": 5}}
    assert hash_config(config) == hash_config(same)
    assert hash_config(config) != hash_config(other)
    assert hash_config(config, ignore=["trainer"]) == hash_config(other, ignore=["trainer"])
