"""Local search: a climb over neighbours, and new ones from elsewhere."""

from __future__ import annotations

import pytest

from nasgan.errors import ConfigError
from nasgan.testing import check_strategy
from nasgan_strategies.local_search.strategy import LocalSearch


@pytest.mark.parametrize("step", ["first", "best"])
def test_it_conforms(step):
    check_strategy(lambda: LocalSearch(num_candidates=8, num_initial=2, step=step))


def changes(one, other):
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_it_climbs_to_the_first_better_neighbour(toy_run, search):
    strategy = LocalSearch(num_candidates=20, num_initial=4)
    scored = search(strategy, toy_run("scratch"))
    assert len({e.architecture for e in scored}) == 20
    alive = [e for e in scored[:4] if e.score is not None]
    stands = min(alive, key=lambda e: e.score)
    climbed = 0
    for each in scored[4:]:
        if changes(each.architecture, stands.architecture) != 1:
            break  # begins again
        if each.score is not None and each.score < stands.score:
            stands, climbed = each, climbed + 1
    assert climbed >= 2
    assert stands.architecture == strategy.run.scores.best


def test_the_best_of_all_neighbours_is_the_next_step(toy_run, search):
    run = toy_run("scratch")
    strategy = LocalSearch(num_candidates=30, num_initial=1, step="best")
    scored = search(strategy, run)
    first = scored[0]
    near = scored[1 : 1 + len(run.space.neighbours(first.architecture))]
    assert {e.architecture for e in near} == set(run.space.neighbours(first.architecture))
    best = min((e for e in near if e.score is not None), key=lambda e: e.score)
    following = scored[1 + len(near)]
    assert changes(following.architecture, best.architecture) == 1


def test_neighbours_that_the_scores_do_not_tell_apart_are_left_out(toy_run, search):
    run = toy_run("shared", generator_steps=5)
    run.evaluator.sees = ("generator",)
    scored = search(LocalSearch(num_candidates=12, num_initial=1, step="best"), run)
    names = [d.name for d in run.space.decisions if d.part != "discriminator"]
    assert len(names) < len(run.space.decisions)

    def seen(architecture):
        return [dict(architecture.choices)[name] for name in names]

    first = scored[0].architecture
    near = [each for each in run.space.neighbours(first) if seen(each) != seen(first)]
    assert {e.architecture for e in scored[1 : 1 + len(near)]} == set(near)


def test_at_the_top_it_begins_again_with_random_architectures(toy_run, search):
    run = toy_run("scratch")
    strategy = LocalSearch(num_candidates=40, num_initial=2)
    scored = search(strategy, run)
    top = next(i for i, e in enumerate(scored) if e.architecture == run.scores.best)
    near = set(run.space.neighbours(run.scores.best))
    seen = {e.architecture for e in scored[: top + 1]}
    after = [e.architecture for e in scored[top + 1 :]]
    left = len(near - seen)
    assert set(after[:left]) == near - seen
    assert after[left] not in near


def test_neighbours_wait_for_the_first_scores_but_a_climb_does_not_wait(toy_run):
    strategy = LocalSearch(num_candidates=9, num_initial=2)
    strategy.setup(toy_run("shared", generator_steps=1, architectures=9))
    strategy.run.shared_weights.train(strategy.sample_path, generator_steps=1)
    asked = [strategy.ask(), strategy.ask()]
    for proposal in asked:
        strategy.run.pool.submit(proposal)
    assert strategy.ask() is None


def test_settings_out_of_range_are_refused(toy_run):
    with pytest.raises(ConfigError, match=r"strategy\.step must be first or best, got 'steep'"):
        LocalSearch(step="steep")
    with pytest.raises(ConfigError, match=r"strategy\.num_initial must be at least 1"):
        LocalSearch(num_initial=0)
    with pytest.raises(ConfigError, match="num_initial=10 random architectures are all of"):
        LocalSearch(num_candidates=10)
    with pytest.raises(ConfigError, match=r"num_candidates must be at least 1, or null, got 0"):
        LocalSearch(num_candidates=0)
    endless = LocalSearch(num_candidates=None)
    with pytest.raises(ConfigError, match=r"num_candidates=null goes on until the budget is spent"):
        endless.setup(toy_run("scratch"))
    endless.setup(toy_run("scratch", architectures=5))
