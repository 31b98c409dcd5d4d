"""Adversarial search in a space whose networks share decisions."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nasgan.contracts import Budget, Decision
from nasgan.testing import check_strategy
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.adversarial.strategy import AdversarialSearch


class _SharedSpace(ToySpace):
    """Between its own layers each network has the one that both share."""

    name = "shared_toy"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        options = ("pointwise", "convolution")
        return (
            Decision("layer1", (*options, "identity")),
            Decision("both", options, part="both"),
            Decision("critic", options, part="discriminator"),
            Decision("layer2", (*options, "identity")),
        )


@pytest.mark.parametrize("kind", ["gumbel_probabilities", "straight_through"])
def test_it_keeps_the_contract(kind: Any) -> None:
    check_strategy(
        lambda: AdversarialSearch(generator_steps=8, derive_every=3, relaxation=kind),
        evaluators=("shared",),
        space=_SharedSpace(),
    )


@pytest.mark.parametrize("kind", ["softmax", "straight_through"])
def test_the_generator_learns_them_and_the_discriminator_draws_them(kind: Any) -> None:
    space = _SharedSpace()
    strategy = AdversarialSearch(generator_steps=4, relaxation=kind)
    strategy.setup(ToyRun(space, Budget(generator_steps=4), shared=True, seed=0))
    owned = {part: [d.name for d in held.decisions] for part, held in strategy._logits.items()}
    assert owned == {"generator": ["layer1", "both", "layer2"], "discriminator": ["critic"]}

    for learning in ("generator", "discriminator"):
        weights = strategy._weights(learning=learning)
        assert weights.parts == ("generator", "discriminator")
        halves = {"generator": weights.generator, "discriminator": weights.discriminator}
        for part, half in halves.items():
            for decision, weight in zip(space.part_decisions(part), half, strict=True):
                assert weight.shape == (len(decision.options),)
                learns = part == learning and (part == "generator" or decision.name == "critic")
                assert weight.requires_grad == learns, (learning, part, decision.name)

    both = space.part_decisions("discriminator").index(space.decisions[1])
    drawn = strategy._weights(learning=None).discriminator[both]
    expected = [0.5, 0.5] if kind == "softmax" else [0.0, 1.0]
    assert torch.allclose(drawn.sort().values, torch.tensor(expected), atol=1e-2)
