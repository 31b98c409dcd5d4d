"""The features that a run gives of a generator: what its images are made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasgan.contracts import Budget, SearchSpace, Supernet
from nasgan.errors import BudgetExhausted, ConfigError
from nasgan.randomness import torch_generator
from nasgan.testing import StagedToySpace, ToyRun, ToySpace
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace
from nasgan_search_spaces.agan.space import AGANSpace
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_search_spaces.baselines.space import BaselinesSpace

TINY: dict[str, Any] = {
    "image_size": 16,
    "image_channels": 1,
    "generator_channels": 4,
    "discriminator_channels": 4,
}


def run_in(space: SearchSpace, **limits: int) -> ToyRun:
    return ToyRun(space, Budget(**limits), seed=3)


@pytest.mark.parametrize("stage", [None, 0, 1, 2])
def test_they_are_the_means_of_the_maps_that_the_image_is_made_of(stage: int | None) -> None:
    run = run_in(StagedToySpace())
    architecture = run.space.architecture([0, 1, 2, 1])
    found = run.features(architecture, 5, stage=stage)
    generator: Any = run.shared_weights.supernet.generator
    z = torch.randn((5, 4), generator=torch_generator(run.seed, "evaluation latents"))
    with torch.no_grad():
        weights = run.space.one_hot(architecture, stage=stage).generator
        maps = generator.run_layers(generator.start(z), weights)
        torch.testing.assert_close(found, maps.mean(dim=(2, 3)))
        images = torch.tanh(generator.end(maps))
    drawn = run.sample(architecture, stage=stage)(5).images
    torch.testing.assert_close(drawn, (images * 127.5 + 127.5).clamp(0, 255).to(torch.uint8))
    assert found.shape == (5, 3)


def test_a_stage_has_features_of_its_own_and_a_network_those_of_its_path() -> None:
    run = run_in(AutoGANSpace(**TINY))
    architecture = run.space.sample(run.rng("any"))
    stages = [run.features(architecture, 4, stage=stage) for stage in range(3)]
    assert all(found.shape == (4, 4) for found in stages)
    assert not torch.equal(stages[0], stages[1])
    whole = run.features(architecture, 4)
    torch.testing.assert_close(whole, stages[2])
    alone = run.networks(architecture, inherit=True).generator
    torch.testing.assert_close(run.features(alone, 4), whole)


@pytest.mark.parametrize("space", [AdversarialNASSpace, AGANSpace, BaselinesSpace])
def test_every_space_has_some(space: Any) -> None:
    run = run_in(space(**TINY))
    found = run.features(run.space.sample(run.rng("any")), 3)
    assert len(found) == 3
    assert found.isfinite().all()
    assert found.std() > 0


def test_they_are_charged_and_leave_the_generator_as_it_is() -> None:
    run = run_in(ToySpace(), images=7)
    architecture = run.space.architecture([0, 1, 2, 1])
    generator = run.shared_weights.supernet.generator
    run.features(architecture, 7)
    assert run.ledger.spent().images == 7
    assert generator.training
    assert not any(module._forward_pre_hooks for module in generator.modules())
    with pytest.raises(BudgetExhausted):
        run.features(architecture, 1)
    assert not any(module._forward_pre_hooks for module in generator.modules())


class Plain(nn.Module):
    """A generator without a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 16)

    def forward(self, z: Tensor, weights: object = None, *, stage: object = None) -> Tensor:
        return self.layer(z).view(-1, 1, 4, 4).tanh()


class PlainSpace(ToySpace):
    def build_supernet(self) -> Supernet:
        return Supernet(Plain(), super().build_supernet().discriminator)


def test_a_generator_without_a_convolution_has_none() -> None:
    run = run_in(PlainSpace())
    with pytest.raises(ConfigError, match="'toy' runs no convolution"):
        run.features(run.space.architecture([0, 1, 2, 1]), 2)
