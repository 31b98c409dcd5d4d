"""The duality gap of a pair: its value, what it is made from, and what it refuses."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasgan.contracts import Budget, Proposal
from nasgan.data import ImageSet
from nasgan.errors import ConfigError
from nasgan.evaluation import GapEvaluator
from nasgan.evaluation.gap import duality_gap
from nasgan.testing import ToyRun, ToySpace, check_evaluator
from nasgan_strategies.random.strategy import RandomSearch

STEPS = 3


def gap_run(evaluator: GapEvaluator | None = None, **limits: int) -> ToyRun:
    return ToyRun(ToySpace(), Budget(**limits), evaluator=evaluator, seed=5)


def test_it_keeps_the_contract_of_evaluators() -> None:
    check_evaluator(lambda: GapEvaluator(steps=2, num_images=7))


class Level(nn.Module):
    """Generates images of one brightness, whatever the latent."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level, dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        return self.level * torch.ones((len(z), 1, 4, 4), dtype=torch.float64)


class Slope(nn.Module):
    """The logit is ``slope`` times the mean brightness."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x.mean(dim=(2, 3))


class Pair(nn.Module):
    def __init__(self, level: float, slope: float) -> None:
        super().__init__()
        self.generator, self.discriminator = Level(level), Slope(slope)


def hinge(slope: float, level: float, real: float) -> float:
    return max(0.0, 1 - slope * real) + max(0.0, 1 + slope * level)


def adam(value: float, gradient_at: Any, lr: float, beta2: float) -> float:
    """Steps of Adam without a first moment, as Kingma and Ba write it."""
    second = 0.0
    for step in range(1, STEPS + 1):
        gradient = gradient_at(value)
        second = beta2 * second + (1 - beta2) * gradient**2
        value -= lr * gradient / (math.sqrt(second / (1 - beta2**step)) + 1e-8)
    return value


@pytest.mark.parametrize("penalty", [0.0, 2.0])
def test_the_gap_of_a_tiny_pair_is_that_computed_by_hand(penalty: float) -> None:
    run = gap_run()
    pixels = {"train": 204, "held out": 51}
    real = {name: 2 * value / 255 - 1 for name, value in pixels.items()}
    run.images, run.held_out = (
        ImageSet("flat", torch.full((8, 1, 4, 4), value, dtype=torch.uint8))
        for value in pixels.values()
    )
    run.trainer_settings = settings = replace(run.trainer_settings, r1_penalty=penalty)
    level, slope = 0.3, 0.7
    # All images are alike: within the hinges' corners the gradients are constants, but for the
    # penalty, penalty / 2 * |slope / 16|^2 a pixel, of the inner training alone.
    better_slope = adam(
        slope,
        lambda s: -real["train"] + level + penalty * s / 16,
        settings.lr_discriminator,
        settings.beta2,
    )
    better_level = adam(level, lambda _: -slope, settings.lr_generator, settings.beta2)
    expected = hinge(slope, better_level, real["held out"])
    expected -= hinge(better_slope, level, real["held out"])
    found = duality_gap(run, Pair(level, slope), steps=STEPS, num_images=8)
    assert found == pytest.approx(expected, rel=0, abs=1e-6)
    on_training_images = hinge(slope, better_level, real["train"])
    on_training_images -= hinge(better_slope, level, real["train"])
    assert abs(on_training_images - expected) > 1e-4, "the test could not tell"


def test_the_pair_stays_as_it_is_and_both_copies_are_charged() -> None:
    run = gap_run()
    pair = run.networks(run.space.architecture([0, 1, 2, 1]))
    before = copy.deepcopy(pair.state_dict())
    duality_gap(run, pair, steps=STEPS, num_images=6)
    assert all(torch.equal(value, before[name]) for name, value in pair.state_dict().items())
    real, latents, batches = 4, 2, 2
    spent = run.ledger.spent()
    assert spent.generator_steps == STEPS
    assert spent.images == STEPS * (2 * real + latents) + 2 * batches * 2 * real


def test_a_generator_that_deceives_nobody_has_the_larger_gap() -> None:
    """The discriminator is far ahead: a better generator has much to gain."""
    run = gap_run()
    mean = 2 * run.images.images.double().mean().item() / 255 - 1
    settings = replace(run.trainer_settings, lr_generator=0.05, lr_discriminator=0.05)
    run.trainer_settings = settings
    near, far = (
        duality_gap(run, Pair(level, 0.1), steps=20, num_images=16) for level in (mean, mean - 0.9)
    )
    assert far > near > 0


def test_scores_depend_on_the_discriminator() -> None:
    evaluator = GapEvaluator(steps=2, num_images=16)
    run = gap_run(evaluator)
    run.shared_weights.train(lambda: run.space.sample(run.rng("paths")), generator_steps=2)
    one, other = (
        evaluator.score(Proposal(run.space.architecture([0, 1, 2, critic]))) for critic in (0, 1)
    )
    assert one != other


def test_data_without_held_out_images_are_refused_before_anything_is_trained() -> None:
    run = gap_run()
    run.held_out = None
    with pytest.raises(ConfigError, match="no test split"):
        run.score_with(GapEvaluator())
    assert run.ledger.spent().images == 0


def test_networks_that_still_grow_are_refused() -> None:
    run = gap_run(GapEvaluator(steps=1))
    with pytest.raises(ConfigError, match="scores whole networks"):
        run.pool.submit(Proposal(run.space.architecture([0, 1, 2, 1]), stage=0))


def test_the_supernet_leaves_half_of_the_budget_to_candidates_that_are_trained() -> None:
    run = gap_run(GapEvaluator(steps=3), generator_steps=20)
    strategy = RandomSearch(num_candidates=2)
    strategy.setup(run)
    assert strategy.supernet_steps == 10
    asked = RandomSearch(num_candidates=2, supernet_steps=4)
    asked.setup(run)
    assert asked.supernet_steps == 4


@pytest.mark.parametrize(("budget", "supernet"), [(1, None), (30, None), (40, 21)])
def test_a_budget_that_ends_before_the_first_candidate_is_refused(
    budget: int, supernet: int | None
) -> None:
    run = gap_run(GapEvaluator(steps=20), generator_steps=budget)
    with pytest.raises(ConfigError, match="ends before a candidate is scored"):
        RandomSearch(num_candidates=2, supernet_steps=supernet).setup(run)
