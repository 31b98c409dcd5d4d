"""Class-conditional networks of every space: paths, labels, gradients, joint passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nasgan.contracts import SearchSpace, inherit_weights
from nasgan.errors import ConfigError
from nasgan.factory import make_search_space
from nasgan.networks.conditional import ConditionalBatchNorm2d
from nasgan.networks.spectral_norm import sample_groups
from nasgan.randomness import numpy_generator, seeded
from nasgan.testing.toy_space import ToySpace

CLASSES = 3
SPACES = {
    "agan": {},
    "autogan": {},
    "adversarial_nas": {},
    "adversarial_nas, fixed": {"discriminator": "sngan"},
    "baselines": {},
}


def make(name: str, **settings: Any) -> SearchSpace:
    return make_search_space(
        name.partition(",")[0],
        **{
            "image_size": 16,
            "image_channels": 1,
            "generator_channels": 6,
            "discriminator_channels": 6,
            "latent_dim": 10,
            "num_classes": CLASSES,
            **SPACES[name],
            **settings,
        },
    )


def shake(network: torch.nn.Module) -> None:
    """Gains and biases of classes start alike."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, ConditionalBatchNorm2d):
                module.gain.add_(torch.randn_like(module.gain))
                module.bias.add_(torch.randn_like(module.bias))


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return make(request.param)


@pytest.fixture
def pair(space: SearchSpace) -> Any:
    with seeded(0, "pair"):
        supernet = space.build_supernet().double()
        shake(supernet)
    return supernet


def latents(space: SearchSpace) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4, space.network.latent_dim, generator=generator).double()
    return z, torch.tensor([0, 1, 2, 0])


def test_the_class_changes_both_networks_along_a_path(space: SearchSpace, pair: Any) -> None:
    pair.eval()
    z, labels = latents(space)
    for seed in range(3):
        architecture = space.sample(numpy_generator(seed, "architecture"))
        weights = space.one_hot(architecture)
        images = pair.generator(z, weights.generator, labels=labels)
        other = pair.generator(z, weights.generator, labels=(labels + 1) % CLASSES)
        assert (images - other).abs().flatten(1).amax(1).min() > 1e-6
        logits = pair.discriminator(images, weights.discriminator, labels=labels)
        other = pair.discriminator(images, weights.discriminator, labels=(labels + 1) % CLASSES)
        assert (logits - other).abs().min() > 1e-9


def test_derived_networks_equal_the_path(space: SearchSpace, pair: Any) -> None:
    pair.eval()
    z, labels = latents(space)
    architecture = space.sample(numpy_generator(1, "architecture"))
    weights = space.one_hot(architecture)
    generator = space.build_generator(architecture).double().eval()
    discriminator = space.build_discriminator(architecture).double().eval()
    inherit_weights(generator, pair.generator)
    inherit_weights(discriminator, pair.discriminator)
    images = generator(z, labels=labels)
    expected = pair.generator(z, weights.generator, labels=labels)
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-12)
    expected = pair.discriminator(images, weights.discriminator, labels=labels)
    torch.testing.assert_close(discriminator(images, labels=labels), expected, rtol=0, atol=1e-12)


def test_mixtures_carry_gradients_to_everything_of_the_classes(
    space: SearchSpace, pair: Any
) -> None:
    z, labels = latents(space)
    parts = ("generator", "discriminator")
    soft = {
        part: [
            torch.full((len(d.options),), 1 / len(d.options)).double().requires_grad_()
            for d in space.part_decisions(part)
        ]
        for part in parts
    }
    images = pair.generator(z, soft["generator"], labels=labels)
    logits = pair.discriminator(images, soft["discriminator"], labels=labels)
    (logits.sum() + images.square().sum()).backward()
    found = 0
    for name, parameter in pair.named_parameters():
        if name.endswith(("embedding.weight", ".gain")):
            assert parameter.grad is not None
            assert parameter.grad.abs().sum() > 0, name
            found += 1
    assert found >= 2


def test_labels_that_do_not_fit_are_refused(space: SearchSpace, pair: Any) -> None:
    z, labels = latents(space)
    architecture = space.sample(numpy_generator(1, "architecture"))
    generator = space.build_generator(architecture).double()
    discriminator = space.build_discriminator(architecture).double()
    images = generator(z, labels=labels)
    for network, x in ((generator, z), (discriminator, images)):
        with pytest.raises(ConfigError, match=r"class-conditional with 3 classes .* pass labels="):
            network(x)
        with pytest.raises(ConfigError, match="one class per sample"):
            network(x, labels=labels[:2])
    weights = space.one_hot(architecture)
    with pytest.raises(ConfigError, match="pass labels="):
        pair.generator(z, weights.generator)
    with pytest.raises(ConfigError, match="pass labels="):
        pair.discriminator(images, weights.discriminator)


@pytest.mark.parametrize("name", SPACES)
def test_unconditional_networks_take_no_labels(name: str) -> None:
    space = make(name, num_classes=0)
    z, labels = latents(space)
    architecture = space.sample(numpy_generator(1, "architecture"))
    generator = space.build_generator(architecture).double()
    with pytest.raises(ConfigError, match="unconditional and takes no labels"):
        generator(z, labels=labels)
    with pytest.raises(ConfigError, match="unconditional and takes no labels"):
        space.build_discriminator(architecture).double()(generator(z), labels=labels)


def test_real_and_generated_images_may_share_a_pass(space: SearchSpace, pair: Any) -> None:
    """In training, where the spectral norms of each pass differ."""
    z, labels = latents(space)
    architecture = space.sample(numpy_generator(2, "architecture"))
    weights = space.one_hot(architecture)
    images = pair.generator(z, weights.generator, labels=labels).detach()
    real, fake = images[:2], images[2:]
    state = {name: value.clone() for name, value in pair.discriminator.state_dict().items()}

    def judge(x: Tensor, y: Tensor) -> Tensor:
        logits: Tensor = pair.discriminator(x, weights.discriminator, labels=y)
        return logits

    apart = torch.cat([judge(real, labels[:2]), judge(fake, labels[2:])])
    pair.discriminator.load_state_dict(state)
    with sample_groups(pair.discriminator, [2, 2]):
        together = judge(images, labels)
    torch.testing.assert_close(together, apart, rtol=1e-10, atol=1e-12)


def test_autogan_s_stages_know_the_classes() -> None:
    space = make("autogan")
    z, labels = latents(space)
    with seeded(0, "pair"):
        supernet = space.build_supernet().double().eval()
        shake(supernet)
    architecture = space.sample(numpy_generator(1, "architecture"))
    for stage, side in enumerate((4, 8, 16)):
        weights = space.one_hot(architecture, stage=stage)
        images = supernet.generator(z, weights.generator, stage=stage, labels=labels)
        assert images.shape[-1] == side
        other = supernet.generator(z, weights.generator, stage=stage, labels=(labels + 1) % 3)
        assert not torch.allclose(images, other)
        assert supernet.discriminator(images, stage=stage, labels=labels).shape == (4, 1)


def test_a_space_without_conditional_networks_says_so() -> None:
    class Plain(ToySpace):
        supports_classes = False

    with pytest.raises(ConfigError, match=r"'toy' has no class-conditional networks: set"):
        Plain(num_classes=2)
