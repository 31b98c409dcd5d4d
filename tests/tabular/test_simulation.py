"""Searches on a table: incumbents over simulated cost, judged by the mean over seeds."""

from __future__ import annotations

import pytest
from toy_table import ToyTable

from nasgan.contracts import Budget, Objective
from nasgan.engine.simulation import SimulatedSearch, TableRun, simulate
from nasgan.errors import ConfigError
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.multi_fidelity.strategy import MultiFidelity
from nasgan_strategies.random.strategy import RandomSearch
from nasgan_strategies.rl.strategy import RLSearch

FID = Objective("fid", "min")


@pytest.fixture
def table() -> ToyTable:
    return ToyTable(ToySpace())


def _search(table: ToyTable, *, seed: int = 0, **limits: int) -> SimulatedSearch:
    run = TableRun(table.space, table, FID, Budget(**limits), seed=seed)
    strategy = RandomSearch(num_candidates=9, min_steps=10, max_steps=40, halving_factor=2.0)
    return simulate(strategy, run, table)


def test_incumbents_are_judged_by_the_table_and_not_by_what_the_search_saw(table):
    made = _search(table)
    assert made.final is not None
    assert made.final.judged == table.true(made.final.architecture) + 1.0
    assert made.strategy == "random_table"
    assert made.ended_by == "the strategy is finished"


def test_the_curve_is_over_simulated_cost(table):
    made = _search(table)
    spent = [each.spent.generator_steps for each in made.incumbents]
    assert spent == sorted(set(spent))
    assert spent[0] == 10
    # Nine trainings of 10 steps, then the survivors' rest.
    assert made.spent.generator_steps > 90
    assert made.spent.device_seconds == pytest.approx(80 / 40 * made.spent.generator_steps)


def test_the_budget_ends_a_search_with_what_it_knew(table):
    made = _search(table, generator_steps=55)
    assert made.spent.generator_steps == 50
    assert "generator_steps" in made.ended_by
    assert made.final is not None


def test_a_seed_repeats_and_another_differs(table):
    assert _search(table, seed=1) == _search(table, seed=1)
    assert _search(table, seed=1).to_json() != _search(table, seed=2).to_json()


def test_a_search_by_learning_finds_more_than_chance(table):
    found = []
    for seed in range(3):
        run = TableRun(table.space, table, FID, Budget(architectures=120), seed=seed)
        made = simulate(RLSearch(), run, table)
        assert made.final is not None
        found.append(made.final.judged)
    worst = 11.0 + sum(len(d.options) - 1 for d in table.space.decisions)
    assert max(found) < 11.0 + 0.25 * (worst - 11.0)


def test_a_search_that_needs_a_supernet_is_told(table):
    run = TableRun(table.space, table, FID, Budget(architectures=5), seed=0)
    with pytest.raises(ConfigError, match="trains a supernet, which no table holds"):
        _ = run.shared_weights


@pytest.mark.parametrize("method", ["successive_halving", "asha", "hyperband"])
def test_a_longer_training_is_charged_the_difference(table, method):
    run = TableRun(table.space, table, FID, Budget(), seed=0)
    strategy = MultiFidelity(
        method=method, num_candidates=14, bracket=14, min_steps=10, max_steps=40, factor=2
    )
    made = simulate(strategy, run, table)
    longest: dict[str, int] = {}
    for evaluation in strategy.evaluations:
        longest[evaluation.architecture.id] = evaluation.generator_steps
    assert len(longest) == 14
    assert len(strategy.evaluations) > 14
    assert made.spent.generator_steps == sum(longest.values())
    assert made.spent.device_seconds == pytest.approx(80 / 40 * sum(longest.values()))
