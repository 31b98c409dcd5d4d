"""Successive halving, ASHA and hyperband."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from nasgan.contracts import Breakdown, Cost, Evaluation, Objective, rung_lengths
from nasgan.errors import ConfigError
from nasgan.testing import ToySpace, check_strategy
from nasgan_strategies.multi_fidelity.bracket import Bracket, hyperband_sizes
from nasgan_strategies.multi_fidelity.strategy import MultiFidelity

SMALL = {"num_candidates": 6, "bracket": 6, "min_steps": 2, "max_steps": 18}


@pytest.mark.parametrize("method", ["asha", "successive_halving", "hyperband"])
def test_it_conforms(method):
    check_strategy(lambda: MultiFidelity(method=method, **SMALL))


def lengths_of(evaluations):
    return Counter(evaluation.generator_steps for evaluation in evaluations)


def best(evaluations, count):
    alive = [e for e in evaluations if e.score is not None]
    return {e.architecture for e in sorted(alive, key=lambda e: e.score)[:count]}


def test_successive_halving_promotes_the_best_of_each_rung(toy_run, search):
    run = toy_run("scratch")
    settings = {"num_candidates": 18, "bracket": 18, "min_steps": 10, "max_steps": 90}
    found = search(MultiFidelity(**settings), run)
    rungs = [[e for e in found if e.generator_steps == steps] for steps in (10, 30, 90)]
    assert [len(rung) for rung in rungs] == [18, 6, 2]
    assert {e.architecture for e in rungs[1]} == best(rungs[0], 6)
    assert {e.architecture for e in rungs[2]} == best(rungs[1], 2)
    # A survivor's training goes on where it was: 18 x 10 + 6 x 20 + 2 x 60.
    assert run.ledger.spent().generator_steps == 420


def test_asha_promotes_as_soon_as_somebody_is_among_the_best_of_those_known(toy_run, search):
    settings = {"num_candidates": 20, "min_steps": 10, "max_steps": 90}
    found = search(MultiFidelity(method="asha", **settings), toy_run("scratch"))
    assert [e.generator_steps for e in found[:4]] == [10, 10, 10, 30]
    for i, promoted in enumerate(found):
        below = {30: 10, 90: 30}.get(promoted.generator_steps)
        if below is not None:
            known = [e for e in found[:i] if e.generator_steps == below]
            assert promoted.architecture in best(known, len(known) // 3)
    assert lengths_of(found)[10] == 20
    # At the end nobody is left who should go on.
    last = [e for e in found if e.generator_steps == 10]
    assert best(last, 6) <= {e.architecture for e in found if e.generator_steps == 30}


def test_a_training_that_broke_down_does_not_go_on_with_the_score_of_before():
    architectures = list(ToySpace().enumerate())[:9]
    bracket = Bracket([100, 300, 900], 3.0, size=9)
    evaluations = []

    def score(rung, number, score, breakdown=None):
        architecture = architectures[number]
        bracket.begun[rung].append(architecture)
        made = Evaluation(architecture, {"fid": score}, score, "scratch", 1, Cost())
        evaluations.append(replace(made, breakdown=breakdown))
        assert bracket.hear(len(evaluations) - 1, evaluations[-1])

    for number in range(9):
        score(0, number, 10.0 + number)
    score(1, 0, 10.0, Breakdown("the loss is not finite", 150))
    score(1, 1, 20.0)
    score(1, 2, 15.0)
    found = bracket.promotion(evaluations, Objective("fid", "min").best_first)
    assert found == (architectures[2], 2)


def test_of_two_who_may_go_on_the_longer_trained_comes_first(toy_run):
    space = toy_run("scratch").space
    drawn = list(space.enumerate())[:9]
    made = [Evaluation(each, {}, float(i), "scratch") for i, each in enumerate(drawn)]
    bracket = Bracket([1, 3, 9], 3, size=None, begun=[drawn, drawn[1:4], []])
    bracket.scored = [[*range(9)], [1, 2, 3], []]
    # The best of the first rung has not gone on yet, and neither has that of the second.
    assert bracket.promotion(made, lambda some: some) == (drawn[1], 2)
    bracket.begun[2].append(drawn[1])
    assert bracket.promotion(made, lambda some: some) == (drawn[0], 1)


def test_hyperband_goes_through_brackets_that_begin_with_longer_trainings(toy_run, search):
    assert hyperband_sizes(11, 3.0)[2] == 8019  # 11 / 9 * 3^8, a whole number
    assert hyperband_sizes(5, 3) == [81, 34, 15, 8, 5]  # the paper's table 1: R = 81
    settings = {"num_candidates": 17, "min_steps": 10, "max_steps": 90}
    found = search(MultiFidelity(method="hyperband", **settings), toy_run("scratch"))
    assert hyperband_sizes(3, 3) == [9, 5, 3]
    first = [e.generator_steps for e in found]
    assert first[:13] == [10] * 9 + [30] * 3 + [90]
    assert first[13:19] == [30] * 5 + [90]
    assert first[19:] == [90] * 3
    assert len({e.architecture for e in found}) == 17


def test_brackets_of_successive_halving_follow_until_the_budget_is_spent(toy_run, search):
    settings = {"num_candidates": None, "bracket": 3, "min_steps": 10, "max_steps": 30}
    found = search(
        MultiFidelity(method="successive_halving", **settings),
        toy_run("scratch", generator_steps=175),
    )
    steps = [e.generator_steps for e in found]
    assert steps[:12] == [10, 10, 10, 30] * 3


def test_lengths_of_the_rungs_come_down_from_the_longest():
    assert rung_lengths(100, 900, 3) == [100, 300, 900]
    assert rung_lengths(60, 600, 3) == [67, 200, 600]
    assert rung_lengths(250, 900, 3) == [300, 900]
    assert rung_lengths(5, 5, 3) == [5]
    assert rung_lengths(1, 4, 3) == [1, 4]


def test_a_small_space_that_is_used_up_ends_the_search(toy_run, search):
    run = toy_run("scratch")
    settings = {"min_steps": 10, "max_steps": 30}
    for method in ("asha", "successive_halving"):
        found = search(MultiFidelity(method=method, num_candidates=500, **settings), run)
        assert len({e.architecture for e in found}) == run.space.size
        run = toy_run("scratch")


def test_workers_that_would_wait_begin_the_next_bracket(toy_run):
    strategy = MultiFidelity(
        method="successive_halving", num_candidates=4, bracket=2, min_steps=1, max_steps=3
    )
    strategy.setup(toy_run("scratch"))
    asked = [strategy.ask() for _ in range(4)]
    assert [each.generator_steps for each in asked] == [1] * 4
    assert len({each.architecture for each in asked}) >= 2


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"method": "sha"}, "method must be successive_halving or asha or hyperband, got 'sha'"),
        ({"factor": 1.5}, "factor must be at least 2"),
        ({"min_steps": 1000}, "min_steps must be at least 1 and at most max_steps"),
        ({"bracket": 0}, "bracket must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        MultiFidelity(**settings)


def test_an_evaluator_that_trains_nothing_is_refused(toy_run):
    run = toy_run("shared", generator_steps=5)
    with pytest.raises(ConfigError, match="evaluator=shared trains none: take evaluator=scratch"):
        MultiFidelity().setup(run)
