"""Methods that nobody here thought of fit into the contracts, each in few lines."""

from __future__ import annotations

import inspect
from functools import partial

import pytest
import torch
from methods_of_others import (
    METHODS,
    TPE,
    AlphaGANLike,
    Colours,
    E2GANLike,
    EAGANLike,
    GradientNorm,
    Relativistic,
    TableLookUp,
    TokenSpace,
)
from torch import Tensor
from torch.nn.functional import logsigmoid

from nasgan.contracts import Budget, SearchSpace
from nasgan.testing import (
    StagedToySpace,
    ToyRun,
    ToySpace,
    check_evaluator,
    check_search_space,
    check_strategy,
)

# Without contracts for them the shortest took 105 lines, the longest 389.
HALF_OF_THE_SHORTEST = 52
OF_AN_AGENT_OR_OF_NETWORKS = {"AlphaGAN": 62, "E2GAN": 78, "token generator": 55}


@pytest.mark.parametrize("method", METHODS)
def test_each_takes_at_most_half_of_the_lines(method: str) -> None:
    sources = [inspect.getsource(kind) for kind in METHODS[method]]
    lines = [line for source in sources for line in source.splitlines() if line.strip()]
    assert 0 < len(lines) <= OF_AN_AGENT_OR_OF_NETWORKS.get(method, HALF_OF_THE_SHORTEST)


@pytest.mark.parametrize("kind", [AlphaGANLike, EAGANLike, TPE])
def test_the_searches_keep_the_contract(kind: type) -> None:
    check_strategy(kind)


@pytest.mark.parametrize("space", [ToySpace(), StagedToySpace()])
def test_the_search_by_stages_keeps_the_contract(space: SearchSpace) -> None:
    check_strategy(E2GANLike, space=space, evaluators=("shared",))


@pytest.mark.parametrize("make", [GradientNorm, partial(TableLookUp, scores={})])
def test_the_evaluators_keep_the_contract(make: type) -> None:
    check_evaluator(make)


def test_the_tokens_are_a_space() -> None:
    widths = {"generator_channels": 8, "discriminator_channels": 8}
    check_search_space(TokenSpace(image_size=8, latent_dim=8, **widths))


def test_the_second_stage_keeps_the_best_generator() -> None:
    strategy = EAGANLike(candidates=16)
    strategy.setup(run := ToyRun(ToySpace(), Budget(), seed=0))
    while not strategy.finished:
        strategy.step()
    best = run.objective.best_first(e for e in strategy.evaluations[:8] if e.score is not None)[0]
    generator = [best.architecture[f"layer{k}"] for k in (1, 2, 3)]
    for late in strategy.evaluations[8:]:
        assert [late.architecture[f"layer{k}"] for k in (1, 2, 3)] == generator


def test_the_loss_is_its_formula() -> None:
    real, fake = torch.randn(2, 6, 1, dtype=torch.float64)
    wanted = -logsigmoid(real - fake.mean()).mean() - logsigmoid(real.mean() - fake).mean()
    torch.testing.assert_close(Relativistic().discriminator(real, fake), wanted)


def test_the_augmentation_draws_from_what_it_is_given() -> None:
    images = torch.randn(4, 3, 8, 8, requires_grad=True)

    def drawn() -> Tensor:
        changed: Tensor = Colours()(images, torch.Generator().manual_seed(1))
        return changed

    assert torch.equal(drawn(), drawn())
    assert (drawn() == 0).any()
    drawn().sum().backward()
    assert images.grad is not None
