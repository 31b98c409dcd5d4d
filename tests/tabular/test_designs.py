"""Which trainings a table is made of: the same each time, growing at the end, parted whole."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from nasgan.contracts import narrowed
from nasgan.errors import ArchitectureError, ConfigError
from nasgan.factory import load_architecture, make_search_space
from nasgan.randomness import numpy_generator
from nasgan.runs.history import History
from nasgan.tabular.design import Design, Shard, Training
from nasgan.tabular.table_file import FORMAT, FORMAT_VERSION, write_table_file


@pytest.fixture(scope="module")
def space():
    return make_search_space(
        "autogan", image_size=16, generator_channels=8, discriminator_channels=8, latent_dim=8
    )


@pytest.fixture(scope="module")
def small(space):
    """Twelve architectures."""
    keep = {"cell1.block", "cell2.skip", "cell3.norm"}
    return narrowed(space, {d.name: d.options[0] for d in space.decisions if d.name not in keep})


def test_a_larger_design_begins_with_the_smaller_one(space):
    few = Design(architectures=5).choose(space)
    many = Design(architectures=9).choose(space)
    assert many[:5] == few
    assert len(set(many)) == 9
    assert Design(architectures=5, seed=1).choose(space) != few


def test_all_takes_every_architecture_in_a_shuffled_order(small):
    every = Design(kind="all").choose(small)
    assert set(every) == set(small.enumerate())
    assert len(every) == 12
    assert every != list(small.enumerate())
    assert Design(kind="all", architectures=4).choose(small) == every[:4]


def test_uniform_can_take_every_architecture_but_no_more(small):
    assert set(Design(architectures=12).choose(small)) == set(small.enumerate())
    with pytest.raises(ConfigError, match="finds 12 different ones"):
        Design(architectures=13).choose(small)


def test_a_list_takes_every_form_of_an_architecture_once(space, tmp_path):
    published = load_architecture("autogan_a")
    other = space.sample(numpy_generator(0, "test"))
    entries = [
        "autogan_a",
        list(space.encode(other)),
        other.to_json(),
        dict(published.choices),
    ]
    path = tmp_path / "list.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    assert Design(kind="list", path=str(path)).choose(space) == [published, other]
    path.write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
    assert Design(kind="list", path=str(path)).choose(space) == [published, other]


def test_a_folder_of_runs_gives_what_they_scored(space, tmp_path):
    rng = numpy_generator(0, "test")
    first, second, third = (space.sample(rng) for _ in range(3))
    for name, scored in (("b", [third, first]), ("a", [first, second])):
        history = History(tmp_path / name / "history.jsonl")
        history.append({"kind": "values", "values": {}})
        for architecture in scored:
            history.append({"kind": "evaluation", "architecture": architecture.to_json()})
    assert Design(kind="list", path=str(tmp_path)).choose(space) == [first, second, third]
    one = str(tmp_path / "b" / "history.jsonl")
    assert Design(kind="list", path=one, architectures=1).choose(space) == [third]


@pytest.fixture
def table(space, tmp_path):
    """A table of three architectures: the first broke down, the second is the best."""
    rng = numpy_generator(0, "test")
    architectures = [space.sample(rng) for _ in range(3)]
    scores = np.array([np.nan, 10.0, 20.0])[:, None, None]
    manifest = {
        "name": "t",
        "metrics": ["fid"],
        "decisions": {d.name: list(d.options) for d in space.decisions},
        "settings": {"search_space": {"name": "autogan", "version": 1}, "protocol": "p"},
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
    }
    arrays = {
        "options": np.array([space.encode(a) for a in architectures]),
        "seed": np.zeros(3, int),
        "step": np.array([5]),
        "scores": scores,
        "failure": np.frombuffer(b'["x", "", ""]', dtype=np.uint8),
        "seconds": np.ones((3, 1)),
        "total_seconds": np.ones(3),
        "parameters": np.ones((3, 2)),
        "macs": np.ones((3, 2)),
    }
    write_table_file(tmp_path / "t.npz", manifest, arrays)
    return str(tmp_path / "t.npz"), architectures


def test_the_best_of_a_table_come_in_their_order(space, table):
    path, (_, best, second) = table
    assert Design(kind="best", path=path).choose(space) == [best, second]
    narrow = narrowed(space, {"cell1.block": second["cell1.block"]})
    in_space = [a for a in (best, second) if a["cell1.block"] == second["cell1.block"]]
    assert Design(kind="best", path=path).choose(narrow) == in_space


def test_neighbours_differ_from_the_best_in_one_decision_and_are_new(space, table):
    path, known = table
    found = Design(kind="neighbours", path=path, architectures=30).choose(space)
    assert len(set(found)) == 30
    assert not set(found) & set(known)
    near = sum(len(d.options) - 1 for d in space.decisions)

    def distance(one, other):
        return sum(a != b for a, b in zip(one, other, strict=True))

    nearest = [distance(a, known[1]) for a in found]
    assert nearest[:near] == [1] * near
    assert [distance(a, known[2]) for a in found[near:]] == [1] * (30 - near)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[1, 2]]", "14 choices"),
        ('["autogan_a"]\nno', "line 2 is not JSON"),
        ("[3]", "14 choices"),
        ("[" * 10_000, "nested too deeply"),
    ],
)
def test_a_bad_list_is_named(space, tmp_path, text, message):
    path = tmp_path / "list.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArchitectureError, match=rf"design\.path={path}.*{message}"):
        Design(kind="list", path=str(path)).choose(space)


def test_a_pipe_in_place_of_a_list_is_not_waited_for(space, tmp_path):
    os.mkfifo(tmp_path / "list.json")
    with pytest.raises(ArchitectureError, match="it is no plain file"):
        Design(kind="list", path=str(tmp_path / "list.json")).choose(space)


def test_the_repeats_of_the_first_architectures_come_last(space):
    design = Design(architectures=3, seeds=2, repeated=2, repeated_seeds=4)
    a, b, c = design.choose(space)
    assert design.trainings([a, b, c]) == [
        *(Training(x, seed) for x in (a, b, c) for seed in (0, 1)),
        *(Training(x, seed) for x in (a, b) for seed in (2, 3)),
    ]


def test_shards_part_the_trainings_and_do_not_move_when_the_design_grows(space):
    design = Design(architectures=40)
    trainings = design.trainings(design.choose(space))
    shards = [Shard.parse(f"{k}/3") for k in (1, 2, 3)]
    parts = [[t for t in trainings if shard.holds(t)] for shard in shards]
    assert sorted(t.name for part in parts for t in part) == sorted(t.name for t in trainings)
    assert all(len(part) > 10 for part in parts)
    larger = Design(architectures=60)
    grown = [t for t in larger.trainings(larger.choose(space)) if shards[0].holds(t)]
    assert set(parts[0]) < set(grown)


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/5"])
def test_a_part_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="from 1/N to N/N"):
        Shard.parse(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "design.architectures=300"),
        ({"architectures": 0}, "at least 1"),
        ({"architectures": 1, "seeds": 0}, "design.seeds"),
        ({"kind": "list"}, "design.path belongs to"),
        ({"architectures": 1, "path": "x"}, "design.path belongs to"),
        ({"architectures": 2, "repeated": 1, "repeated_seeds": 2}, "must be above design.seeds=2"),
    ],
)
def test_impossible_designs_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Design(**settings)
