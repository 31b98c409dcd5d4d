"""Class-conditional runs from the search to the finished images."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from run_comparison import TINY

import nasgan
from nasgan.cli.compose import compose
from nasgan.engine import evaluate_run, run_config, sample_run
from nasgan.errors import ConfigError
from nasgan.evaluation.sampling import image_sampler, images_of
from nasgan.metrics import to_uint8

_CLASSES = 10


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conditional") / "run"
    run_config(compose("search", [*TINY, "conditional=true"]), folder)
    return folder


def _sampling(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "run": str(folder),
        "num": 30,
        "seed": 0,
        "out": None,
        "classes": None,
        "columns": None,
        "device": "cpu",
        "threads": 1,
        **changes,
    }


def test_the_record_has_the_scores_of_each_class(finished: Path) -> None:
    record = nasgan.load(finished).record
    assert record.metrics is not None
    assert record.per_class is not None
    assert len(record.per_class["fid"]) == _CLASSES
    assert record.metrics["fid_per_class"] == pytest.approx(fmean(record.per_class["fid"]))
    average = record.average_random
    assert average is not None
    assert average["metrics"]["fid_per_class"] > 0


def test_evaluating_anew_gives_the_recorded_scores_by_class(finished: Path) -> None:
    again = evaluate_run(
        {
            "run": str(finished),
            "metrics": {},
            "dataset": {},
            "num_images": None,
            "seed": 0,
            "device": "cpu",
            "threads": 1,
        }
    )
    record = nasgan.load(finished).record
    assert record.metrics is not None
    assert record.per_class is not None
    # The final phase scores the training's own network, whose memory layout may differ.
    assert again["metrics"] == pytest.approx(dict(record.metrics), rel=1e-4)
    assert again["per_class"]["fid"] == pytest.approx(record.per_class["fid"], rel=1e-4)


def test_every_class_is_scored_by_equally_many_images(finished: Path) -> None:
    run = nasgan.load(finished)
    network = run.space.network
    sample = image_sampler(
        images_of(run.generator),
        latent_dim=network.latent_dim,
        num_classes=network.num_classes,
        seed=0,
        device=torch.device("cpu"),
    )
    labels = torch.cat([part for n in (7, 13, 20) if (part := sample(n).labels) is not None])
    assert torch.bincount(labels).tolist() == [4] * _CLASSES


def test_samples_are_of_the_classes_that_are_asked_for(finished: Path, tmp_path: Path) -> None:
    run = nasgan.load(finished)
    out = str(tmp_path / "images.npz")
    with np.load(sample_run(_sampling(finished, classes=[8, 3], out=out))) as archive:
        labels, images = archive["labels"], archive["images"]
    assert labels.tolist() == [8, 3] * 15
    expected = to_uint8(run.sample(30, seed=0, labels=torch.from_numpy(labels)))
    assert np.array_equal(images, expected.permute(0, 2, 3, 1).numpy())
    with np.load(sample_run(_sampling(finished, out=out))) as archive:
        assert archive["labels"].tolist() == [*range(_CLASSES)] * 3
        assert not np.array_equal(archive["images"], images)


def test_a_grid_has_a_column_for_each_class(finished: Path, tmp_path: Path) -> None:
    def proportions(**changes: Any) -> float:
        path = sample_run(_sampling(finished, out=str(tmp_path / "grid.png"), **changes))
        with Image.open(path) as grid:
            return grid.width / grid.height

    assert proportions() == pytest.approx(_CLASSES / 3, rel=0.02)
    assert proportions(classes=[1, 2]) == pytest.approx(2 / 15, rel=0.05)
    assert proportions(columns=5) == pytest.approx(5 / 6, rel=0.02)


def test_classes_that_are_not_there_are_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"some of 0 to 9, got \[3, 10\]"):
        sample_run(_sampling(finished, classes=[3, 10]))
    with pytest.raises(ConfigError, match=r"some of 0 to 9, got \[\]"):
        sample_run(_sampling(finished, classes=[]))
    with pytest.raises(ConfigError, match="cannot sample -30 images"):
        sample_run(_sampling(finished, num=-30))
    run = nasgan.load(finished)
    with pytest.raises(ConfigError, match=r"some of 0 to 9, got \[3, -1\]"):
        run.sample(2, labels=torch.tensor([3, -1]))
    with pytest.raises(ConfigError, match=r"labels must be of shape \(2,\), got \(1,\)"):
        run.sample(2, labels=torch.tensor([3]))
    plain = tmp_path / "plain"
    run_config(compose("train", [*TINY, "architecture=dcgan", "tuning_budget=none"]), plain)
    with pytest.raises(ConfigError, match="no classes"):
        sample_run(_sampling(plain, classes=[0]))
    with pytest.raises(ConfigError, match="no classes"):
        nasgan.load(plain).sample(1, labels=torch.tensor([0]))
    assert nasgan.load(plain).record.per_class is None
    assert nasgan.load(plain).record.tuning_budget == "none"
