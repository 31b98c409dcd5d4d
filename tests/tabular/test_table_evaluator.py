"""A table's scores cost no time and are charged for as if they had."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from toy_table import ToyTable

from nasgan.contracts import Budget, Cost, Evaluation, Ledger, Objective, Proposal
from nasgan.errors import BudgetExhausted, ConfigError
from nasgan.evaluation.table import TableEvaluator
from nasgan.testing.toy_space import ToySpace


@pytest.fixture
def table() -> ToyTable:
    return ToyTable(ToySpace())


def _evaluator(
    table: ToyTable, budget: Budget | None = None, **settings: int
) -> tuple[TableEvaluator, Ledger]:
    ledger = Ledger(budget)
    run = SimpleNamespace(ledger=ledger, objective=Objective("fid", "min"), seed=3)
    evaluator = TableEvaluator(table, **settings)
    evaluator.setup(run)
    return evaluator, ledger


def _score(evaluator: TableEvaluator, table: ToyTable, steps: int | None = None) -> Evaluation:
    architecture = table.space.architecture([0] * len(table.space.decisions))
    task = evaluator.begin(Proposal(architecture, steps))
    task.advance()
    assert task.results is not None
    return task.results[0]


def test_a_score_is_charged_as_its_training_would_be(table):
    evaluator, ledger = _evaluator(table)
    made = _score(evaluator, table, 20)
    assert made.score == made.metrics["fid"] == pytest.approx(10 + 2, abs=2)
    assert made.fidelity == "table"
    assert made.cost == Cost(1, 20, 20 * 8 + 100, device_seconds=40.0)
    assert ledger.spent() == made.cost


def test_a_longer_training_is_charged_the_rest(table):
    evaluator, ledger = _evaluator(table)
    _score(evaluator, table, 10)
    made = _score(evaluator, table, 40)
    assert made.cost == Cost(1, 30, 30 * 8 + 100, device_seconds=60.0)
    assert ledger.spent().generator_steps == 40


def test_a_resumed_evaluator_charges_the_rest_too(table):
    evaluator, _ = _evaluator(table)
    _score(evaluator, table, 10)
    resumed, _ = _evaluator(table)
    resumed.load_state_dict(evaluator.state_dict())
    assert _score(resumed, table, 40).cost.generator_steps == 30


def test_lengths_between_points_are_those_of_the_next_point(table):
    evaluator, _ = _evaluator(table)
    assert _score(evaluator, table, 11).generator_steps == 20
    assert _score(_evaluator(table)[0], table).generator_steps == 40
    assert _score(_evaluator(table, generator_steps=10)[0], table).generator_steps == 10


def test_two_lengths_that_meet_at_one_point_are_one_training(table):
    evaluator, ledger = _evaluator(table)
    for asked, steps in ((7, 10), (15, 10), (30, 20), (40, 0)):
        assert _score(evaluator, table, asked).cost.generator_steps == steps
    assert ledger.spent().generator_steps == 40
    # The same length once more is another training.
    assert _score(evaluator, table, 40).cost.generator_steps == 40


def test_a_score_takes_its_share_of_the_seconds(table):
    table.score_share = 0.1
    evaluator, _ = _evaluator(table)
    # Of 80 s three scores take 24.
    assert _score(evaluator, table, 10).cost.device_seconds == pytest.approx(56 / 4 + 8)
    assert _score(evaluator, table, 40).cost.device_seconds == pytest.approx(56 * 3 / 4 + 8)


def test_a_length_beyond_the_last_point_is_refused(table):
    evaluator, ledger = _evaluator(table)
    with pytest.raises(
        ConfigError, match="no scores at 41 generator steps; its points are 10, 20, 40"
    ):
        _score(evaluator, table, 41)
    with pytest.raises(ConfigError, match="no scores at 50"):
        _evaluator(table, generator_steps=50)
    assert ledger.spent() == Cost()


def test_the_runs_seed_draws_the_repeat(table):
    evaluator, _ = _evaluator(table)
    first = _score(evaluator, table, 20).score
    assert _score(_evaluator(table)[0], table, 20).score == first
    assert {seed for _, seed in table.looked_up} == {3}


def test_a_budget_that_does_not_cover_the_training_ends_the_search(table):
    evaluator, ledger = _evaluator(table, Budget(generator_steps=50))
    _score(evaluator, table, 40)
    task = evaluator.begin(Proposal(table.space.architecture([1] * len(table.space.decisions))))
    with pytest.raises(BudgetExhausted, match="generator_steps"):
        task.advance()
    assert ledger.spent().generator_steps == 40


def test_a_breakdown_is_a_failed_candidate_with_its_reason(table):
    table.broken.add(table.space.architecture([0] * len(table.space.decisions)).id)
    evaluator, ledger = _evaluator(table)
    assert _score(evaluator, table, 10).failure == ""
    made = _score(evaluator, table, 40)
    assert (made.score, made.failure) == (None, "collapsed")
    assert ledger.spent().architectures == 2


def test_stages_and_metrics_that_the_table_lacks_are_refused(table):
    evaluator, _ = _evaluator(table)
    architecture = table.space.architecture([0] * len(table.space.decisions))
    with pytest.raises(ConfigError, match="no scores at a stage"):
        evaluator.expected_cost(Proposal(architecture, stage=0))
    run = SimpleNamespace(ledger=Ledger(), objective=Objective("kid", "min"), seed=0)
    with pytest.raises(ConfigError, match="objective=kid: the table has fid, is"):
        TableEvaluator(table).setup(run)


def test_seconds_that_are_not_left_are_not_spent(table):
    evaluator, ledger = _evaluator(table, Budget(device_seconds=100.0))
    _score(evaluator, table, 20)
    with pytest.raises(BudgetExhausted, match="device_seconds"):
        _score(_evaluator(table, Budget(device_seconds=79.0))[0], table, 40)
    _score(evaluator, table, 40)
    assert ledger.spent().device_seconds == 80.0
