"""The benchmark of surrogates measures right where the truth is known."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks import surrogate
from benchmarks.surrogate import Held, accuracy, calibration, held_out, left_out, sparse_tau
from benchmarks.synthetic_table import SPACE_SETTINGS, STEPS, Truth, write_synthetic_table
from nasgan.errors import TableError
from nasgan.factory import make_search_space
from nasgan.tabular.table import Table, load_table

TRUTH = Truth(make_search_space("autogan", **SPACE_SETTINGS), seed=1)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made-up")
    return write_synthetic_table(
        folder, architectures=120, seeds=2, repeated=20, repeated_seeds=4, truth=TRUTH
    )


@pytest.fixture(scope="module")
def table(path: Path) -> Table:
    return load_table(path)


@pytest.fixture(scope="module")
def found(path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("out") / "found.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["surrogate.py", str(path), "--out", str(out)])
        surrogate.main()
    made: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return made


def test_the_truth_reaches_the_ceiling_and_nothing_passes_it(table, found):
    held = Held.of(table, "fid")
    truth = np.array([TRUTH.level(each, STEPS[-1]) for each in held.architectures])
    made = accuracy(truth, held.means)
    assert made["tau"][0] == pytest.approx(found["ceiling"]["tau"], abs=0.05)
    assert made["r2"][0] == pytest.approx(found["ceiling"]["r2"], abs=0.07)
    for other in found["predictors"].values():
        assert other["tau"][0] < found["ceiling"]["tau"]
        assert other["tau"][1] < other["tau"][0] < other["tau"][2]


def test_what_is_modelled_on_another_scale_is_refused(table):
    with pytest.raises(TableError, match="is is analysed as it is"):
        surrogate.measure(table, "is")


def test_rivals_that_know_less_are_worse_than_the_surrogate(found):
    own, *others = (made["tau"][0] for made in found["predictors"].values())
    assert own > max(others)
    assert list(found["predictors"])[1:] == [
        "ridge on counts of options",
        "parameters alone",
        "one training of 60 steps",
    ]


def test_means_of_unequal_seeds_count_as_their_harmonic_mean(table):
    assert Held.of(table, "fid").seeds == pytest.approx(120 / (100 / 2 + 20 / 4))


def test_predictions_are_of_architectures_that_the_fit_did_not_see(table):
    held = Held.of(table, "fid")
    seen: list[set[int]] = []

    def spy(_: Held, kept: np.ndarray, asked: np.ndarray) -> np.ndarray:
        assert not set(kept.tolist()) & set(asked.tolist())
        seen.append(set(asked.tolist()))
        return held.means[asked]

    assert held_out(held, spy).tolist() == held.means.tolist()
    assert set.union(*seen) == set(range(120))


def test_sparse_tau_does_not_tell_apart_what_the_noise_does_not():
    means = np.array([1.0, 1.01, 2.0, 3.0])
    wrong_within_the_noise = np.array([1.02, 1.0, 2.0, 3.0])
    rounded = kendalltau([1, 1, 2, 3], means).statistic
    assert sparse_tau(wrong_within_the_noise, means, 1.0) == pytest.approx(rounded)
    assert sparse_tau(wrong_within_the_noise, means, 1e-9) == pytest.approx(4 / 6)


def test_noise_of_the_right_width_is_called_calibrated(table, found):
    made = found["calibration"]
    assert made["sd"] == pytest.approx(1.0, abs=0.12)
    assert made["within 80%"] == pytest.approx(0.8, abs=0.07)
    # Scores twice as far apart as the model was told are found out.
    held = Held.of(table, "fid")
    wide = tuple(np.exp(np.log(s).mean() + 2 * (np.log(s) - np.log(s).mean())) for s in held.scores)
    spread = Held(table, "fid", held.architectures, wide, held.means)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surrogate, "fitted", lambda _, kept, fit=surrogate.fitted: fit(held, kept))
        assert calibration(spread)["sd"] == pytest.approx(2 * made["sd"])


def test_groups_are_left_out_whole(table, found):
    explained = table.explained("fid")
    most = max(explained, key=lambda name: explained[name])
    assert all(group["group"].startswith(f"{most}=") for group in found["left_out"])
    assert sum(group["architectures"] for group in found["left_out"]) <= 120
    members = set(table.architectures[:30])
    held = Held.of(table, "fid")
    (made,) = left_out(held, {"thirty": members, "none": set()})
    assert (made["group"], made["architectures"]) == ("thirty", 30)
    assert math.isfinite(made["bias"])
    trained = [held.scores[n] for n, each in enumerate(held.architectures) if each in members]
    mean, low, high = made["mean"]
    assert mean == pytest.approx(math.exp(np.mean([np.log(own).mean() for own in trained])))
    assert low < mean < high
