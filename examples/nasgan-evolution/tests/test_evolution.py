"""The strategy keeps nasgan's contract, and is the method that it says it is."""

from functools import partial

import pytest
from nasgan_evolution.pareto import crowding, dominates, fronts
from nasgan_evolution.strategy import RegularisedEvolution

from nasgan.contracts import Budget
from nasgan.testing import check_strategy, toy_run, toy_space


@pytest.mark.parametrize("pareto", [False, True])
def test_conformance(pareto: bool) -> None:
    check_strategy(partial(RegularisedEvolution, population_size=4, sample_size=2, pareto=pareto))


def test_fronts() -> None:
    points = [(0.0, 0.0), (1.0, 9.0), (8.0, 1.0), (4.0, 8.0), (2.0, 8.0)]
    assert fronts(points) == [[1, 2, 3], [4], [0]]
    assert crowding([points[i] for i in (1, 2, 3)])[2] == (8 - 1) / 7 + (9 - 1) / 8


def searched(**settings: int) -> RegularisedEvolution:
    strategy = RegularisedEvolution(num_candidates=60, **settings)
    strategy.setup(toy_run.ToyRun(toy_space.ToySpace(), Budget(), shared=False, seed=0))
    while not strategy.finished:
        strategy.step()
    return strategy


def test_children_descend_from_the_population_and_the_old_leave() -> None:
    strategy = searched(population_size=5, sample_size=3)
    seen = [evaluation.architecture for evaluation in strategy.evaluations]
    for i, child in enumerate(seen[5:]):
        changes = [sum(a != b for a, b in zip(child, old, strict=True)) for old in seen[i : i + 5]]
        assert min(changes) <= 1
    assert strategy.incumbent() == strategy.run.scores.best


def test_the_finalists_of_two_objectives_are_the_front() -> None:
    strategy = searched(population_size=10, pareto=True)
    scored = {e.architecture: e for e in strategy.evaluations if e.score is not None}
    front = {strategy._point(scored[architecture]) for architecture in strategy.finalists(60)}
    assert not any(dominates(strategy._point(e), point) for e in scored.values() for point in front)
    assert len({size for _, size in front}) > 1
