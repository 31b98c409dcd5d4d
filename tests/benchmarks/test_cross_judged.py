"""Searches on one half of a table, judged by the other: disjoint halves, the other's measure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cross_judged
from benchmarks.synthetic_table import write_synthetic_table
from nasgan.architecture import Architecture
from nasgan.errors import TableError
from nasgan.tabular.manifest import MANIFEST_FILE
from nasgan.tabular.rows import rows_files
from nasgan.tabular.table import Table, load_table

WORDS = ["strategy=random,evolution,tpe", "seeds=3", "budget.generator_steps=9000", "workers=1"]

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made-up")
    write_synthetic_table(folder, architectures=31, seeds=2, repeated=4, repeated_seeds=4)
    return folder


@pytest.fixture(scope="module")
def halves(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return cross_judged.write_halves(rows, tmp_path_factory.mktemp("halves"))


def _held(table: Table) -> dict[str, list[int]]:
    return {each.id: sorted(table.seeds_of(each)) for each in table.architectures}


def test_the_halves_share_no_architecture_and_lose_none(rows, halves):
    one, two = (_held(load_table(half)) for half in halves)
    assert not one.keys() & two.keys()
    assert one | two == _held(load_table(rows))
    assert abs(len(one) - len(two)) <= 1


def test_another_split_is_drawn_by_its_seed(rows, halves, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    for folder in (again, other):
        folder.mkdir()
    assert _held(load_table(cross_judged.write_halves(rows, again)[0])) == _held(
        load_table(halves[0])
    )
    assert _held(load_table(cross_judged.write_halves(rows, other, seed=1)[0])) != _held(
        load_table(halves[0])
    )


@pytest.fixture(scope="module")
def searched(
    halves: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[cross_judged.Direction], Path]:
    out = tmp_path_factory.mktemp("searches")
    both = (halves, halves[::-1])
    return [cross_judged.cross_judged(*each, WORDS, out / each[0].stem) for each in both], out


def test_what_a_search_found_is_worth_what_the_other_half_predicts(halves, searched):
    found, out = searched
    for direction, (table_of, judge) in zip(found, (halves, halves[::-1]), strict=True):
        table = load_table(judge)
        worth: dict[str, list[float]] = {"random": [], "evolution": [], "tpe": []}
        for line in _searches(out / table_of.stem):
            architecture = Architecture.from_json(line["architecture"], source="a line")
            worth[line["strategy"]].append(table.predict(architecture)["fid"].mean)
        told = direction["other"]
        means = {name: sum(values) / len(values) for name, values in worth.items()}
        assert {k: line["judged"]["mean"] for k, line in told.items()} == pytest.approx(means)
        gain = means["random"] - means["evolution"]
        assert told["evolution"]["gain"]["mean"] == pytest.approx(gain)
        assert told["evolution"]["gain"]["n"] == 3
        own = {name: line["judged"]["mean"] for name, line in direction["own"].items()}
        assert own != pytest.approx(means)


def _searches(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "simulations.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_it_tells_each_strategy_by_both_judges_and_how_far_directions_are_apart(searched):
    found, _ = searched
    told = list(cross_judged.lines(json.loads(json.dumps(found))))
    _, heads, *strategies, agreement = told
    assert "own half judges" in heads
    assert {line.split()[0] for line in strategies} == {"random", "evolution", "tpe"}
    one, two = (direction["other"]["evolution"]["gain"]["mean"] for direction in found)
    low, high = sorted((one, two))
    (line,) = (each for each in strategies if each.startswith("evolution"))
    assert f"{(one + two) / 2:.0f} ({low:.0f} to {high:.0f})" in line
    assert "(Spearman" in agreement


def test_one_architecture_has_no_halves(rows, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(rows / MANIFEST_FILE, alone)
    file = rows_files(rows)[0]
    first = file.read_text(encoding="utf-8").splitlines()[0]
    (alone / file.name).write_text(first + "\n", encoding="utf-8")
    with pytest.raises(TableError, match="1 architectures, too few for two halves"):
        cross_judged.write_halves(alone, tmp_path)
