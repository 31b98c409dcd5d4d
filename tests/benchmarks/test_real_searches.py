"""Searches in a made-up truth are told from those that a table of it simulates if they differ."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from record_samples import cost, record

from benchmarks import real_searches
from benchmarks.synthetic_table import SPACE_SETTINGS, Truth, write_synthetic_table
from nasgan.architecture import Architecture
from nasgan.cli.key_values import settings_of
from nasgan.cli.simulate import asked_of, simulated
from nasgan.errors import TableError
from nasgan.factory import make_search_space
from nasgan.tabular.table import Table, load_table

SEARCHES, TRAININGS, STEPS = 30, 8, 600
CHANCE = 3 / math.sqrt(12 * 20)  # three standard errors of the mean of 20 uniform numbers

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth(make_search_space("autogan", **SPACE_SETTINGS))


@pytest.fixture(scope="module")
def file(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made-up")
    return write_synthetic_table(folder, architectures=80, truth=truth)


@pytest.fixture(scope="module")
def table(file: Path) -> Table:
    return load_table(file)


@pytest.fixture(scope="module")
def searches(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated")
    words = [f"table={file}", f"out={out}", "strategy=random", f"seeds={SEARCHES}"]
    settings = settings_of(
        "simulate", [*words, f"budget.generator_steps={TRAININGS * STEPS}", "workers=1"]
    )
    simulated(asked_of(settings), settings)
    return out


def write_run(folder: Path, seed: int, drawn: Sequence[Architecture], truth: Truth) -> None:
    """A finished search that trained ``drawn``, in this order."""
    folder.mkdir(parents=True)
    lines, best = [], (math.inf, "")
    for number, architecture in enumerate(drawn, 1):
        score = list(truth.curve(architecture, 100 + seed))[-1].metrics["fid"]
        best = min(best, (score, architecture.id))
        spent = cost(architectures=number, generator_steps=STEPS * number)
        line = {
            "kind": "evaluation",
            "phase": "search",
            "architecture": architecture.to_json(),
            "metrics": {"fid": score},
            "incumbent": best[1],
            "spent": spent,
        }
        lines.append(json.dumps({"index": number - 1, **line}) + "\n")
    (folder / "history.jsonl").write_text("".join(lines), encoding="utf-8")
    record(seed=seed, run_id=f"run-{seed}").write(folder / "record.json")


def write_runs(folder: Path, truth: Truth, draw: Callable[[int], list[Architecture]]) -> Path:
    for seed in range(20):
        write_run(folder / str(seed), seed, draw(seed), truth)
    return folder


def at_random(truth: Truth) -> Callable[[int], list[Architecture]]:
    rng = np.random.default_rng(1)
    return lambda seed: [truth.space.sample(rng) for _ in range(TRAININGS)]


def test_searches_of_the_same_kind_lie_among_the_simulated_ones(table, searches, truth, tmp_path):
    runs = write_runs(tmp_path / "random", truth, at_random(truth))
    found = real_searches.compare(table, searches, {"random": runs})["strategies"]["random"]
    assert [moment["generator_steps"] for moment in found["curve"]] == [480, 1200, 2400, 3600, 4800]
    before_any, *rest = found["curve"]
    assert before_any["real"] == [math.inf] * 20
    assert before_any["worse"] == [0.5] * 20
    for moment in rest:
        assert np.mean(moment["worse"]) == pytest.approx(0.5, abs=CHANCE)
        low, high = moment["simulated"][1:]
        assert low < np.mean(moment["real"]) < high
    made = found["candidates"]
    assert made["trainings"] == 20 * TRAININGS
    assert made["tau"][0] > 0.4
    assert abs(made["bias"]) < 0.05
    assert made["noise"] <= made["sd"] < 3 * made["noise"]


def test_searches_that_know_the_truth_are_told(table, searches, truth, tmp_path):
    def knowing(seed: int) -> list[Architecture]:
        rng = np.random.default_rng(seed)
        drawn = [truth.space.sample(rng) for _ in range(80)]
        return sorted(drawn, key=lambda each: truth.level(each, STEPS))[:TRAININGS]

    runs = write_runs(tmp_path / "knowing", truth, knowing)
    found = real_searches.compare(table, searches, {"random": runs})
    assert np.mean(found["strategies"]["random"]["curve"][-1]["worse"]) > 0.5 + CHANCE
    told = list(real_searches.lines(json.loads(json.dumps(found))))
    assert told[0] == f"random: fid by {table.name}"
    assert len(told) == 8
    assert told[-1].startswith(f"{20 * TRAININGS} candidates that the table lacks: tau ")


def test_what_cannot_be_compared_is_named(table, searches, truth, tmp_path):
    with pytest.raises(TableError, match="no searches of tpe"):
        real_searches.compare(table, searches, {"tpe": tmp_path})
    with pytest.raises(TableError, match="holds no finished search"):
        real_searches.compare(table, searches, {"random": tmp_path})
    other = load_table(write_synthetic_table(tmp_path / "other", architectures=20, truth=truth))
    with pytest.raises(TableError, match="simulated on another table than synthetic-v1"):
        real_searches.compare(other, searches, {"random": tmp_path})
