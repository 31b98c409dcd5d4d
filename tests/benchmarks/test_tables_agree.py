"""Two tables of the same made-up truth agree as far as their noise allows, and no further."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau
from simulation_samples import search, write_simulations

from benchmarks import tables_agree
from benchmarks.cross_judged import write_halves
from benchmarks.synthetic_table import write_synthetic_table
from nasgan.errors import TableError
from nasgan.tabular.build import assembled
from nasgan.tabular.manifest import MANIFEST_FILE, Manifest
from nasgan.tabular.rows import read_rows
from nasgan.tabular.table import Table, load_table
from nasgan.tabular.table_file import write_table_file

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made-up")
    write_synthetic_table(folder, architectures=80, seeds=4, repeated=0)
    return folder


@pytest.fixture(scope="module")
def by_seeds(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Table]:
    """The same architectures in both, with two seeds each, of which none is shared."""
    manifest, trained = Manifest.read(rows / MANIFEST_FILE), read_rows(rows)
    out = tmp_path_factory.mktemp("by-seeds")
    for name, seeds in (("one", (0, 1)), ("two", (2, 3))):
        own = [row for row in trained if row.seed in seeds]
        write_table_file(out / f"{name}.npz", *assembled([manifest], own, name=name))
    return [load_table(out / f"{name}.npz") for name in ("one", "two")]


@pytest.fixture(scope="module")
def by_architectures(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Table]:
    return [load_table(half) for half in write_halves(rows, tmp_path_factory.mktemp("halves"))]


def test_trainings_of_one_truth_reach_the_ceiling_of_their_noise(by_seeds):
    found = tables_agree.compare(*by_seeds)
    shared = found["trained_by_both"]
    assert shared["architectures"] == 80
    assert found["predicted"] is None
    means = [table.means("fid") for table in by_seeds]
    assert shared["tau"][0] == pytest.approx(kendalltau(*means).statistic)
    assert shared["pearson"][0] == pytest.approx(np.corrcoef(*means)[0, 1])
    assert shared["tau"][0] == pytest.approx(shared["ceiling"]["tau"], abs=0.08)
    low, high = shared["true_pearson"][1:]
    assert low < 1 < high
    assert shared["pearson"][0] < 0.95


def test_unlike_truths_do_not_agree(by_seeds, tmp_path):
    one, two = by_seeds
    shuffled = np.random.default_rng(0).permutation(len(two.architectures))
    arrays = dict(two._arrays)
    arrays["scores"] = arrays["scores"].reshape(80, 2, *arrays["scores"].shape[1:])[shuffled]
    arrays["scores"] = arrays["scores"].reshape(two._arrays["scores"].shape)
    found = tables_agree.compare(one, Table(two.manifest, arrays, source="shuffled"))
    low, high = found["trained_by_both"]["true_pearson"][1:]
    assert low < 0 < high


def test_what_one_predicts_of_what_it_has_not_trained(by_architectures):
    one, two = by_architectures
    found = tables_agree.compare(one, two)
    assert found["trained_by_both"] is None
    foretold = found["predicted"]
    assert foretold["architectures"] == len(two.architectures) == 40
    made = np.array([np.log(one.predict(a)["fid"].mean) for a in two.architectures])
    assert foretold["tau"][0] == pytest.approx(kendalltau(made, two.means("fid")).statistic)
    assert 0.1 < foretold["tau"][0] < foretold["ceiling"]["tau"]
    assert abs(foretold["bias"]) < 0.1


def test_tables_of_other_spaces_are_refused_by_name(by_seeds):
    one, two = by_seeds
    manifest = json.loads(json.dumps(two.manifest))
    manifest["settings"]["search_space"]["name"] = "agan"
    other = Table(manifest, two._arrays, source="other")
    with pytest.raises(TableError, match=r"one is of autogan \(version 1\), two of agan"):
        tables_agree.compare(one, other)


def _folder(path: Path, **found: list[float]) -> Path:
    path.mkdir()
    searches = [search(n, k, [score]) for n, own in found.items() for k, score in enumerate(own)]
    write_simulations(path, searches)
    return path


def test_strategies_that_both_have_are_ranked_among_themselves(tmp_path):
    seeds = range(40)
    worst, middle, best = ([float(level + k % 3) for k in seeds] for level in (30, 20, 10))
    first = _folder(tmp_path / "1", random=worst, tpe=best, rl=middle, alone=best)
    second = _folder(tmp_path / "2", random=worst, tpe=middle, rl=best)
    found = tables_agree.of_searches(first, second)
    assert list(found["strategies"]) == ["tpe", "rl", "random"]
    assert found["spearman"] == pytest.approx(0.5)
    assert found["pairs"] == {
        "all": 3,
        "told_apart": [3, 3],
        "told_apart_by_both": 3,
        "the_other_way_round": 1,
    }
    gains = [side["gain"]["mean"] for side in found["strategies"]["tpe"]]
    assert gains == pytest.approx([20.0, 10.0])


def test_folders_without_a_common_ranking_are_refused(tmp_path):
    first = _folder(tmp_path / "1", random=[3.0, 4.0], tpe=[1.0, 2.0])
    second = _folder(tmp_path / "2", random=[3.0, 4.0], rl=[1.0, 2.0])
    with pytest.raises(TableError, match="share no two strategies"):
        tables_agree.of_searches(first, second)


def test_the_command_tells_and_writes_it(by_seeds, tmp_path, monkeypatch, capsys):
    first = _folder(tmp_path / "1", random=[3.0, 4.0], tpe=[1.0, 2.0])
    paths = []
    for table in by_seeds:
        paths.append(str(tmp_path / f"{table.name}.npz"))
        write_table_file(Path(paths[-1]), table.manifest, table._arrays)
    out = tmp_path / "agreement.json"
    words = ["tables_agree.py", *paths, "--searches", str(first), str(first), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    tables_agree.main()
    shown = capsys.readouterr().out
    assert "80 architectures that both trained: tau 0." in shown
    assert "mean ranks agree to 1.00" in shown
    assert "tpe" in shown
    assert "2 (2 to 2)" in shown
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["searches"]["strategies"]["tpe"][0]["judged"]["mean"] == 1.5
