"""The AdversarialNAS networks compute what the original ones were measured to compute."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from fill_rule import _parameter, assert_images, fill, images, latents

from nasgan.networks.resampling import set_published_order
from nasgan_search_spaces.adversarial_nas.published import ADVERSARIALNAS
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace

MEASURED = json.loads(
    (Path(__file__).parent / "adversarial_nas_fixture.json").read_text(encoding="utf-8")
)


def probabilities(*shape):
    return _parameter(torch.empty(shape, dtype=torch.float64)).softmax(-1)


@pytest.fixture
def space():
    return AdversarialNASSpace(
        image_size=32,
        generator_channels=8,
        discriminator_channels=4,
        latent_dim=12,
        discriminator="autogan",
    )


@pytest.fixture
def supernet():
    space = AdversarialNASSpace(
        image_size=32, generator_channels=6, discriminator_channels=4, latent_dim=120
    )
    return space.build_supernet()


@pytest.mark.parametrize("published_order", [False, True])
def test_the_shipped_generator_reproduces_the_original(space, published_order):
    generator = fill(space.build_generator(ADVERSARIALNAS))
    set_published_order(generator, published_order)
    with torch.no_grad():
        assert_images(MEASURED["derived_latestG_cifar10"], generator(latents(2, 12)))


def test_the_mixed_generator_reproduces_the_original(supernet):
    normal, up = probabilities(3, 5, 7), probabilities(3, 2, 3)
    weights = [row for cell in range(3) for row in (*up[cell], *normal[cell])]
    with torch.no_grad():
        assert_images(
            MEASURED["superG_softmax"], fill(supernet.generator)(latents(2, 120), weights)
        )


def test_the_mixed_discriminator_reproduces_the_original(supernet):
    normal, down = probabilities(4, 5, 7), probabilities(4, 2, 6)
    weights = []
    for cell in range(4):
        # Published: the first cell's edges from the image drop the last two of seven entries.
        cut = [row[:5] if cell == 0 and edge < 3 else row for edge, row in enumerate(normal[cell])]
        weights += [*cut, *down[cell]]
    with torch.no_grad():
        found = fill(supernet.discriminator)(images(2, 32), weights)
    expected = torch.tensor(MEASURED["superD_softmax"]["vals"], dtype=torch.float64).view(2, 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shift", [0, 2])
def test_derivation_reproduces_the_original(space, shift):
    def row(cell, edge, count, k):
        logits = [
            math.sin(k + 1.7 * cell + 2.9 * edge + 0.9 * op + 0.31 * edge * op)
            for op in range(count)
        ]
        return torch.tensor(logits, dtype=torch.float64).softmax(0).tolist()

    scores = []
    for cell in range(3):
        scores += [row(cell, edge, 3, shift + 0.5) for edge in range(2)]
        scores += [row(cell, edge, 7, shift) for edge in range(5)]
    matrix, fixed = space.to_genotype(space.derive(scores))
    assert matrix.tolist() == MEASURED["derivation"][f"k{shift}"]["G"]
    assert fixed is None
