"""Settings that cannot work are refused before any compute."""

from __future__ import annotations

import math

import pytest
import torch

from nasgan.data import ImageSet
from nasgan.errors import ConfigError
from nasgan.training import TrainerSettings


def test_the_defaults_are_the_published_ones():
    settings = TrainerSettings()
    assert (settings.loss, settings.n_critic) == ("hinge", 5)
    assert (settings.generator_batch_size, settings.discriminator_batch_size) == (128, 64)
    assert (settings.lr_generator, settings.lr_discriminator) == (2e-4, 2e-4)
    assert (settings.beta1, settings.beta2, settings.ema_decay) == (0.0, 0.9, 0.999)
    # Five discriminator steps on 64 real and 64 generated images, one generator step on 128.
    assert settings.images_per_generator_step == 5 * 128 + 128


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loss", "hinges"),
        ("gradient_penalty", -1.0),
        ("gradient_penalty", math.nan),
        ("spectral_norm_scale", 0.0),
        ("n_critic", 0),
        ("generator_batch_size", 1),
        ("discriminator_batch_size", 1),
        ("lr_generator", 0.0),
        ("lr_generator", math.nan),
        ("lr_discriminator", 1.5),
        ("beta1", 1.0),
        ("beta1", -0.1),
        ("beta2", math.nan),
        ("ema_decay", 1.0),
        ("ema_decay", -0.5),
    ],
)
def test_values_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"trainer.{name}"):
        TrainerSettings(**{name: value})


def test_a_learning_rate_of_one_is_told_that_the_bound_is_none_of_the_values():
    with pytest.raises(ConfigError, match=r"trainer.lr_generator must be less than 1, got 1.0"):
        TrainerSettings(lr_generator=1.0)


def test_linear_decay_needs_a_known_length(make_trainer, tiny):
    with pytest.raises(ConfigError, match="training of known length"):
        make_trainer(tiny(lr_decay="linear"))


def test_classes_have_to_be_in_the_data(make_trainer, tiny, images):
    with pytest.raises(ConfigError, match=r"with 10 classes .* tiny has 3"):
        make_trainer(tiny(), num_classes=10)
    unlabelled = ImageSet("plain", torch.zeros(4, 1, 4, 4, dtype=torch.uint8))
    with pytest.raises(ConfigError, match="plain has 0"):
        make_trainer(tiny(), num_classes=3, images=unlabelled)
