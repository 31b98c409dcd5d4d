"""An experiment is known by what its data are, wherever they lie."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasgan.cli.compose import compose
from nasgan.engine import Outcome, evaluate_run, run_config
from nasgan.errors import DatasetError, RunDirectoryError
from nasgan.factory import load_architecture
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.publishing.bundle import publish
from nasgan.publishing.bundle_check import verify_bundle
from nasgan.publishing.contradictions import record_faults
from nasgan.report.page import build_report
from nasgan.runs.record import RunRecord

Tiny = Callable[..., dict[str, Any]]

DCGAN = ["architecture=dcgan", "trainer=small", "metrics=digits", "metrics.num_images=64"]


def images(path: Path, seed: int = 0) -> Path:
    """Grey noise of 16x16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(seed).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    np.savez(path, images=drawn)
    return path


def data(path: Path | str, *more: str) -> list[str]:
    return ["dataset=npz", f"dataset.path={path}", "dataset.image_channels=1", *more]


def trained(tiny: Tiny, folder: Path, *overrides: str) -> RunRecord:
    outcome = run_config(tiny("train", *DCGAN, *overrides), folder)
    assert outcome.status == "completed"
    return RunRecord.read(folder / "record.json")


def evaluated(run: Path, *overrides: str) -> dict[str, Any]:
    return evaluate_run(compose("evaluate", [f"run={run}", "progress=false", *overrides]))


