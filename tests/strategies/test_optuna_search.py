"""Optuna's samplers and pruners as a strategy."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from nasgan.contracts import Breakdown, Budget, Cost, Evaluation, GeneratorSizes
from nasgan.errors import CheckpointError, ConfigError, MissingDependencyError, UnknownNameError
from nasgan.testing import ToyRun, check_strategy
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.optuna.strategy import OptunaSearch


def test_without_the_extra_a_sentence_says_how_to_get_it(toy_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    complaint = r"needs the package optuna, which is not installed: pip install nasgan\[optuna\]"
    with pytest.raises(MissingDependencyError, match=complaint):
        OptunaSearch().setup(toy_run("scratch"))


optuna = pytest.importorskip("optuna")

SETTINGS = {
    "tpe": {"n_startup_trials": 3},
    "gp": {"n_startup_trials": 3},
    "nsgaii": {"population_size": 3},
    "nsgaiii": {"population_size": 3},
    "cmaes": {"n_startup_trials": 2},
}


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsgaii", "nsgaiii", "qmc", "random", "cmaes"])
def test_every_sampler_is_replayed_exactly(sampler, monkeypatch):
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
        monkeypatch.setattr(OptunaSearch, "many_objectives", False)  # it goes by one
    settings = {"sampler": sampler, "sampler_settings": SETTINGS.get(sampler)}
    check_strategy(lambda: OptunaSearch(num_candidates=7, **settings), evaluators=("scratch",))


def test_it_conforms_with_shared_weights():
    check_strategy(lambda: OptunaSearch(num_candidates=4), evaluators=("shared",))


BOHB = {"sampler": "tpe", "sampler_settings": {"multivariate": True, "n_startup_trials": 3}}


@pytest.mark.parametrize(
    ("pruner", "sampler"),
    [("hyperband", {}), ("hyperband", BOHB), ("successivehalving", {}), ("median", {})],
    ids=["hyperband", "bohb", "successivehalving", "median"],
)
def test_it_conforms_with_a_pruner(pruner, sampler, monkeypatch):
    monkeypatch.setattr(OptunaSearch, "many_objectives", False)  # a pruner goes by one
    settings = {"num_candidates": 6, "min_steps": 2, "max_steps": 18, **sampler}
    check_strategy(lambda: OptunaSearch(pruner=pruner, **settings), evaluators=("scratch",))


def searched(run=None, **settings):
    strategy = OptunaSearch(**settings)
    strategy.setup(run or ToyRun(ToySpace(), Budget(), seed=0))
    while not strategy.finished:
        strategy.step()
    return strategy


def test_tpe_learns_where_the_good_ones_are():
    strategy = searched(num_candidates=40, sampler_settings={"n_startup_trials": 8})
    assert strategy.incumbent() == strategy.run.scores.best
    found = [evaluation.architecture for evaluation in strategy.evaluations]
    assert len(set(found)) == len(found) == 40


def test_suggestions_that_were_scored_before_are_told_and_cost_nothing():
    strategy = searched(
        num_candidates=40, sampler="nsgaii", sampler_settings={"population_size": 4}
    )
    told = [call for call in strategy._study.calls if call[0] == "tell"]
    assert len(told) > 40
    assert strategy.run.ledger.spent().architectures == 40


def test_what_hyperband_ends_goes_no_further_and_the_others_to_the_end():
    strategy = searched(pruner="hyperband", num_candidates=30, min_steps=10, max_steps=90)
    lengths = Counter(evaluation.generator_steps for evaluation in strategy.evaluations)
    assert lengths[10] == 30
    assert 1 <= lengths[90] < lengths[30] < 30
    # Who goes on continues its own training.
    alive = Counter(e.generator_steps for e in strategy.evaluations)
    spent = strategy.run.ledger.spent().generator_steps
    assert spent == 10 * alive[10] + 20 * alive[30] + 60 * alive[90]


def test_two_searches_of_one_seed_have_the_same_brackets():
    def told():
        settings = {"num_candidates": 25, "min_steps": 2, "max_steps": 18}
        made = searched(pruner="hyperband", sampler="random", **settings)
        return [(e.architecture.id, e.generator_steps) for e in made.evaluations]

    assert told() == told()


def test_candidates_under_way_are_pending_to_the_sampler():
    """Workers: suggestions made without scores differ, and scores may come in any order."""
    strategy = OptunaSearch(num_candidates=12, sampler_settings={"n_startup_trials": 4})
    run = ToyRun(ToySpace(), Budget(), seed=0)
    strategy.setup(run)
    asked = []
    for _ in range(12):
        proposal = strategy.ask()
        strategy._under_way.append(proposal.architecture)
        asked.append(proposal.architecture)
    assert len(set(asked)) == 12
    assert strategy.ask() is None
    states = [trial.state.name for trial in strategy._study._study.trials]
    assert states.count("RUNNING") == 12


def test_the_constant_liar_counts_on_candidates_under_way_to_be_bad():
    """The first suggestion is the same; those after it know of one whose score is awaited."""

    def suggested(**settings):
        settings["n_startup_trials"] = 4
        strategy = OptunaSearch(sampler="tpe", num_candidates=30, sampler_settings=settings)
        strategy.setup(ToyRun(ToySpace(), Budget(), seed=0))
        while len(strategy.evaluations) < 12:
            strategy.step()
        made = []
        for _ in range(6):
            made.append(strategy.ask().architecture)
            strategy._under_way.append(made[-1])
        return made

    lying, honest = suggested(), suggested(constant_liar=False)
    assert lying[0] == honest[0]
    assert lying != honest
    assert lying == suggested(constant_liar=True), "the default"


def test_the_values_of_several_objectives_reach_the_study():
    run = ToyRun(ToySpace(), Budget(), several=True, seed=0)
    strategy = searched(run, num_candidates=20, sampler="nsgaii")
    assert len(strategy.front()) > 1
    told = [call[2] for call in strategy._study.calls if call[0] == "tell" and call[2]]
    rewards = {run.objective.rewards(e) for e in strategy.evaluations if e.score is not None}
    assert {tuple(values) for values in told} == rewards


def test_constraints_hold_for_suggestions():
    space = ToySpace()
    measure = GeneratorSizes(space)
    sizes = {each: measure(each)["parameters"] for each in space.enumerate()}
    middle = float(np.median([*sizes.values()]))
    strategy = searched(num_candidates=12, constraints={"parameters": [None, middle]})
    assert max(sizes[evaluation.architecture] for evaluation in strategy.evaluations) <= middle


def test_another_answer_than_before_is_refused_when_resuming():
    strategy = searched(num_candidates=3)
    state = strategy.state_dict()
    first = state["proposer"]["calls"][0]
    first[-1] = [1 - option if option < 2 else 0 for option in first[-1]]
    other = OptunaSearch(num_candidates=4)
    other.setup(ToyRun(ToySpace(), Budget(), seed=0))
    other.load_state_dict(state)
    with pytest.raises(CheckpointError, match="suggests another architecture than this search"):
        other.step()


@pytest.mark.parametrize(
    ("settings", "kind", "complaint"),
    [
        ({"sampler": "tp"}, UnknownNameError, "tpe"),
        ({"pruner": "hyperbend"}, UnknownNameError, "hyperband"),
        ({"sampler_settings": {"n_start": 3}}, ConfigError, r"strategy\.sampler=tpe: .*n_start"),
        ({"sampler": "bruteforce"}, ConfigError, "design.kind=all trains them all"),
        ({"sampler": "grid"}, ConfigError, r"strategy\.sampler=grid: .*search_space"),
        ({"pruner": "percentile"}, ConfigError, r"strategy\.pruner=percentile: .*percentile"),
        (
            {"sampler_settings": {"n_startup_trials": "x"}},
            ConfigError,
            "n_startup_trials': 'x'.*fails",
        ),
        (
            {"pruner": "hyperband", "pruner_settings": {"reduction_factor": 1}},
            ConfigError,
            r"strategy\.pruner=hyperband with {'reduction_factor': 1}: Optuna fails",
        ),
    ],
)
def test_bad_names_and_settings_are_refused(toy_run, settings, kind, complaint):
    with pytest.raises(kind, match=complaint):
        OptunaSearch(**settings).setup(toy_run("scratch"))


@pytest.mark.parametrize("broke", [False, True])
def test_a_training_that_broke_down_is_pruned(toy_run, broke):
    strategy = OptunaSearch(sampler="random", pruner="nop", min_steps=2, max_steps=6)
    strategy.setup(toy_run("scratch"))
    proposal = strategy.ask()
    breakdown = Breakdown("the loss is not finite", 1) if broke else None
    made = Evaluation(proposal.architecture, {"fid": 1.0}, 1.0, "scratch", 2, Cost())
    strategy.tell(replace(made, breakdown=breakdown))
    following = strategy.ask()
    assert (following.architecture != proposal.architecture) == broke
    ended = [call[-1] for call in strategy.state_dict()["proposer"]["calls"] if call[0] == "tell"]
    assert ended == [True] * broke


def test_what_does_not_go_together_is_refused(toy_run):
    with pytest.raises(ConfigError, match="evaluator=shared has none of a length to choose"):
        OptunaSearch(pruner="median").setup(toy_run("shared", generator_steps=5))
    several = ToyRun(ToySpace(), Budget(), several=True, seed=0)
    with pytest.raises(ConfigError, match="pruner=median goes by one objective, and there are 2"):
        OptunaSearch(pruner="median").setup(several)
    with pytest.raises(ConfigError, match="sampler=cmaes searches by one objective"):
        OptunaSearch(sampler="cmaes").setup(several)


def test_labels_name_sampler_and_pruner(toy_run):
    def label(**settings):
        strategy = OptunaSearch(**settings)
        strategy.setup(toy_run("scratch"))
        return strategy.label

    assert label() == "tpe_scratch"
    assert label(sampler="gp", pruner="hyperband") == "gp_hyperband_scratch"
