"""EWSGAN's fair paths in every space: options are drawn, and weights trained, equally often."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from nasgan.contracts import Budget, SearchSpace
from nasgan.contracts.supernet import FairPaths
from nasgan.factory import make_search_space
from nasgan.testing import ToyRun
from nasgan_strategies.random.strategy import RandomSearch

SMALL = {
    "image_size": 16,
    "image_channels": 1,
    "generator_channels": 4,
    "discriminator_channels": 4,
    "latent_dim": 4,
}

# Weights of one option alone, which no repair gives or takes and whose result is always read; of
# how many options.
OWN_WEIGHTS = {
    "autogan": {
        r"cells\.cell\d\.shortcut\.on\.conv\.weight": 2,
        r"cells\.cell\d\.block2\.(pre|post)\.convolution\.weight": 2,
    },
    "adversarial_nas": {
        r"cells\.up\d\.edges\.\d-4\.(dil_)?conv_\dx\d\.weight": 7,
    },
    "agan": {
        r"stack\.up\d\.blocks\.block1\.\w+\.resample\.(nearest|bilinear|sub_pixel)\.weight": 4,
    },
}


@pytest.fixture(params=list(OWN_WEIGHTS))
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return make_search_space(request.param, **SMALL)


class AsDrawn:
    """The space, without its repair."""

    def __init__(self, space: SearchSpace) -> None:
        self.decisions = space.decisions

    def repair(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        return indices

    architecture = repair


def test_every_option_of_every_decision_is_drawn_equally_often(space: SearchSpace) -> None:
    widths = [len(decision.options) for decision in space.decisions]
    rounds = math.lcm(*widths)
    as_drawn = FairPaths(AsDrawn(space))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    drawn: list[Any] = [as_drawn.draw(rng) for _ in range(rounds)]
    for counts, width in zip(map(Counter, zip(*drawn, strict=True)), widths, strict=True):
        assert counts == dict.fromkeys(range(width), rounds // width)
    fair, rng = FairPaths(space), np.random.default_rng(0)
    for indices in drawn:
        assert space.encode(fair.draw(rng)) == space.repair(indices)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fair", "uniform"])
def test_the_weights_of_every_option_are_updated_equally_often(
    space: SearchSpace, kind: str
) -> None:
    patterns = OWN_WEIGHTS[space.name]
    steps = 3 * math.lcm(*patterns.values())
    run = ToyRun(space, Budget(generator_steps=steps, architectures=1), shared=True, seed=0)
    strategy = RandomSearch(num_candidates=1, supernet_paths=kind)  # type: ignore[arg-type]
    strategy.setup(run)
    while strategy.supernet_progress < 1:
        strategy.step()
    training = run.shared_weights
    adam = training.trainer.state_dict()["optimisers"][0]["state"]
    names = [name for name, _ in training.supernet.generator.named_parameters()]
    updates = {name: int(adam[k]["step"]) if k in adam else 0 for k, name in enumerate(names)}
    is_fair = []
    for pattern, options in patterns.items():
        found = [count for name, count in updates.items() if re.fullmatch(pattern, name)]
        assert len(found) > 1
        is_fair.append(set(found) == {steps // options})
    assert all(is_fair) == (kind == "fair")
