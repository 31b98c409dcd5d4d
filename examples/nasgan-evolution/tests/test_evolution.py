"""The strategy keeps nasgan's contract, and is the method that it says it is."""

from functools import partial

import pytest
from nasgan_evolution.strategy import AgingEvolution

from nasgan.contracts import Budget
from nasgan.testing import ToyRun, check_strategy
from nasgan.testing.toy_space import ToySpace


@pytest.mark.parametrize("inherit", [False, True])
def test_conformance(inherit: bool) -> None:
    small = {"num_candidates": 12, "population_size": 4, "sample_size": 2}
    check_strategy(partial(AgingEvolution, inherit=inherit, **small))


def searched(*, several: bool = False, **settings: object) -> AgingEvolution:
    strategy = AgingEvolution(num_candidates=60, **settings)
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
    strategy = searched(several=True, population_size=10)
    rewards = strategy.run.objective.rewards
    scored = [e for e in strategy.evaluations if e.score is not None]
    front = {rewards(e) for e in strategy.front()}
    assert len(front) > 1
    for one in front:  # by the definition
        for other in map(rewards, scored):
            assert other == one or any(a < b for a, b in zip(other, one, strict=True))
    assert strategy.finalists(60) == [e.architecture for e in strategy.front()]


def test_a_child_knows_its_parent_and_differs_from_it_in_one_decision() -> None:
    strategy = searched(population_size=10, inherit=True)
    by_id = {e.architecture.id: e.architecture for e in strategy.evaluations if e.score is not None}
    for child in strategy.evaluations[10:]:
        parent = by_id[child.parent]
        assert sum(parent[name] != option for name, option in child.architecture) == 1
    assert strategy.label == "aging_evolution_inherit_scratch"
