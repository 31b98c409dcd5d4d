"""The built-in spaces pass the suite that plugins run, and the suite catches broken spaces."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nasgan.contracts import Supernet
from nasgan.testing import check_search_space
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_search_spaces.baselines.space import BaselinesSpace

SMALL = {"generator_channels": 6, "discriminator_channels": 5, "latent_dim": 7}


@pytest.mark.parametrize("spectral_norm", [True, False])
@pytest.mark.parametrize(
    ("space", "image_size"), [(AdversarialNASSpace, 16), (AutoGANSpace, 16), (BaselinesSpace, 16)]
)
def test_space_conforms(space, image_size, spectral_norm):
    check_search_space(
        space(image_size=image_size, image_channels=1, spectral_norm=spectral_norm, **SMALL)
    )


@pytest.mark.parametrize("space", [AutoGANSpace, BaselinesSpace])
@pytest.mark.parametrize("image_size", [32, 48, 64])
def test_space_conforms_at_larger_images(space, image_size):
    check_search_space(space(image_size=image_size, **SMALL), architectures=2)


@pytest.mark.parametrize("discriminator", ["autogan", "sngan"])
def test_adversarial_nas_conforms_with_a_fixed_discriminator(discriminator):
    check_search_space(
        AdversarialNASSpace(image_size=16, discriminator=discriminator, latent_scales=2, **SMALL),
        architectures=2,
    )


def test_adversarial_nas_conforms_at_larger_images():
    check_search_space(AdversarialNASSpace(image_size=48, **SMALL), architectures=1)


class OutOfRange(BaselinesSpace):
    def build_generator(self, architecture):
        generator = super().build_generator(architecture)
        generator.register_forward_hook(lambda _module, _inputs, images: 3 * images)
        return generator


class DeadParameter(BaselinesSpace):
    def build_discriminator(self, architecture):
        discriminator = super().build_discriminator(architecture)
        discriminator[architecture["discriminator"]].spare = nn.Linear(2, 2)
        return discriminator


class ChangedPath(AutoGANSpace):
    def build_supernet(self):
        supernet = super().build_supernet()
        supernet.generator.register_forward_hook(lambda _module, _inputs, images: 0.99 * images)
        return supernet


class DetachedWeights(AutoGANSpace):
    def build_supernet(self):
        supernet = super().build_supernet()
        generator = supernet.generator
        plain = generator.forward
        generator.forward = lambda z, weights, **keywords: plain(
            z, [weight.detach() for weight in weights], **keywords
        )
        return Supernet(generator, supernet.discriminator)


class RepairsValid(BaselinesSpace):
    def repair(self, indices):
        return tuple(1 - index for index in indices)


class OwnRandomness(BaselinesSpace):
    def build_generator(self, architecture):
        generator = super().build_generator(architecture)
        own = torch.Generator()
        own.seed()
        nn.init.normal_(next(generator.parameters()), generator=own)
        return generator


class SettingsForgotten(BaselinesSpace):
    def __init__(self, *, extra=1, **settings):
        super().__init__(**settings)
        self.extra = extra

    @property
    def settings(self):
        return {**super().settings, "latent_dim": 3 + self.network.latent_dim}


@pytest.mark.parametrize(
    ("space", "complaint"),
    [
        (OutOfRange, "outside"),
        (DeadParameter, "no gradient reaches: .*spare"),
        (ChangedPath, "differs from the derived generator"),
        (DetachedWeights, "get no finite gradient"),
        (RepairsValid, "leave valid architectures alone"),
        (OwnRandomness, "different values for one seed"),
        (SettingsForgotten, "do not rebuild the space"),
    ],
)
def test_a_broken_space_is_told_what_to_fix(space, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_search_space(space(image_size=16, **SMALL), architectures=2)