def test_seeds_on_data_that_moved_are_one_row_and_other_data_are_another(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, moved = images(tmp_path / "a" / "faces.npz"), images(tmp_path / "b" / "faces.npz")
    other = images(tmp_path / "c" / "faces.npz", seed=1)
    held_out = images(tmp_path / "d" / "faces.npz", seed=2)
    here = trained(tiny, tmp_path / "runs" / "0", *data("a/faces.npz"))
    there = trained(tiny, tmp_path / "runs" / "1", *data(moved), "seed=1")
    assert here.config["dataset"]["path"] == str(first), "from the root: it may be read elsewhere"
    assert here.config_hash == there.config_hash
    others = [
        trained(tiny, tmp_path / "others" / "0", *data(other)),
        trained(tiny, tmp_path / "others" / "1", *data(first, f"dataset.test_path={held_out}")),
    ]
    assert len({record.config_hash for record in (here, *others)}) == 3
    runs, _ = find_records(["runs"])
    assert record_faults(runs) == []
    board = build_leaderboard(runs)
    assert [row["n_seeds"] for row in board.rows] == [2]


def test_other_weights_of_the_features_are_another_experiment_and_a_copy_is_not(
    tiny: Tiny, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    from nasgan.metrics.extractors.digits import WEIGHTS

    shutil.copy(WEIGHTS, tmp_path / "copy.safetensors")
    state = load_file(WEIGHTS)
    save_file({name: tensor * 1.01 for name, tensor in state.items()}, tmp_path / "x.safetensors")
    usual = trained(tiny, tmp_path / "0")
    copied = trained(
        tiny, tmp_path / "1", f"+metrics.features.weights={tmp_path / 'copy.safetensors'}"
    )
    other = trained(tiny, tmp_path / "2", f"+metrics.features.weights={tmp_path}/x.safetensors")
    assert usual.config_hash == copied.config_hash != other.config_hash


def test_an_architecture_is_the_same_by_its_name_and_from_a_file(
    tiny: Tiny, tmp_path: Path
) -> None:
    named = trained(tiny, tmp_path / "runs" / "0")
    shutil.copytree(tmp_path / "runs" / "0", tmp_path / "copy")
    by_file = trained(tiny, tmp_path / "a", f"architecture={tmp_path / 'runs' / '0'}", "seed=1")
    by_copy = trained(tiny, tmp_path / "b", f"architecture={tmp_path / 'copy'}", "seed=2")
    assert named.config_hash == by_file.config_hash == by_copy.config_hash
    assert (named.architecture_name, by_file.architecture_name) == ("dcgan", None)
    runs, _ = find_records([tmp_path / "a", tmp_path / "b"])
    (row,) = build_leaderboard(runs).rows
    assert (row["n_seeds"], row["architecture"]) == (2, named.architecture["id"])
    other = trained(tiny, tmp_path / "c", "architecture=sngan")
    assert other.config_hash != named.config_hash


def test_what_is_published_does_not_say_where_an_architecture_lay(
    tiny: Tiny, tmp_path: Path
) -> None:
    place = tmp_path / "found.json"
    load_architecture("dcgan").save(place)
    trained(tiny, tmp_path / "run", f"architecture={place}")
    bundle = publish([tmp_path / "run"], tmp_path / "bundle")
    build_report([tmp_path / "run"]).write(bundle.folder.parent / "report.html")
    texts = [tmp_path / "report.html", *bundle.folder.rglob("*.*")]
    assert all(str(tmp_path).encode() not in path.read_bytes() for path in texts if path.is_file())
    assert "found.json" in texts[0].read_text()
    assert not any("names the place" in remark for remark in bundle.remarks)
    assert verify_bundle(bundle.folder).differences == ()


def test_records_of_before_read_verify_and_group_as_before(tiny: Tiny, tmp_path: Path) -> None:
    """Their hash is that of the whole configuration, paths and all."""
    place = images(tmp_path / "faces.npz")
    for seed in (0, 1):
        record = trained(tiny, tmp_path / f"{seed}", *data(place), f"seed={seed}")
        old = record.to_json()
        del old["content"]
        for since in ("batch_norm", "devices"):
            del old["config"]["trainer"][since]
        beside = {"checkpoint", "executor", "logger", "output_root", "progress", "retry_failed"}
        beside |= {"run_dir", "tuning_budget", "device", "seed", "threads"}
        hashed = {key: value for key, value in old["config"].items() if key not in beside}
        text = json.dumps(hashed, sort_keys=True, separators=(",", ":"))
        old["config_hash"] = hashlib.sha256(text.encode()).hexdigest()[:16]
        (tmp_path / f"{seed}" / "record.json").write_text(json.dumps(old))
    runs, problems = find_records([tmp_path])
    assert (problems, record_faults(runs)) == ([], [])
    assert [row["n_seeds"] for row in build_leaderboard(runs).rows] == [2]
    moved = {**old["config"], "dataset": {**old["config"]["dataset"], "path": "elsewhere.npz"}}
    (tmp_path / "1" / "record.json").write_text(json.dumps({**old, "config": moved}))
    faults = record_faults(find_records([tmp_path])[0])
    assert ["does not match its hash" in str(fault) for fault in faults] == [True]


def test_a_record_whose_checksum_was_changed_does_not_verify(tiny: Tiny, tmp_path: Path) -> None:
    record = trained(tiny, tmp_path / "run").to_json()
    changed = {**record["content"], "images": "0" * 64}
    info = {**record["dataset_info"], "checksum": "0" * 64}
    path = tmp_path / "run" / "record.json"
    path.write_text(json.dumps({**record, "content": changed, "dataset_info": info}))
    faults = record_faults(find_records([tmp_path])[0])
    assert ["does not match its hash" in str(fault) for fault in faults] == [True]


def test_a_run_under_way_goes_on_with_data_that_moved_and_refuses_others(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, run = images(tmp_path / "a" / "faces.npz"), tmp_path / "run"

    def start(*overrides: str) -> Outcome:
        base = ["search_space=baselines", "metrics=digits", "trainer=small"]
        return run_config(tiny("search", *base, *overrides), run)

    with monkeypatch.context() as patch:
        patch.setattr("nasgan.engine.search_job.SearchJob.step", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            start(*data(place))
    (tmp_path / "b").mkdir()
    moved = place.rename(tmp_path / "b" / "faces.npz")
    other = images(tmp_path / "c" / "faces.npz", seed=1)
    with pytest.raises(RunDirectoryError, match="run of other data: other training images"):
        start(*data(other))
    assert start(*data(moved)).status == "completed"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_finished_run_is_not_taken_for_one_of_other_data(tiny: Tiny, tmp_path: Path) -> None:
    place, run = images(tmp_path / "faces.npz"), tmp_path / "run"
    trained(tiny, run, *data(place))

    def again(*overrides: str) -> Outcome:
        return run_config(tiny("train", *DCGAN, *overrides), run)

    other = images(tmp_path / "other.npz", seed=1)
    with pytest.raises(RunDirectoryError, match="other training images"):
        again(*data(other))
    moved = place.rename(tmp_path / "moved.npz")
    assert again(*data(place)).status == "already_completed", "the place of before is not read"
    assert again(*data(moved)).status == "already_completed"


def test_images_that_were_changed_in_their_place_are_other_data(tiny: Tiny, tmp_path: Path) -> None:
    place, run = images(tmp_path / "faces.npz"), tmp_path / "run"
    trained(tiny, run, *data(place))
    images(place, seed=1)
    ended = (run / "record.json").stat().st_mtime
    os.utime(place, (ended + 5, ended + 5))
    with pytest.raises(RunDirectoryError, match="other training images"):
        run_config(tiny("train", *DCGAN, *data(place)), run)
    images(place)
    os.utime(place, (ended + 5, ended + 5))
    again = run_config(tiny("train", *DCGAN, *data(place)), run)
    assert again.status == "already_completed", "written again, with the same images"


def test_evaluate_finds_the_images_of_the_run_and_says_when_they_differ(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    place = images(Path("faces.npz"))
    record = trained(tiny, tmp_path / "run", *data(place))
    own = evaluated(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "there")
    images(Path("faces.npz"), seed=1)
    assert evaluated(tmp_path / "run") == own, "not the other images that lie here"
    assert own["protocol"] == record.protocol
    assert list(evaluated(tmp_path / "run", "metrics.metrics=[is]")["metrics"]) == ["is", "is_std"]

    moved = (tmp_path / "here" / "faces.npz").rename(tmp_path / "moved.npz")
    with pytest.raises(DatasetError, match=r"here/faces\.npz does not exist"):
        evaluated(tmp_path / "run")
    again = evaluated(tmp_path / "run", f"dataset.path={moved}")
    assert again["metrics"] == own["metrics"], "the setting that the message names is one"
    with pytest.raises(RunDirectoryError, match=r"other training images .*dataset\.path="):
        evaluated(tmp_path / "run", "dataset.path=faces.npz")
    others = evaluated(tmp_path / "run", *data("faces.npz"))
    assert "not the run's own data" in others["remark"]
    assert own["remark"] == ""
