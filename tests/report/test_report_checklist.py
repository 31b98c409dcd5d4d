from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from report_samples import environment, run_record, write_run, write_sweep

from nasgan.report.chapters import collect
from nasgan.report.checklist import Item, checklist
from nasgan.runs.record import hash_config


def items(root: Path) -> dict[str, Item]:
    (chapter,) = collect([root]).chapters
    return {item.title.split(" ")[0].split(",")[0]: item for item in checklist(chapter)}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    write_sweep(tmp_path, methods=["random", "rl"], spaces=["autogan"], grid_pixels=0)
    return tmp_path


def test_a_good_sweep_meets_what_a_sweep_can_meet(sweep: Path) -> None:
    found = items(sweep)
    assert {name for name, item in found.items() if item.state != "yes"} == {
        "Ablations",
        "Tabular",
        "Tuning",
    }
    assert "3 seeds: 0, 1, 2" in found["All"].evidence
    assert "0123456789" in found["Code"].evidence


def environment_with(**changes: Any) -> dict[str, Any]:
    return {"environment": {**environment(), **changes}}


DIRTY = environment_with(nasgan={"version": "0.1.0", "commit": "abc", "dirty": True})
UNKNOWN = environment_with(nasgan={"version": "0.1.0", "commit": None, "dirty": None})
UNLIMITED = dict.fromkeys(("architectures", "generator_steps", "images", "device_seconds"))
OTHER_IMAGES = {"dataset_info": {"checksum": "f" * 64, "num_images": 5}}


@pytest.mark.parametrize(
    ("changes", "point", "state", "evidence"),
    [
        (DIRTY, "Code", "partly", "1 name one with uncommitted changes"),
        (UNKNOWN, "Code", "partly", "1 name none"),
        ({"config_hash": "0" * 16}, "All", "no", "does not match its hash"),
        (OTHER_IMAGES, "Same", "no", "2 different image sets"),
        (environment_with(python="3.13"), "Same", "partly", "2 different version sets"),
        ({"budget": UNLIMITED}, "Equal", "no", "different limits in autogan"),
        (environment_with(device="T4"), "Hardware", "partly", "seconds do not compare"),
        ({"tuning_budget": "ten runs"}, "Tuning", "partly", "1 of 7"),
        ({"status": "failed"}, "Several", "yes", "1 failed run is counted"),
    ],
)
def test_one_run_that_differs_is_found(
    sweep: Path, changes: dict[str, Any], point: str, state: str, evidence: str
) -> None:
    write_run(sweep / "odd", "rl", "autogan", 7, grid_pixels=0, **changes)
    item = items(sweep)[point]
    assert evidence in item.evidence
    assert item.state == state


@pytest.mark.parametrize(("target", "state"), [("some_search.Search", "partly"), (None, "yes")])
def test_plugins_count_where_a_run_names_them(sweep: Path, target: str | None, state: str) -> None:
    for seed, version in enumerate(("1.0", "2.0")):
        config = {**run_record("rl", "autogan", 0, random.Random(0)).config, "seed": seed}
        config["strategy"] = {"_target_": target, "name": "rl"}
        write_run(
            sweep / f"odd{seed}",
            seed=7 + seed,
            grid_pixels=0,
            config=config,
            config_hash=hash_config(config),
            **environment_with(plugins={"some-search": version}),
        )
    item = items(sweep)["Same"]
    assert item.state == state
    assert ("different version sets" in item.evidence) == (state == "partly")


def test_missing_baselines_seeds_and_histories_are_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "rl", "autogan", 0, average_random=None, with_history=False)
    found = items(tmp_path)
    assert found["Random"].state == "no"
    assert "random search is missing in autogan" in found["Random"].evidence
    assert found["Several"].state == "no"
    assert "rl · autogan" in found["Several"].evidence
    assert found["Performance"].state == "no"


def test_several_settings_of_a_method_may_be_an_ablation(sweep: Path) -> None:
    write_run(sweep / "other", "rl", "autogan", 0, run_id="other", config_hash="f" * 16)
    item = items(sweep)["Ablations"]
    assert (item.state, "rl in autogan" in item.evidence) == ("partly", True)


def test_random_search_in_one_space_is_no_baseline_of_another(sweep: Path) -> None:
    write_sweep(sweep / "more", methods=["rl"], spaces=["adversarial_nas"], grid_pixels=0)
    item = items(sweep)["Random"]
    assert item.state == "partly"
    assert "random search is missing in adversarial_nas" in item.evidence
    assert "the average random architecture is there" in item.evidence
