"""The strategy keeps nasgan's contract, and is the methods that it says it is."""

from functools import partial

import pytest
from nasgan_evolution.strategy import Evolution

from nasgan.contracts import Budget
from nasgan.testing import ToyRun, check_strategy
from nasgan.testing.toy_space import ToySpace

NSGA2 = {"survivors": "best", "crossover": 0.9, "sample_size": 2, "inherit": True}


@pytest.mark.parametrize("settings", [{}, NSGA2], ids=["regularised", "nsga2"])
def test_conformance(settings: dict) -> None:
    check_strategy(partial(Evolution, population_size=4, **{"sample_size": 2, **settings}))


def searched(*, several: bool = False, **settings: object) -> Evolution:
    strategy = Evolution(num_candidates=60, **settings)
    strategy.setup(ToyRun(ToySpace(), Budget(), several=several, seed=0))
    while not strategy.finished:
        strategy.step()
    return strategy


def test_children_descend_from_the_population_and_the_old_leave() -> None:
    strategy = searched(population_size=5, sample_size=3)
    for i, child in enumerate(strategy.evaluations[5:], start=5):
        alive = [e.architecture for e in strategy.evaluations[:i] if e.score is not None][-5:]
        changes = [sum(a != b for a, b in zip(child.architecture, x, strict=True)) for x in alive]
        assert min(changes) <= 1
    assert strategy.incumbent() == strategy.run.scores.best


def test_the_finalists_of_several_objectives_are_the_front() -> None:
    strategy = searched(several=True, population_size=10, **NSGA2)
    rewards = strategy.run.objective.rewards
    scored = [e for e in strategy.evaluations if e.score is not None]
    front = {rewards(e) for e in strategy.front()}
    assert len(front) > 1
    for one in front:  # by the definition
        for other in map(rewards, scored):
            assert other == one or any(a < b for a, b in zip(other, one, strict=True))
    assert strategy.finalists(60) == [e.architecture for e in strategy.front()]
    assert strategy.label == "nsga2_inherit_scratch_pareto"


def test_a_child_knows_its_parent_and_differs_from_it_in_one_network() -> None:
    strategy = searched(population_size=10, **NSGA2)
    by_id = {e.architecture.id: e.architecture for e in strategy.evaluations if e.score is not None}
    part = {decision.name: decision.part for decision in strategy.run.space.decisions}
    for child in strategy.evaluations[10:]:
        parent = by_id[child.parent]
        changed = {part[name] for name, option in child.architecture if parent[name] != option}
        assert len(changed) <= 1
