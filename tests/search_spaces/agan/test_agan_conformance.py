"""AGAN's space passes the suite that plugins run, at several settings."""

from __future__ import annotations

import pytest

from nasgan.testing import check_search_space
from nasgan_search_spaces.agan.space import AGANSpace

SMALL = {"generator_channels": 6, "discriminator_channels": 5, "latent_dim": 7}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"spectral_norm": False, "attention": True, "blocks": 3},
        {"output": "concat", "separate_normal": True, "blocks": 3},
        {"normals_per_resample": 0, "blocks": 3},
        {"normals_per_resample": 2, "blocks": 2, "separate_normal": True},
        {"blocks": 1, "output": "concat", "spectral_norm": False},
    ],
    ids=str,
)
def test_agan_conforms(settings):
    space = AGANSpace(image_size=16, image_channels=1, **SMALL, **settings)
    check_search_space(space, architectures=4)


@pytest.mark.parametrize("image_size", [8, 28, 32, 48])
def test_agan_conforms_at_other_sizes(image_size):
    space = AGANSpace(image_size=image_size, attention=True, blocks=2, **SMALL)
    check_search_space(space, architectures=1)
