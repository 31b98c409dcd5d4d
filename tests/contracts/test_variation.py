"""Mutation and crossover can be kept to one network, or to one stage."""

from __future__ import annotations

import numpy as np
import pytest

from nasgan.architecture import Architecture
from nasgan.errors import ArchitectureError
from nasgan.testing.toy_space import StagedToySpace


def _changed(before: Architecture, after: Architecture) -> set[str]:
    return {name for name, option in before if after[name] != option}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("part", "names"),
    [("generator", {"layer1", "layer2", "layer3"}), ("discriminator", {"critic"})],
)
def test_a_mutation_keeps_to_its_network(space, rng, part, names):
    before = space.sample(rng)
    changed = [_changed(before, space.mutate(before, rng, part=part)) for _ in range(40)]
    assert set().union(*changed) == names
    assert all(len(each) == 1 for each in changed)


def test_more_changes_than_there_are_decisions_change_all_of_them(space, rng):
    before = space.sample(rng)
    assert _changed(before, space.mutate(before, rng, changes=9, part="discriminator")) == {
        "critic"
    }


def test_a_mutation_keeps_to_its_stage(rng):
    space = StagedToySpace()
    before = space.sample(rng)
    assert _changed(before, space.mutate(before, rng, stage=1)) == {"layer2"}
    both = [_changed(before, space.mutate(before, rng, stage=0)) for _ in range(40)]
    assert set().union(*both) == {"layer1", "critic"}
    assert _changed(before, space.mutate(before, rng, stage=0, part="generator")) == {"layer1"}


def test_crossover_takes_the_rest_from_the_first_parent(space, rng):
    first, second = space.architecture([0, 0, 0, 0]), space.architecture([1, 1, 1, 1])
    mixed = [space.crossover(first, second, rng, part="generator") for _ in range(40)]
    assert {_["critic"] for _ in mixed} == {first["critic"]}
    assert {_["layer1"] for _ in mixed} == {first["layer1"], second["layer1"]}


def test_without_limits_the_draws_are_those_of_before(space):
    first, second = space.architecture([0, 0, 0, 0]), space.architecture([1, 1, 1, 1])
    picks = np.random.default_rng(7).integers(2, size=4)
    made = space.crossover(first, second, np.random.default_rng(7))
    assert space.encode(made) == tuple(picks)


def test_a_stage_that_decides_nothing_is_named(space, rng):
    with pytest.raises(ArchitectureError, match="no decision with part=discriminator and stage=3"):
        space.mutate(space.sample(rng), rng, part="discriminator", stage=3)


def test_neighbours_are_all_that_differ_in_one_decision(space, rng):
    for _ in range(5):
        before = space.sample(rng)
        near = space.neighbours(before)
        expected = [each for each in space.enumerate() if len(_changed(before, each)) == 1]
        assert len(near) == len(set(near))
        assert set(near) == set(expected)
