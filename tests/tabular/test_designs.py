"""Which trainings a table is made of: the same each time, growing at the end, parted whole."""

from __future__ import annotations

import json

import pytest

from nasgan.contracts import narrowed
from nasgan.errors import ArchitectureError, ConfigError
from nasgan.factory import load_architecture, make_search_space
from nasgan.randomness import numpy_generator
from nasgan.tabular.design import Design, Shard, Training


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[1, 2]]", "14 choices"),
        ('["autogan_a"]\nno', "line 2 is not JSON"),
        ("[3]", "14 choices"),
    ],
)
def test_a_bad_list_is_named(space, tmp_path, text, message):
    path = tmp_path / "list.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArchitectureError, match=rf"design\.path={path}.*{message}"):
        Design(kind="list", path=str(path)).choose(space)


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
