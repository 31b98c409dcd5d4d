"""Size limits on candidates: drawn again outside, refused where nothing is inside."""

from __future__ import annotations

import numpy as np
import pytest

from nasgan import make_search_space
from nasgan.contracts import Budget, GeneratorSizes, SizeConstraints
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.testing import ToyRun
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.evolution.strategy import Evolution
from nasgan_strategies.local_search.strategy import LocalSearch
from nasgan_strategies.multi_fidelity.strategy import MultiFidelity
from nasgan_strategies.random.strategy import RandomSearch


@pytest.fixture(scope="module")
def space():
    return ToySpace()


@pytest.fixture(scope="module")
def sizes(space):
    measure = GeneratorSizes(space)
    return {architecture: measure(architecture) for architecture in space.enumerate()}


@pytest.fixture(scope="module")
def ranges(sizes):
    """The middle third, from below by one size and from above by the other."""
    least = np.quantile([each["parameters"] for each in sizes.values()], 0.33)
    most = np.quantile([each["macs"] for each in sizes.values()], 0.7)
    return {"parameters": [float(least), None], "macs": [None, float(most)]}


def within(ranges, size):
    return size["parameters"] >= ranges["parameters"][0] and size["macs"] <= ranges["macs"][1]


@pytest.mark.parametrize(
    "make",
    [
        lambda c: RandomSearch(num_candidates=12, halving_factor=None, constraints=c),
        lambda c: Evolution(num_candidates=12, population_size=4, sample_size=2, constraints=c),
        lambda c: LocalSearch(num_candidates=12, num_initial=3, constraints=c),
        lambda c: MultiFidelity(num_candidates=12, bracket=12, constraints=c),
    ],
    ids=["random", "evolution", "local_search", "multi_fidelity"],
)
def test_no_candidate_is_outside(make, space, sizes, ranges):
    inside = {architecture for architecture, size in sizes.items() if within(ranges, size)}
    assert 5 < len(inside) < len(sizes) - 5
    strategy = make(ranges)
    strategy.setup(ToyRun(space, Budget(), seed=0))
    while not strategy.finished:
        strategy.step()
    scored = [evaluation.architecture for evaluation in strategy.evaluations]
    assert len(scored) >= min(12, len(inside))
    assert set(scored) <= inside


def test_an_open_end_does_not_bind(space, sizes):
    middle = float(np.median([each["parameters"] for each in sizes.values()]))
    for given, keeps in (([None, middle], np.less_equal), ([middle, None], np.greater_equal)):
        constraints = SizeConstraints({"parameters": given})
        constraints.setup(space, np.random.default_rng(0))
        for architecture, size in sizes.items():
            assert constraints.allow(architecture) == keeps(size["parameters"], middle)


def test_limits_that_nothing_keeps_are_refused_before_the_search(space):
    constraints = {"parameters": [1e9, 2e9]}
    for strategy in (RandomSearch(constraints=constraints), Evolution(constraints=constraints)):
        complaint = r"constraints=\{parameters: \[1e\+09, 2e\+09\]\}: none of 50 random .* 'toy'"
        with pytest.raises(ConfigError, match=complaint):
            strategy.setup(ToyRun(space, Budget(), seed=0))


@pytest.mark.parametrize("given", [[5], [3, 2], [-1, 2], [0, 0], [1, 2, 3]])
def test_what_is_no_range_is_refused(given):
    with pytest.raises(ConfigError, match=r"strategy\.constraints\.macs must be \[least, most\]"):
        SizeConstraints({"macs": given})


def test_an_unknown_size_is_told_the_nearest():
    with pytest.raises(UnknownNameError, match="parameters"):
        SizeConstraints({"parameter": [1, 2]})


def test_known_architectures_come_again_only_where_there_is_nothing_else(space):
    constraints = SizeConstraints()
    constraints.setup(space, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    everything = list(space.enumerate())
    missing = everything.pop(20)
    assert constraints.draw(lambda: space.sample(rng), set(everything)) == missing
    assert constraints.draw(lambda: space.sample(rng), {*everything, missing})


@pytest.mark.parametrize("kind", ["fewest", "most"])
def test_hardly_any_random_architecture_inside_is_found_by_walks(space, sizes, kind):
    """A range with a single one, which random draws meet once in the space's size."""
    pick = min if kind == "fewest" else max
    held = pick(size["parameters"] for size in sizes.values())
    inside = {each for each, size in sizes.items() if size["parameters"] == held}
    constraints = SizeConstraints({"parameters": [held, held]})
    for seed in range(5):
        constraints.setup(space, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        outside = [each for each in (space.sample(rng) for _ in range(200)) if each not in inside]
        draws = iter(outside)
        assert constraints.draw(lambda draws=draws: next(draws)) in inside
        assert constraints._walked(outside[0]) == constraints._walked(outside[0])


def test_limits_of_a_space_without_a_choice_of_generators_are_refused_in_the_same_words():
    free = make_search_space("autogan", image_size=16)
    choices = free.sample(np.random.default_rng(0)).choices
    space = make_search_space("autogan", image_size=16, fixed=dict(choices))
    with pytest.raises(ConfigError, match="none of 50 random architectures of 'autogan'"):
        SizeConstraints({"parameters": [1, 2]}).setup(space, np.random.default_rng(0))


@pytest.mark.slow
def test_cagans_limits_are_kept_at_its_width(monkeypatch):
    monkeypatch.setattr("nasgan.contracts.candidates._PROBES", 5)  # each takes a twentieth second
    space = make_search_space(
        "adversarial_nas", image_size=32, generator_channels=128, latent_dim=120
    )
    ranges = {"parameters": [6.5e6, 11.5e6], "macs": [1.5e9, 3e9]}
    constraints = SizeConstraints(ranges)
    constraints.setup(space, np.random.default_rng(2))
    found = constraints._walked(space.sample(np.random.default_rng(0)))
    measured = GeneratorSizes(space)(found)
    assert all(least <= measured[name] <= most for name, (least, most) in ranges.items())
