"""Adversarial search where a relaxation makes more weights than a decision has options."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nasgan.contracts import Budget, Decision
from nasgan.randomness import numpy_generator, seeded
from nasgan.testing import check_strategy
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import ToySpace
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace
from nasgan_strategies.adversarial.strategy import AdversarialSearch
from nasgan_strategies.gradient.logits import ArchitectureLogits

KINDS = ("softmax", "gumbel_probabilities", "gumbel_log_probabilities", "straight_through")
FROM_IMAGE = ("down1.0-1", "down1.0-2", "down1.0-3")


class _SurplusSpace(ToySpace):
    """The critic's two options take the first two of five weights."""

    name = "surplus_toy"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        *layers, critic = super().decisions
        return (*layers, replace(critic, surplus=3))


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_the_contract(kind: Any) -> None:
    check_strategy(
        lambda: AdversarialSearch(generator_steps=8, derive_every=3, relaxation=kind),
        evaluators=("shared",),
        space=_SurplusSpace(),
    )


def _logits(decisions: list[Decision]) -> ArchitectureLogits:
    made = ArchitectureLogits(
        decisions,
        numpy_generator(0, "logits"),
        device=torch.device("cpu"),
        make_optimiser=partial(torch.optim.SGD, lr=1.0),
    )
    made.parameters = [
        torch.randn(p.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        .mul(2)
        .requires_grad_()
        for p in made.parameters
    ]
    return made


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x)
    return e / e.sum()


def test_the_weights_are_the_first_of_a_longer_softmax_and_all_logits_learn() -> None:
    options = tuple("abcde")
    logits = _logits([Decision("cut", options, surplus=2), Decision("whole", (*options, "f", "g"))])
    cut, whole = logits.weights(lambda rows: torch.softmax(rows, dim=-1))
    long = [_softmax(p.detach().numpy()[0]) for p in logits.parameters]
    np.testing.assert_allclose(cut.detach().numpy(), long[0][:5], rtol=1e-14)
    np.testing.assert_allclose(whole.detach().numpy(), long[1], rtol=1e-14)

    slopes = np.array([0.3, -1.0, 2.0, 0.5, -0.2])
    (cut * torch.from_numpy(slopes)).sum().backward()
    # d w_i / d l_j = w_i ([i = j] - w_j); the dropped weights have no slope.
    slopes = np.append(slopes, [0.0, 0.0])
    expected = long[0] * (slopes - (slopes * long[0]).sum())
    gradient = logits.parameters[0].grad
    assert gradient is not None
    np.testing.assert_allclose(gradient.numpy()[0], expected, rtol=1e-12)
    assert np.abs(expected[5:]).min() > 1e-3


def test_probabilities_are_of_the_options_alone() -> None:
    logits = _logits([Decision("cut", tuple("abcde"), surplus=2)])
    row = logits.parameters[0].detach().numpy()[0]
    np.testing.assert_allclose(logits.probabilities()[0], _softmax(row[:5]), rtol=1e-14)


def _set_up(first_down_cell: str, **settings: Any) -> AdversarialSearch:
    space = AdversarialNASSpace(
        image_size=16,
        generator_channels=2,
        discriminator_channels=2,
        latent_dim=3,
        image_channels=1,
        first_down_cell=first_down_cell,
    )
    strategy = AdversarialSearch(**{"generator_steps": 4, **settings})
    strategy.setup(ToyRun(space, Budget(generator_steps=4), shared=True, seed=0))
    return strategy


def _sums(strategy: AdversarialSearch) -> dict[str, float]:
    """The sum of a draw's weights, by decision of the discriminator."""
    drawn = strategy._weights(learning=None).discriminator
    decisions = strategy.run.space.part_decisions("discriminator")
    assert [len(row) for row in drawn] == [len(d.options) for d in decisions]
    return {d.name: float(row.double().sum()) for d, row in zip(decisions, drawn, strict=True)}


def test_the_published_first_cell_gets_five_sevenths_on_average() -> None:
    strategy = _set_up("truncated")
    draws = [_sums(strategy) for _ in range(400)]
    for name in draws[0]:
        sums = np.array([draw[name] for draw in draws])
        if name in FROM_IMAGE:
            assert sums.max() < 1
            assert sums.mean() == pytest.approx(5 / 7, abs=0.02)
        else:
            np.testing.assert_allclose(sums, 1, atol=1e-5)


def test_a_softmax_over_the_first_cells_five_options_is_the_default() -> None:
    default = AdversarialNASSpace(image_size=16)
    assert not any(decision.surplus for decision in default.decisions)
    sums = _sums(_set_up("softmax"))
    np.testing.assert_allclose(list(sums.values()), 1, atol=1e-5)


def _of_first_cell(strategy: AdversarialSearch) -> Tensor:
    """The logits (3, 7) of the published first cell's edges from the image."""
    (group,) = [
        p
        for (_, surplus), p in zip(
            strategy._logits["discriminator"]._members,
            strategy._logits["discriminator"].parameters,
            strict=True,
        )
        if surplus
    ]
    assert group.shape == (3, 7)
    return group


@pytest.mark.parametrize("kind", KINDS)
def test_the_dropped_logits_learn_through_the_super_discriminator(kind: Any) -> None:
    strategy = _set_up("truncated", relaxation=kind, weight_decay=0.0)
    with seeded(1, "networks"):  # of some initial values the last layer's units are all below zero
        discriminator = strategy.run.space.build_supernet().discriminator
    images = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    weights = strategy._weights(learning="discriminator").discriminator
    group = _of_first_cell(strategy)
    before = group.detach().clone()
    strategy._logits["discriminator"].descend(discriminator(images, weights).sum())
    assert bool((group.detach() != before).all())


def test_the_dropped_logits_have_no_part_in_what_is_derived() -> None:
    strategy = _set_up("truncated")
    group = _of_first_cell(strategy)
    with torch.no_grad():
        group.copy_(torch.tensor([[0.0, 1.0, 0.0, 0.0, 0.5, 9.0, 9.0]] * 3))
    found = strategy._derived.now(strategy._scores())
    assert [found[name] for name in FROM_IMAGE] == ["conv_3x3"] * 3
    rows = dict(
        zip((d.name for d in strategy.run.space.decisions), strategy._scores(), strict=True)
    )
    assert [sum(rows[name]) for name in FROM_IMAGE] == pytest.approx([1, 1, 1])
