"""EAGAN's evolution in two stages."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import pytest

from nasgan.contracts import Budget, Objective
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.evaluation.run import measured_pool
from nasgan.pareto import best_first
from nasgan.testing import ToyRun, check_strategy
from nasgan.testing.toy_space import ToySpace
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace
from nasgan_strategies.evolution.two_stages import TwoStageEvolution

SMALL = {"population_size": 2, "generations": 2, "warm_up": 0.25}


def test_it_conforms():
    check_strategy(lambda: TwoStageEvolution(**SMALL), evaluators=("shared",))


def searched(*, space=None, budget=60, **settings):
    run = ToyRun(space or ToySpace(), Budget(generator_steps=budget), shared=True, seed=0)
    strategy = TwoStageEvolution(**settings)
    strategy.setup(run)
    while not strategy.finished:
        strategy.step()
    return strategy


@pytest.fixture(scope="module")
def strategy():
    return searched(population_size=4, generations=2, warm_up=0.25, budget=100)


def halves(architecture, space):
    return {
        part: tuple(architecture[d.name] for d in space.part_decisions(part))
        for part in ("generator", "discriminator")
    }


def test_first_generators_against_one_discriminator_then_discriminators_with_the_best(strategy):
    space, found = strategy.run.space, strategy.evaluations
    first = [e for e in found if e.fidelity == "shared"]
    second = [e for e in found if e.fidelity == "inherit"]
    assert found == [*first, *second]
    assert len({halves(e.architecture, space)["discriminator"] for e in first}) == 1
    assert len({halves(e.architecture, space)["generator"] for e in first}) > 4
    (generator,) = {halves(e.architecture, space)["generator"] for e in second}
    last = [e for e in first[-8:] if e.score is not None]
    best = max(last, key=lambda e: e.score)  # toy shared scores: more is better
    assert generator == halves(best.architecture, space)["generator"]
    assert len({halves(e.architecture, space)["discriminator"] for e in second}) > 1


def test_a_generation_scores_parents_and_as_many_children_and_half_of_them_stay(strategy):
    first = [e for e in strategy.evaluations if e.fidelity == "shared"]
    assert len(first) == 2 * 8
    ranked = sorted(first[:8], key=lambda e: -e.score)
    assert {e.architecture for e in first[8:12]} == {e.architecture for e in ranked[:4]}


def test_the_supernet_is_trained_along_random_ones_then_along_the_population(strategy):
    run, first = strategy.run, strategy.evaluations[:8]
    by_event = [list(group) for _, group in groupby(run.trace.events, key=lambda event: event[0])]
    before, _, between, *_ = by_event
    steps = 50  # of a stage
    assert len(before) == int(0.25 * steps) + (steps - int(0.25 * steps)) // 2
    population = {e.architecture.id for e in first[:4]}
    assert {identifier for _, identifier, _ in before[int(0.25 * steps) :]} <= population
    assert not {identifier for _, identifier, _ in before[: int(0.25 * steps)]} <= population
    stay = {e.architecture.id for e in sorted(first, key=lambda e: -e.score)[:4]}
    assert {identifier for _, identifier, _ in between[: steps // 3]} <= stay


def test_weights_are_reset_to_those_of_the_best_pair(strategy):
    second = [e for e in strategy.evaluations if e.fidelity == "inherit"]
    assert [e.parent for e in second[:4]] == [None] * 4
    best = max(second[:4], key=lambda e: e.score)
    again, *following = second[4:]
    assert again.architecture == best.architecture
    assert again.score == best.score  # trained once more to the same end, for its weights
    assert {e.parent for e in following} == {best.architecture.id}
    assert len(following) == 4


class ManyCriticsSpace(ToySpace):
    """One layer of the generator and three of the discriminator to choose."""

    @property
    def decisions(self):
        layer, *others = super().decisions[:4]
        critics = (replace(each, part="discriminator") for each in others[:2])
        return (layer, *critics, super().decisions[3])


def test_a_size_among_the_objectives_is_that_of_the_network_that_evolves():
    space = ManyCriticsSpace()
    run = ToyRun(space, Budget(generator_steps=60), shared=True, seed=2)
    run.objective = replace(run.objective, others=(Objective("parameters", "min"),))
    run.pool = measured_pool(run.pool, run.objective, space)
    strategy = TwoStageEvolution(population_size=6, generations=2, warm_up=0.1)
    strategy.setup(run)
    while not strategy.finished:
        strategy.step()

    second = [e for e in strategy.evaluations if e.fidelity == "inherit"]
    assert len({e.metrics["parameters"] for e in second}) == 1, (
        "of the generator, all have the same"
    )
    for each in second:
        network = space.build_discriminator(each.architecture)
        counted = sum(values.numel() for values in network.parameters() if values.requires_grad)
        assert each.metrics["parameters_d"] == counted
    first, (_, *following) = second[:6], second[6:]
    points = [(e.score, -e.metrics["parameters_d"]) for e in first]  # toy shared: more is better
    stay = [first[k].architecture for k in best_first(points)[:3]]
    assert [e.architecture for e in following[:3]] == stay
    by_score = sorted(first, key=lambda e: -e.score)[:3]
    assert set(stay) != {e.architecture for e in by_score}, "the size makes a difference here"


def test_the_result_is_a_pair_of_the_second_stage(strategy):
    second = [e for e in strategy.evaluations if e.fidelity == "inherit"]
    latest = {e.architecture: e.score for e in second}
    assert strategy.incumbent() == max(latest, key=lambda each: latest[each])
    assert strategy.label == "eagan"
    assert strategy.run.ledger.spent().generator_steps <= 100


def test_a_network_without_decisions_has_no_stage():
    space = ToySpace().with_settings()
    fixed = {d.name: d.options[0] for d in space.decisions if d.part == "discriminator"}
    from nasgan.contracts import narrowed

    strategy = searched(space=narrowed(space, fixed), budget=20, **SMALL)
    assert {e.fidelity for e in strategy.evaluations} == {"shared"}
    assert strategy.run.ledger.spent().generator_steps == 20


def test_the_first_discriminator_can_be_given():
    (critic,) = [d for d in ToySpace().decisions if d.part == "discriminator"]
    strategy = searched(discriminator={critic.name: critic.options[1]}, **SMALL)
    first = [e for e in strategy.evaluations if e.fidelity == "shared"]
    assert {e.architecture[critic.name] for e in first} == {critic.options[1]}
    with pytest.raises(UnknownNameError, match=critic.name):
        searched(discriminator={critic.name[:-1]: 0}, **SMALL)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"population_size": 1}, "population_size must be at least 2"),
        ({"generations": 0}, "generations must be at least 1"),
        ({"warm_up": 1.0}, "warm_up must be a share from 0 to 1"),
        ({"crossover": 2.0}, "crossover must be a share from 0 to 1"),
    ],
)
def test_impossible_populations_are_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        TwoStageEvolution(**settings)


def test_it_needs_shared_weights_and_a_length(toy_run):
    with pytest.raises(ConfigError, match="take evaluator=shared, not scratch"):
        TwoStageEvolution().setup(toy_run("scratch", generator_steps=10))
    with pytest.raises(ConfigError, match="strategy=eagan needs a length"):
        TwoStageEvolution().setup(toy_run("shared"))


@pytest.mark.parametrize(
    ("budget", "settings", "complaint"),
    [
        ({"architectures": 8}, {}, r"architectures=8 ends .* score 8 generators, .* 5 pairs"),
        ({"architectures": 8}, {}, r"set budget.architectures=13"),
        (
            {},
            {"generator_steps": 200},
            r"generator_steps=200 ends .* set budget.generator_steps=400",
        ),
    ],
)
def test_a_budget_that_the_first_stage_spends_is_refused(toy_run, budget, settings, complaint):
    run = toy_run("shared", **{"generator_steps": 200, **budget})
    with pytest.raises(ConfigError, match=complaint):
        TwoStageEvolution(**SMALL, **settings).setup(run)


@pytest.mark.parametrize(("architectures", "is_told"), [(12, True), (13, False)])
def test_a_budget_that_ends_the_second_stage_early_is_told(toy_run, caplog, architectures, is_told):
    run = toy_run("shared", generator_steps=200, architectures=architectures)
    TwoStageEvolution(**SMALL).setup(run)
    assert ("ends the second stage early" in caplog.text) is is_told


@pytest.mark.parametrize(("kind", "is_told"), [("same", False), ("autogan", True)])
def test_pairs_with_one_discriminator_whatever_was_decided_are_told(caplog, kind, is_told):
    space = AdversarialNASSpace(
        image_size=16,
        generator_channels=4,
        discriminator_channels=4,
        latent_dim=4,
        stand_alone_discriminator=kind,
    )
    run = ToyRun(space, Budget(generator_steps=100), shared=True, seed=0)
    TwoStageEvolution(**SMALL).setup(run)
    assert ("random discriminators of 'adversarial_nas' are all alike" in caplog.text) is is_told
