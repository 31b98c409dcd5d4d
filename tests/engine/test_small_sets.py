"""Runs whose train or test images are few: each score is held against the set that it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasgan.engine import Outcome, run_config
from nasgan.errors import ConfigError
from nasgan.report.boards import headlines
from nasgan.report.chapters import collect
from nasgan.runs.record import RunRecord

Tiny = Callable[..., dict[str, Any]]

DCGAN = ["architecture=dcgan", "trainer=small", "metrics=digits", "metrics.num_images=64"]


def images(path: Path, count: int, classes: int = 0) -> Path:
    drawn = np.random.default_rng(count).integers(0, 256, (count, 16, 16), dtype=np.uint8)
    labels = {"labels": np.arange(count) % classes} if classes else {}
    np.savez(path, images=drawn, **labels)
    return path


def run(tiny: Tiny, folder: Path, train: Path, test: Path, *overrides: str) -> Outcome:
    data = ["dataset=npz", f"dataset.path={train}", f"dataset.test_path={test}"]
    config = tiny("train", *DCGAN, *data, "dataset.image_channels=1", *overrides)
    return run_config(config, folder / "run")


def trained(tiny: Tiny, folder: Path, *settings: Any) -> RunRecord:
    assert run(tiny, folder, *settings).status == "completed"
    return RunRecord.read(folder / "run" / "record.json")


def test_a_small_test_split_leaves_the_bound_out_and_says_why(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = images(tmp_path / "train.npz", 40), images(tmp_path / "test.npz", 5)
    outcome = run(tiny, tmp_path, *sets, "progress=true")
    record = RunRecord.read(tmp_path / "run" / "record.json")
    note = "the 5 test images are too few for is (at least 10)"
    assert (record.bound, record.bound_note) == (None, note)
    assert f"bound: {note}" in capsys.readouterr().err
    assert f"bound: {note}" in outcome.summary_lines
    (chapter,) = collect([tmp_path / "run"]).chapters
    assert ("real test images", note) in headlines(chapter)


def test_what_a_small_test_split_is_enough_for_is_the_bound(tiny: Tiny, tmp_path: Path) -> None:
    sets = images(tmp_path / "train.npz", 5), images(tmp_path / "test.npz", 5)
    record = trained(tiny, tmp_path, *sets, "metrics.metrics=[fid]")
    assert record.bound is not None
    assert list(record.bound["metrics"]) == ["fid"]
    assert not record.bound_note
    assert record.metrics is not None
    assert list(record.metrics) == ["fid"]


def test_a_bound_without_scores_by_class_says_so(tiny: Tiny, tmp_path: Path) -> None:
    sets = images(tmp_path / "train.npz", 40, 2), images(tmp_path / "test.npz", 12)
    record = trained(tiny, tmp_path, *sets, "conditional=true")
    assert record.bound is not None
    assert "fid_per_class" not in record.bound["metrics"]
    assert record.bound_note == (
        "no fid_per_class of the test images: not two or more of each class"
    )


def test_too_few_training_images_are_refused_before_any_training(
    tiny: Tiny, tmp_path: Path
) -> None:
    sets = images(tmp_path / "train.npz", 5), images(tmp_path / "test.npz", 12)
    with pytest.raises(ConfigError, match="the 5 train images are too few for density"):
        trained(tiny, tmp_path, *sets)
