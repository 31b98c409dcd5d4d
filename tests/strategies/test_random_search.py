"""Random search with shared weights and from scratch."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from nasgan.contracts import Evaluation, Objective
from nasgan.contracts.evaluation import Breakdown
from nasgan.errors import ConfigError
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.random.strategy import RandomSearch

HALVING = {"num_candidates": 18, "min_steps": 10, "max_steps": 90, "halving_factor": 3.0}


def _score(evaluation: Evaluation) -> float:
    return math.inf if evaluation.score is None else evaluation.score


def test_shared_trains_the_supernet_first_then_scores_distinct_candidates(toy_run, search):
    run = toy_run("shared", generator_steps=25)
    evaluations = search(RandomSearch(num_candidates=12), run)
    kinds = [event[0] for event in run.trace.events]
    assert kinds == ["path"] * 25 + ["score"] * 12
    assert len({e.architecture for e in evaluations}) == 12
    assert run.ledger.spent().generator_steps == 25
    assert run.ledger.spent().architectures == 12


def test_it_tells_how_often_it_scored_each_option(toy_run):
    run = toy_run("shared", generator_steps=2)
    strategy = RandomSearch(num_candidates=20)
    strategy.setup(run)
    told = []
    while not strategy.finished:
        options = strategy.step().options
        if options:
            told.append(options)
    scored = [e.architecture for e in strategy.evaluations]
    assert len(told) == 2
    for options, window in zip(told, (scored[:16], scored[16:]), strict=True):
        for decision in run.space.decisions:
            counts = [sum(a[decision.name] == o for a in window) for o in decision.options]
            assert options[decision.name] == [count / len(window) for count in counts]


def test_paths_are_uniform_over_the_options(toy_run, search):
    run = toy_run("shared", generator_steps=300)
    search(RandomSearch(num_candidates=1), run)
    paths = {identifier for kind, identifier, _ in run.trace.events if kind == "path"}
    assert len(paths) > 50  # 300 draws from 54 architectures reach nearly all


def test_supernet_steps_limit_the_training_below_the_budget(toy_run, search):
    run = toy_run("shared", generator_steps=100)
    search(RandomSearch(num_candidates=2, supernet_steps=13), run)
    assert run.ledger.spent().generator_steps == 13


def test_shared_needs_to_know_how_long_the_supernet_trains(toy_run):
    with pytest.raises(ConfigError, match=r"budget\.generator_steps or strategy\.supernet_steps"):
        RandomSearch().setup(toy_run("shared", architectures=5))
    RandomSearch(supernet_steps=5).setup(toy_run("shared", architectures=5))


def test_scratch_promotes_the_best_of_each_rung(toy_run, search):
    run = toy_run("scratch")
    strategy = RandomSearch(num_candidates=18, min_steps=10, max_steps=90, halving_factor=3)
    evaluations = search(strategy, run)
    rungs = [[e for e in evaluations if e.generator_steps == steps] for steps in (10, 30, 90)]
    assert [len(rung) for rung in rungs] == [18, 6, 2]
    for rung, following in pairwise(rungs):
        alive = sorted((e for e in rung if e.score is not None), key=lambda e: e.score)
        best = {e.architecture for e in alive[: len(following)]}
        assert {e.architecture for e in following} == best
    assert strategy.incumbent() == min(rungs[-1], key=lambda e: e.score).architecture
    # A survivor's training goes on where it was: 18 x 10 + 6 x 20 + 2 x 60.
    assert run.ledger.spent().generator_steps == 420
    assert strategy.progress() == 1.0


def test_a_candidate_whose_training_broke_down_is_not_promoted(toy_run, search):
    best = min(search(plain := RandomSearch(**HALVING), toy_run("scratch"))[:18], key=_score)
    assert best.architecture in {e.architecture for e in plain.evaluations[18:]}

    class Broken(RandomSearch):
        def tell(self, evaluation: Evaluation) -> None:
            if evaluation.architecture == best.architecture:
                evaluation = replace(evaluation, breakdown=Breakdown("losses", 3))
            super().tell(evaluation)

    evaluations = search(Broken(**HALVING), toy_run("scratch"))
    assert best.architecture in {e.architecture for e in evaluations[:18]}
    assert best.architecture not in {e.architecture for e in evaluations[18:]}


def test_finalists_beyond_the_last_rung_come_from_the_rung_before(toy_run, search):
    strategy = RandomSearch(num_candidates=18, min_steps=10, max_steps=90, halving_factor=3)
    evaluations = search(strategy, toy_run("scratch"))
    longest = {e.architecture: e for e in evaluations}
    lengths = [longest[a].generator_steps for a in strategy.finalists(8)]
    assert lengths == [90] * 2 + [30] * 4 + [10] * 2


def _small(brackets: int | None) -> RandomSearch:
    return RandomSearch(num_candidates=6, min_steps=10, max_steps=30, brackets=brackets)


def test_brackets_repeat_with_new_candidates_until_the_budget_is_spent(toy_run, search):
    once, often = toy_run("scratch"), toy_run("scratch", generator_steps=600)
    first = search(_small(1), once)
    evaluations = search(_small(None), often)
    # A bracket takes 6 x 10 + 2 x 20 steps, and begins with what a search of one bracket does.
    assert once.ledger.spent().generator_steps == 100
    assert often.ledger.spent().generator_steps == 600
    assert evaluations[: len(first)] == first
    begun = [e.architecture for e in evaluations if e.generator_steps == 10]
    assert len(begun) == len(set(begun)) == 36


def test_so_many_brackets_and_no_more(toy_run, search):
    run = toy_run("scratch")
    strategy = _small(3)
    search(strategy, run)
    assert run.ledger.spent().generator_steps == 300
    assert strategy.progress() == 1.0
    assert strategy.progress_message().startswith("bracket 3, ")


def test_brackets_end_where_a_small_space_has_no_more(toy_run, search):
    run = toy_run("scratch", generator_steps=10**6)
    evaluations = search(_small(None), run)
    begun = [e.architecture for e in evaluations if e.generator_steps == 10]
    assert len(begun) == len(set(begun)) == ToySpace().size


def test_brackets_without_end_need_a_budget(toy_run):
    with pytest.raises(ConfigError, match=r"brackets=null goes on until the budget is spent"):
        _small(None).setup(toy_run("scratch"))
    with pytest.raises(ConfigError, match="brackets must be at least 1"):
        _small(0)


def test_without_early_stopping_everyone_is_trained_to_the_end(toy_run, search):
    run = toy_run("scratch")
    evaluations = search(RandomSearch(num_candidates=5, halving_factor=None, max_steps=40), run)
    assert [e.generator_steps for e in evaluations] == [40] * 5


def test_a_space_smaller_than_the_number_of_candidates_is_searched_whole(toy_run, search):
    run = toy_run("scratch")
    strategy = RandomSearch(num_candidates=500, min_steps=1, max_steps=3)
    evaluations = search(strategy, run)
    first = [e.architecture for e in evaluations if e.generator_steps == 1]
    assert len(first) == len(set(first)) == ToySpace().size
    assert strategy.incumbent() == run.scores.best


def test_the_incumbent_is_the_best_when_the_budget_ends_the_search(toy_run, search):
    run = toy_run("scratch", architectures=7)
    strategy = RandomSearch(num_candidates=20, min_steps=10, max_steps=90)
    evaluations = search(strategy, run)
    assert len(evaluations) == 7
    alive = [e for e in evaluations if e.score is not None]
    assert strategy.incumbent() == min(alive, key=lambda e: e.score).architecture
    assert run.ledger.spent().architectures == 7


def test_a_budget_of_generator_steps_ends_in_the_middle_of_a_training(toy_run, search):
    run = toy_run("scratch", generator_steps=25)
    evaluations = search(RandomSearch(num_candidates=20, min_steps=10, max_steps=90), run)
    assert len(evaluations) == 2
    assert run.ledger.spent().generator_steps == 25


def test_a_search_whose_candidates_all_fail_ends_without_an_incumbent(toy_run, search):
    run = toy_run("scratch")
    run.scores.fails = lambda architecture: True
    strategy = RandomSearch(num_candidates=6, min_steps=1, max_steps=9)
    evaluations = search(strategy, run)
    assert len(evaluations) == 6
    assert strategy.finished
    assert strategy.incumbent() is None
    assert strategy.finalists(3) == []


def test_another_seed_draws_other_candidates(toy_run, search):
    def drawn(seed: int) -> list[Evaluation]:
        run = toy_run("scratch", seed=seed)
        return [e.architecture for e in search(RandomSearch(num_candidates=6), run)]

    assert drawn(0) == drawn(0) != drawn(1)


@pytest.mark.parametrize(
    "settings", [{"num_candidates": 0}, {"supernet_steps": 0}, {"min_steps": 5, "max_steps": 4}]
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match="strategy"):
        RandomSearch(**settings)


@pytest.mark.parametrize("trains", [True, False])
def test_an_evaluator_that_does_not_train_gets_one_rung(toy_run, search, trains):
    run = toy_run("scratch")
    run.evaluator.trains = trains
    evaluations = search(RandomSearch(num_candidates=9, min_steps=10, max_steps=90), run)
    lengths = [length for _, _, length in run.trace.events]
    if trains:
        assert lengths == [10] * 9 + [30] * 3 + [90]
    else:
        assert lengths == [None] * 9, "no length, no second score"
        assert len({e.architecture for e in evaluations}) == 9
        assert run.ledger.spent().architectures == 9


@pytest.mark.parametrize("brackets", [2, None])
def test_brackets_without_training_tell_how_far_they_are(toy_run, brackets):
    run = toy_run("scratch", architectures=6)
    run.evaluator.trains = False
    strategy = RandomSearch(num_candidates=3, brackets=brackets)
    strategy.setup(run)
    steps = [step for step in (strategy.step() for _ in range(12)) if step.evaluations]
    messages = [step.message for step in steps]
    assert messages[:2] == ["bracket 1, candidate 1/3", "bracket 1, candidate 2/3"]
    assert messages[3:5] == ["bracket 2, candidate 1/3", "bracket 2, candidate 2/3"]
    # Where the budget is the end, its share is told.
    assert [steps[0].progress, steps[-1].progress] == [1 / 6, 1.0]


def test_halving_by_several_objectives_promotes_the_front(toy_run, search):
    run = toy_run("scratch")
    run.objective = Objective("score", "min", (Objective("weight", "min"),))
    weigh = run.pool.advance
    run.pool.advance = lambda: [
        replace(e, metrics={**e.metrics, "weight": weight(e)}) for e in weigh()
    ]
    strategy = RandomSearch(num_candidates=18, min_steps=10, max_steps=30)
    evaluations = search(strategy, run)
    first = [e for e in evaluations if e.generator_steps == 10 and e.score is not None]
    promoted = {e.architecture for e in evaluations if e.generator_steps == 30}
    assert len(promoted) == 6
    best = {e.architecture for e in first if not beaten(e, first)}
    assert best <= promoted or promoted <= best
    assert strategy.label == "random_scratch_pareto"
    longest = [e for e in evaluations if e.generator_steps == 30 and e.score is not None]
    unbeaten = {e.architecture for e in longest if not beaten(e, longest)}
    assert set(strategy.finalists(99)) == {e.architecture for e in strategy.front()} == unbeaten
    assert strategy.incumbent() == min(longest, key=lambda e: e.score).architecture


def weight(evaluation: Evaluation) -> float:
    return float(int(evaluation.architecture.id, 16) % 11)


def beaten(one: Evaluation, others: list[Evaluation]) -> bool:
    """By the definition, of a score and a weight that are minimised."""
    mine = one.score, weight(one)
    theirs = [(other.score, weight(other)) for other in others]
    return any(t[0] <= mine[0] and t[1] <= mine[1] and t != mine for t in theirs)
