from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasgan.data import ImageSet
from nasgan.evaluation import DerivedPair
from nasgan.randomness import numpy_generator
from nasgan.testing.toy_space import ToySpace
from nasgan.training import AdversarialTrainer, TrainerSettings


@pytest.fixture
def images() -> ImageSet:
    """Thirty 4x4 images of three classes; each class has a brightness of its own."""
    labels = torch.arange(30) % 3
    noise = torch.randint(40, (30, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    pixels = (labels * 100)[:, None, None, None] + noise
    return ImageSet("tiny", pixels.clamp(0, 255).to(torch.uint8), labels)


@pytest.fixture
def space() -> ToySpace:
    return ToySpace(spectral_norm=False)


@pytest.fixture
def tiny() -> Callable[..., TrainerSettings]:
    """Settings of a tiny training: ``tiny(n_critic=2)``."""

    def make(**changes: Any) -> TrainerSettings:
        sizes = {"n_critic": 2, "generator_batch_size": 6, "discriminator_batch_size": 4}
        return TrainerSettings(**{**sizes, **changes})

    return make


@pytest.fixture
def make_pair(space: ToySpace) -> Callable[[], nn.Module]:
    """Makes the same new pair each time."""

    def make() -> nn.Module:
        architecture = space.sample(numpy_generator(0, "pair"))
        return DerivedPair(space, architecture, seed=1, initialisation="xavier_uniform")

    return make


@pytest.fixture
def make_trainer(
    images: ImageSet, make_pair: Callable[[], nn.Module], space: ToySpace
) -> Callable[..., AdversarialTrainer]:
    """Makes a trainer: ``make_trainer(settings, pair=..., seed=...)``."""

    def make(settings: TrainerSettings, **changes: Any) -> AdversarialTrainer:
        given = {
            "pair": changes.pop("pair", None) or make_pair(),
            "images": images,
            "settings": settings,
            "latent_dim": space.network.latent_dim,
            "seed": 3,
            "device": torch.device("cpu"),
            **changes,
        }
        return AdversarialTrainer(**given)

    return make


@pytest.fixture
def assert_same() -> Callable[[Any, Any], None]:
    """Fails unless two states are equal bit for bit."""

    def check(a: Any, b: Any, where: str = "state") -> None:
        if isinstance(a, Tensor):
            assert torch.equal(a, b), where
        elif isinstance(a, dict):
            assert list(a) == list(b), where
            for key in a:
                check(a[key], b[key], f"{where}[{key!r}]")
        elif isinstance(a, (list, tuple)):
            assert len(a) == len(b), where
            for k, (x, y) in enumerate(zip(a, b, strict=True)):
                check(x, y, f"{where}[{k}]")
        else:
            assert a == b, where

    return check
