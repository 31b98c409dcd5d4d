"""Regularised evolution and NSGA-II."""

from __future__ import annotations

import pytest

from nasgan.contracts import Budget
from nasgan.errors import ConfigError
from nasgan.testing import ToyRun, check_strategy
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.evolution.strategy import Evolution

NSGA2 = {"survivors": "best", "crossover": 0.9, "sample_size": 2}


@pytest.mark.parametrize("settings", [{}, {**NSGA2, "inherit": True}], ids=["aging", "nsga2"])
def test_it_conforms(settings):
    given = {"num_candidates": 8, "population_size": 4, "sample_size": 2, **settings}
    check_strategy(lambda: Evolution(**given))


def searched(*, several=False, shared=False, candidates=40, **settings):
    limits = Budget(generator_steps=1) if shared else Budget()
    strategy = Evolution(num_candidates=candidates, **settings)
    strategy.setup(ToyRun(ToySpace(), limits, several=several, shared=shared, seed=0))
    while not strategy.finished:
        strategy.step()
    return strategy


def changes(one, other):
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_children_descend_from_the_newest_and_none_is_scored_twice():
    strategy = searched(population_size=6, sample_size=3, candidates=25)
    found = strategy.evaluations
    for i, child in enumerate(found[6:], start=6):
        alive = [e.architecture for e in found[:i] if e.score is not None][-6:]
        assert min(changes(child.architecture, parent) for parent in alive) == 1
    assert len({e.architecture for e in found}) == len(found)


def test_the_best_survive_in_nsga2_and_a_child_differs_in_one_network():
    strategy = searched(population_size=8, **NSGA2, inherit=True)
    by_id = {e.architecture.id: e.architecture for e in strategy.evaluations}
    part = {decision.name: decision.part for decision in strategy.run.space.decisions}
    for i, child in enumerate(strategy.evaluations[8:], start=8):
        alive = [e for e in strategy.evaluations[:i] if e.score is not None]
        best = {e.architecture.id for e in sorted(alive, key=lambda e: e.score)[:8]}
        assert child.parent in best
        changed = {part[n] for n, o in child.architecture if by_id[child.parent][n] != o}
        assert len(changed) == 1


def test_the_finalists_of_several_objectives_are_the_front():
    strategy = searched(several=True, population_size=10, **NSGA2)
    rewards = strategy.run.objective.rewards
    scored = [e for e in strategy.evaluations if e.score is not None]
    front = {rewards(e) for e in strategy.front()}
    assert len(front) > 1
    for one in front:  # by the definition
        for other in map(rewards, scored):
            assert other == one or any(a < b for a, b in zip(other, one, strict=True))
    assert strategy.finalists(60) == [e.architecture for e in strategy.front()]


def test_decisions_that_the_evaluator_does_not_see_are_left_alone(monkeypatch):
    monkeypatch.setattr("nasgan.testing.toy_evaluator.ToyEvaluator.sees", ("generator",))
    strategy = searched(population_size=5, sample_size=2, crossover=0.5, inherit=True)
    by_id = {e.architecture.id: e.architecture for e in strategy.evaluations}
    part = {decision.name: decision.part for decision in strategy.run.space.decisions}
    for child in strategy.evaluations[5:]:
        changed = {part[n] for n, o in child.architecture if by_id[child.parent][n] != o}
        assert changed == {"generator"}


def test_labels_tell_methods_apart(toy_run):
    def label(kind, **settings):
        strategy = Evolution(**settings)
        strategy.setup(toy_run(kind, generator_steps=5, architectures=5))
        return strategy.label

    assert label("shared") == "evolution"
    assert label("scratch", inherit=True) == "evolution_inherit_scratch"
    assert label("shared", inherit=True, **NSGA2) == "nsga2"
    assert label("scratch", **NSGA2) == "nsga2_scratch"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"population_size": 0}, "population_size must be at least 1"),
        ({"sample_size": 30}, "sample_size=30 of a population of strategy.population_size=20"),
        ({"num_candidates": 10}, "population_size=20 random architectures are all of"),
        ({"num_candidates": 20}, "population_size=20 random architectures are all of"),
        ({"survivors": "oldest"}, "survivors must be newest or best, got 'oldest'"),
        ({"crossover": 1.5}, "crossover must be from 0 to 1"),
    ],
)
def test_impossible_populations_are_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Evolution(**settings)


@pytest.mark.parametrize(("architectures", "is_told"), [(20, True), (21, False)])
def test_a_budget_that_ends_among_the_random_ones_is_told(toy_run, caplog, architectures, is_told):
    Evolution().setup(toy_run("scratch", architectures=architectures))
    assert (
        "population_size=20 random architectures: nothing will evolve" in caplog.text
    ) is is_told


@pytest.mark.parametrize(("kind", "is_told"), [("shared", True), ("scratch", False)])
def test_weights_that_no_child_can_inherit_are_told(toy_run, caplog, kind, is_told):
    Evolution(inherit=True).setup(toy_run(kind, generator_steps=5))
    assert ("none can begin with its parent's weights" in caplog.text) is is_told
