"""The AutoGAN networks compute what the original ones were measured to compute."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from fill_rule import assert_images, fill, images, latents

from nasgan.networks.autogan_discriminator import AutoGANDiscriminator
from nasgan.networks.resampling import set_published_order
from nasgan_search_spaces.autogan.published import AUTOGAN_A
from nasgan_search_spaces.autogan.space import AutoGANSpace

MEASURED = json.loads((Path(__file__).parent / "autogan_fixture.json").read_text(encoding="utf-8"))
SUPERNET_CASES = [name for name in MEASURED if name.startswith("supernet_")]


@pytest.fixture
def space():
    return AutoGANSpace(image_size=32, generator_channels=8, discriminator_channels=4, latent_dim=8)


@pytest.mark.parametrize("published_order", [False, True])
def test_derived_a_reproduces_the_original(space, published_order):
    generator = fill(space.build_generator(AUTOGAN_A))
    set_published_order(generator, published_order)
    assert_images(MEASURED["derived_A_bw4"], generator(latents(2, 8)))


@pytest.mark.parametrize("published_order", [False, True])
@pytest.mark.parametrize("name", SUPERNET_CASES)
def test_paths_of_the_supernet_reproduce_the_original(space, name, published_order):
    stage = int(name.split("_")[1].removeprefix("stage"))
    indices = [int(digit) for digit in name.split("_")[2].split("-")]
    decisions = space.part_decisions("generator", stage=stage)
    weights = [torch.eye(len(d.options))[i] for d, i in zip(decisions, indices, strict=True)]
    generator = fill(space.build_supernet().generator)
    set_published_order(generator, published_order)
    assert_images(MEASURED[name], generator(latents(2, 8), weights))


@pytest.mark.parametrize("published_order", [False, True])
@pytest.mark.parametrize(
    ("name", "spectral_norm", "side", "stage"),
    [
        ("D_32px_sn0", False, 32, None),
        ("D_32px_sn1", True, 32, None),
        ("D_supernet_stage0_sn1_8px", True, 8, 0),
        ("D_supernet_stage0_sn1_8px", True, 8, None),
    ],
)
def test_discriminator_reproduces_the_original(name, spectral_norm, side, stage, published_order):
    network = fill(AutoGANDiscriminator(image_size=32, channels=4, spectral_norm=spectral_norm))
    set_published_order(network, published_order)
    expected = torch.tensor(MEASURED[name]["vals"], dtype=torch.float64).view(2, 1)
    torch.testing.assert_close(network(images(2, side), stage=stage), expected, rtol=0, atol=1e-10)
