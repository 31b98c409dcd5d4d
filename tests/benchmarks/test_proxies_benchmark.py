"""The benchmark of zero-cost proxies: each is held against the table's means, in its direction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks import proxies
from benchmarks.synthetic_table import SPACE_SETTINGS, Truth, write_synthetic_table
from nasgan.evaluation.zero_cost import PROXIES
from nasgan.factory import make_search_space
from nasgan.tabular.table import Table, load_table

NARROW = {**SPACE_SETTINGS, "generator_channels": 4, "discriminator_channels": 4, "latent_dim": 8}
ARCHITECTURES = 6


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    truth = Truth(make_search_space("autogan", **NARROW), seed=1)
    return write_synthetic_table(
        tmp_path_factory.mktemp("made-up"), architectures=ARCHITECTURES, repeated=0, truth=truth
    )


@pytest.fixture(scope="module")
def table(path: Path) -> Table:
    return load_table(path)


@pytest.fixture(scope="module")
def found(path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(256, size=(40, 20, 20, 3), dtype=np.uint8)
    np.savez(folder / "noise.npz", images=pixels)
    words = ["--images", str(folder / "noise.npz"), "--out", str(folder / "found.json")]
    proxies.main([str(path), *words, "--batch-size", "4"])
    made: dict[str, Any] = json.loads((folder / "found.json").read_text("utf-8"))
    return made


def test_every_proxy_is_held_against_the_mean_over_seeds(
    found: dict[str, Any], table: Table
) -> None:
    assert (found["architectures"], found["trainings"]) == (ARCHITECTURES, 2 * ARCHITECTURES)
    assert found["scores"]["mean"] == pytest.approx(table.means("fid").tolist())
    for name, direction in (("synflow_g", "max"), ("spectrum_g", "min")):
        assert PROXIES[name].direction == direction
        sign = -1 if direction == "max" else 1  # a low FID is a good one
        expected = kendalltau(sign * np.array(found["values"][name]), table.means("fid")).statistic
        row = found["tau"][name]
        assert row["tau"] == pytest.approx(expected)
        assert row["low"] <= row["tau"] <= row["high"]


def test_early_scores_of_one_training_stand_beside_them(
    found: dict[str, Any], table: Table
) -> None:
    early = [
        table.query(each, seed=min(table.seeds_of(each)), step=60).metrics["fid"]
        for each in table.architectures
    ]
    expected = kendalltau(early, table.means("fid")).statistic
    assert found["tau"]["fid of one training at step 60"]["tau"] == pytest.approx(expected)
    assert "fid of one training at step 600" not in found["tau"]


def test_what_is_the_same_everywhere_ranks_nothing(found: dict[str, Any]) -> None:
    assert found["tau"]["parameters_d"] == {"n": ARCHITECTURES, "tau": None}
    text = "\n".join(proxies.lines(found))
    assert "the same for all architectures, or without a value: parameters_d, macs_d" in text


def test_images_that_the_table_was_not_trained_on_are_told(found: dict[str, Any]) -> None:
    assert not found["are_the_tables_images"]
    assert "are not those that the table was trained on" in "\n".join(proxies.lines(found))


def test_what_a_proxy_knows_beyond_size_is_the_partial_tau(found: dict[str, Any]) -> None:
    quality, size = -np.array(found["scores"]["mean"]), np.array(found["values"]["parameters_g"])
    value = np.array(found["values"]["nwot_g"])
    pairs = np.array(
        [
            [np.sign(v[i] - v[j]) for v in (value, quality, size)]
            for i in range(ARCHITECTURES)
            for j in range(ARCHITECTURES)
            if i != j
        ]
    )
    # Kendall's tau is the correlation of the signs of pairs, and this one its partial correlation.
    precision = np.linalg.inv(pairs.T @ pairs)
    expected = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    assert found["tau"]["nwot_g"]["beyond_size"] == pytest.approx(expected)
    assert found["tau"]["parameters_g"]["beyond_size"] is None


def test_a_proxy_without_a_value_is_held_against_the_others_alone() -> None:
    quality = np.arange(6.0)
    row = proxies._tau(np.array([0, 1, np.nan, 3, 4, 5.0]), quality, quality[::-1] ** 2 % 5)
    assert row["n"] == 5
    assert row["tau"] == pytest.approx(1)
    assert (
        proxies._tau(np.array([0, np.nan, np.nan, 3, 4, np.nan]), quality, quality)["tau"] is None
    )
