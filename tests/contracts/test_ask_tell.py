"""The base of strategies that only propose: ranking, state, and resuming a task under way."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nasgan.contracts import AskTellStrategy, Budget, Evaluation, Proposal
from nasgan.errors import BudgetExhausted, ConfigError
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import StagedToySpace


class Listed(AskTellStrategy):
    """Proposes the architectures of a list."""

    name = "listed"

    def __init__(self, choices, steps=10):
        super().__init__()
        self.choices = choices
        self.steps = steps
        self.told = []

    def ask(self):
        choice = self.choices[len(self.evaluations)]
        assert self.run.pool.under_way == 0
        return Proposal(self.run.space.architecture(choice), self.steps)

    def tell(self, evaluation):
        assert self.evaluations[-1] is evaluation
        self.told.append(evaluation)

    @property
    def finished(self):
        return len(self.evaluations) == len(self.choices)


CHOICES = [[0, 0, 0, 0], [1, 2, 0, 1], [2, 1, 1, 0]]


@pytest.fixture
def strategy(space):
    made = Listed(CHOICES)
    made.setup(ToyRun(space, Budget(), shared=False, seed=0))
    return made


def scored(space, choices, score, steps=10):
    failure = "it failed" if score is None else ""
    return Evaluation(
        space.architecture(choices), {}, score, "table", generator_steps=steps, failure=failure
    )


def test_a_step_is_a_piece_of_an_evaluation_and_reports_each_once(strategy):
    reports = []
    while not strategy.finished:
        reports.append(strategy.step())
    assert [len(report.evaluations) for report in reports] == [0, 1] * 3
    assert strategy.told == strategy.evaluations
    assert reports[-1].message == "3 architectures evaluated"


def test_progress_is_that_of_the_budget_where_this_ends_the_search_sooner(space):
    class Counting(Listed):
        def progress(self):
            return len(self.evaluations) / 100

    def course(budget):
        strategy = Counting(CHOICES)
        strategy.setup(ToyRun(space, budget, shared=False, seed=0))
        return [strategy.step().progress for _ in range(4)]

    assert course(Budget()) == [0, 0.01, 0.01, 0.02]
    assert course(Budget(generator_steps=40))[1::2] == [0.25, 0.5]
    assert course(Budget(generator_steps=40_000))[1::2] == [0.01, 0.02]


def options_told(strategy):
    """What the steps to the end told of the options, with the number of evaluations then."""
    told = []
    while not strategy.finished:
        options = strategy.step().options
        if options:
            told.append((len(strategy.evaluations), options))
    return told


def test_how_often_options_were_chosen_is_told_once_a_window_and_at_the_end(space):
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(37)]
    strategy = Listed([space.encode(architecture) for architecture in drawn])
    strategy.setup(ToyRun(space, Budget(), shared=False, seed=0))
    told = options_told(strategy)
    assert [count for count, _ in told] == [16, 32, 37]
    for window, (_, options) in zip((drawn[:16], drawn[16:32], drawn[32:]), told, strict=True):
        assert options == {
            decision.name: [
                sum(a[decision.name] == option for a in window) / len(window)
                for option in decision.options
            ]
            for decision in space.decisions
        }


def test_a_search_that_its_budget_ends_tells_of_its_last_window_too(space):
    strategy = Listed([[0, 0, 0, 0]] * 9)
    strategy.setup(ToyRun(space, Budget(architectures=3), shared=False, seed=0))
    told = []

    def search():
        while True:
            told.append((len(strategy.evaluations), strategy.step().options))

    with pytest.raises(BudgetExhausted):
        search()
    ((before, options),) = [item for item in told if item[1]]
    assert (before, len(strategy.evaluations)) == (2, 3)
    assert options["layer1"] == [1.0, 0.0, 0.0]


def test_options_of_later_stages_do_not_count():
    space = StagedToySpace()
    strategy = Listed([[0, 0, 0, 0]] * 99)
    strategy.setup(ToyRun(space, Budget(), shared=False, seed=0))
    stages = [0] * 8 + [1] * 4 + [None] * 4
    strategy.evaluations = [
        Evaluation(space.architecture([0, k % 2, 1, 0]), {}, 1.0, "table", stage=stage)
        for k, stage in enumerate(stages)
    ]
    told = strategy._chosen_options(before=15)
    assert told["layer1"] == [1.0, 0.0, 0.0]
    assert told["layer2"] == [0.5, 0.5, 0.0]
    assert told["layer3"] == [0.0, 1.0, 0.0]
    strategy.evaluations = [
        Evaluation(space.architecture([0, 0, 1, 0]), {}, 1.0, "table", stage=0) for _ in stages
    ]
    assert list(strategy._chosen_options(before=15)) == ["layer1", "critic"]


def test_best_first_in_the_objectives_direction(strategy, space):
    a, b, c = (space.architecture(choice) for choice in CHOICES)
    strategy.evaluations = [
        scored(space, x, s) for x, s in zip(CHOICES, (2.0, 1.0, 3.0), strict=True)
    ]
    assert strategy.finalists(5) == [b, a, c]
    assert strategy.finalists(2) == [b, a]
    assert strategy.incumbent() == b
    strategy.run = ToyRun(space, Budget(), shared=True, seed=0)
    assert strategy.run.objective.direction == "max"
    assert strategy.finalists(5) == [c, a, b]


def test_longer_trainings_come_first_and_failures_are_no_finalists(strategy, space):
    strategy.evaluations = [
        scored(space, CHOICES[0], 9.0, steps=10),
        scored(space, CHOICES[1], 1.0, steps=10),
        scored(space, CHOICES[2], 0.5, steps=10),
        scored(space, CHOICES[0], 8.0, steps=30),
        scored(space, CHOICES[2], None, steps=30),
    ]
    ranked = [(list(space.encode(e.architecture)), e.score) for e in strategy.ranking()]
    assert ranked == [(CHOICES[0], 8.0), (CHOICES[1], 1.0), (CHOICES[2], None)]
    assert strategy.finalists(5) == [space.architecture(c) for c in (CHOICES[0], CHOICES[1])]


def test_ties_keep_the_order_of_evaluation(strategy, space):
    strategy.evaluations = [scored(space, choice, 1.0) for choice in reversed(CHOICES)]
    assert strategy.finalists(3) == [space.architecture(c) for c in reversed(CHOICES)]


def test_before_any_score_there_is_no_incumbent(strategy, space):
    assert strategy.incumbent() is None
    strategy.evaluations = [scored(space, CHOICES[0], None)]
    assert strategy.incumbent() is None
    assert strategy.finalists(2) == []


@pytest.mark.parametrize("steps_before", range(6))
def test_a_task_under_way_is_continued_not_begun_again(space, strategy, steps_before):
    for _ in range(steps_before):
        strategy.step()
    state = json.loads(json.dumps(strategy.state_dict()))
    run_state = strategy.run.state_dict()
    assert len(run_state["pool"]["proposals"]) == steps_before % 2
    resumed = Listed(CHOICES)
    resumed.setup(ToyRun(space, Budget(), shared=False, seed=0))
    resumed.run.load_state_dict(run_state)
    resumed.load_state_dict(state)
    while not strategy.finished:
        a, b = strategy.step(), resumed.step()
        assert a == b
    assert resumed.finished
    assert resumed.evaluations == strategy.evaluations
    assert resumed.run.ledger.spent() == strategy.run.ledger.spent()


def test_loading_drops_what_was_under_way(strategy):
    pool = strategy.run.pool
    fresh = pool.state_dict()
    strategy.step()
    assert pool.under_way == 1
    pool.load_state_dict(fresh)
    assert pool.under_way == 0
    assert pool.state_dict() == fresh


def test_nothing_to_propose_while_nothing_is_under_way_is_an_error(strategy):
    strategy.ask = lambda: None
    with pytest.raises(ConfigError, match=r"'listed': `ask` gave nothing"):
        strategy.step()


def test_the_end_of_the_budget_goes_through_to_the_engine(space):
    strategy = Listed(CHOICES)
    strategy.setup(ToyRun(space, Budget(generator_steps=13), shared=False, seed=0))
    for _ in range(3):
        strategy.step()
    with pytest.raises(BudgetExhausted):
        strategy.step()
    assert len(strategy.evaluations) == 1
    assert strategy.incumbent() == strategy.evaluations[0].architecture
    assert strategy.run.pool.under_way == 0


def test_a_last_window_is_told_where_more_was_proposed_than_the_budget_allows(space):
    class Together(Listed):
        together = 8

        def ask(self):
            asked = len(self.evaluations) + self.run.pool.under_way
            return Proposal(self.run.space.architecture(self.choices[asked]))

    strategy = Together([[0, 0, 0, 0]] * 40)
    strategy.supernet_steps = 0
    strategy.run = ToyRun(space, Budget(architectures=20), shared=True, seed=0, together=8)
    told = []
    while len(strategy.evaluations) < 20:
        told.append((bool(strategy.step().options), len(strategy.evaluations)))
    assert strategy.run.pool.under_way > 0
    assert told == [(False, 8), (True, 16), (True, 20)]
