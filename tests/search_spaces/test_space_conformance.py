"""The built-in spaces pass the suite that plugins run, and the suite catches broken spaces."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nasgan.contracts import Supernet
from nasgan.errors import ConfigError
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
    check_search_space(space(image_size=image_size, **SMALL), architectures=2, classes=0)


@pytest.mark.parametrize("discriminator", ["autogan", "sngan"])
def test_adversarial_nas_conforms_with_a_fixed_discriminator(discriminator):
    check_search_space(
        AdversarialNASSpace(image_size=16, discriminator=discriminator, latent_scales=2, **SMALL),
        architectures=2,
    )


def test_adversarial_nas_conforms_at_larger_images():
    check_search_space(AdversarialNASSpace(image_size=48, **SMALL), architectures=1, classes=0)


def test_adversarial_nas_conforms_with_the_published_first_down_cell():
    space = AdversarialNASSpace(image_size=16, first_down_cell="truncated", **SMALL)
    check_search_space(space, architectures=2, classes=0)


class TakesNoClasses(BaselinesSpace):
    supports_classes = False


def test_a_space_without_classes_conforms_and_refuses_them():
    check_search_space(TakesNoClasses(image_size=16, **SMALL), architectures=1)
    with pytest.raises(ConfigError, match="no class-conditional networks: set conditional=false"):
        TakesNoClasses(image_size=16, num_classes=10, **SMALL)


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


class IgnoresLabels(BaselinesSpace):
    def build_discriminator(self, architecture):
        discriminator = super().build_discriminator(architecture)
        plain = discriminator.forward
        if self.network.num_classes:
            discriminator.forward = lambda x, labels: plain(x, torch.zeros_like(labels))
        return discriminator


class LabelsOptional(BaselinesSpace):
    def build_generator(self, architecture):
        generator = super().build_generator(architecture)
        plain = generator.forward
        if self.network.num_classes:
            zeros = torch.zeros(2, dtype=torch.int64)
            generator.forward = lambda z, labels=None: plain(z, zeros if labels is None else labels)
        return generator


class AcceptsAnyLabels(BaselinesSpace):
    def build_generator(self, architecture):
        generator = super().build_generator(architecture)
        plain = generator.forward
        if not self.network.num_classes:
            generator.forward = lambda z, labels=None: plain(z)
        return generator


class SharedForgetsLabels(AutoGANSpace):
    def build_supernet(self):
        supernet = super().build_supernet()
        generator = supernet.generator
        plain = generator.forward
        if self.network.num_classes:
            generator.forward = lambda z, weights, *, stage=None, labels: plain(
                z, weights, stage=stage, labels=torch.zeros_like(labels)
            )
        return supernet


class RefusesInVain(BaselinesSpace):
    supports_classes = False

    def __init__(self, *, num_classes=0, **settings):
        super().__init__(**settings)


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
        (IgnoresLabels, "discriminator of .* gives two classes the same output"),
        (LabelsOptional, "generator of .* accepts a batch without labels"),
        (AcceptsAnyLabels, "accepts labels with num_classes=0"),
        (SharedForgetsLabels, "super-generator with the one-hot weights .* differs"),
        (RefusesInVain, "although `supports_classes` is false"),
        (OwnRandomness, "different values for one seed"),
        (SettingsForgotten, "do not rebuild the space"),
    ],
)
def test_a_broken_space_is_told_what_to_fix(space, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_search_space(space(image_size=16, **SMALL), architectures=2)
