"""AutoGAN's decisions, published architectures, sizes and counts."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from nasgan.errors import ArchitectureError, ConfigError
from nasgan.networks.autogan_discriminator import AutoGANDiscriminator
from nasgan.networks.cost import count_macs, count_parameters
from nasgan_search_spaces.autogan.published import AUTOGAN_A, AUTOGAN_B, AUTOGAN_C
from nasgan_search_spaces.autogan.space import AutoGANSpace

PUBLISHED = {"A": AUTOGAN_A, "B": AUTOGAN_B, "C": AUTOGAN_C}


def hollow(build, *args):
    """Build without memory: counts need no values."""
    with torch.device("meta"):
        return build(*args)


@pytest.fixture
def space():
    return AutoGANSpace(image_size=32)


def test_the_space_has_its_published_size_and_stages(space):
    assert space.size == 373_248
    per_stage = [len(space.part_decisions("generator", stage=stage)) for stage in range(3)]
    assert per_stage == [4, 9, 14]
    assert [space.stage_image_size(stage) for stage in range(3)] == [8, 16, 32]


def test_published_architectures_keep_their_published_integers(space):
    assert space.encode(AUTOGAN_A) == (1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 3)
    assert space.architecture([[1, 0, 1, 1], [1, 0, 1, 1, 1], [1, 0, 1, 1, 3]]) == AUTOGAN_B
    assert AUTOGAN_C["cell1.norm"] == "batch"
    assert AUTOGAN_A["cell3.skip"] == "both"
    assert AUTOGAN_A["cell3.shortcut"] == "off"


def test_the_skip_of_cell_3_is_the_published_two_bit_number(space):
    options = {d.name: d.options for d in space.decisions}["cell3.skip"]
    assert [options[k] for k in range(4)] == ["none", "cell2", "cell1", "both"]


@pytest.mark.parametrize(
    ("name", "image_size", "parameters", "macs"),
    [
        ("A", 32, 4_405_251, 1_765_015_552),
        ("B", 32, 4_471_043, 1_832_124_416),
        ("C", 32, 4_406_275, 1_765_015_552),
        ("A", 48, 5_065_731, 3_971_284_992),
        ("B", 48, 5_131_523, 4_122_279_936),
        ("C", 48, 5_066_755, 3_971_284_992),
    ],
)
def test_derived_generators_have_the_published_cost(name, image_size, parameters, macs):
    space = AutoGANSpace(image_size=image_size)
    generator = hollow(space.build_generator, PUBLISHED[name])
    assert count_parameters(generator) == parameters
    assert count_macs(generator, torch.empty(1, 128)) == macs


@pytest.mark.parametrize(("image_size", "macs"), [(32, 272_072_832), (48, 612_163_712)])
@pytest.mark.parametrize("spectral_norm", [True, False])
def test_the_discriminator_has_the_published_cost(image_size, macs, spectral_norm):
    space = AutoGANSpace(image_size=image_size, spectral_norm=spectral_norm)
    discriminator = hollow(space.build_discriminator, AUTOGAN_A)
    assert count_parameters(discriminator) == 1_053_824
    assert count_macs(discriminator, torch.empty(1, 3, image_size, image_size)) == macs


@pytest.mark.parametrize(("channels", "published"), [(128, 3_716_995), (256, 14_315_267)])
def test_the_supernet_is_the_published_one_without_its_unreachable_parameters(channels, published):
    space = AutoGANSpace(image_size=32, generator_channels=channels, discriminator_channels=64)
    supernet = hollow(space.build_supernet)
    transposed_2x2 = 4 * channels**2 + channels
    unreachable = {
        "second blocks, post and pre, three cells": 2 * 3,
        "skips into cell 1, double and fourfold": 1 + 2,
        "fourfold skip into cell 2": 2,
    }
    removed = sum(unreachable.values()) * transposed_2x2
    assert removed == 44 * channels**2 + 11 * channels
    assert count_parameters(supernet.generator) + removed == published
    assert count_parameters(supernet.discriminator) == 264_768


@pytest.mark.parametrize(
    ("path", "macs"),
    [
        # The measured figure of stage 0 is that of cell 1 without its shortcut.
        ([1, 0, 1, 0], 19_357_696),
        ([1, 0, 1, 1], 19_357_696 + 128 * 128 * 8 * 8),
        ([1, 0, 1, 1, 1, 0, 0, 1, 1], 104_955_904),
        ([1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 3], 443_154_432),
    ],
)
def test_a_path_of_the_supernet_has_the_published_cost(path, macs):
    space = AutoGANSpace(image_size=32, generator_channels=128)
    generator = hollow(space.build_supernet).generator
    decisions = zip(space.decisions, path, strict=False)
    weights = [torch.eye(len(decision.options))[option] for decision, option in decisions]
    assert count_macs(generator, torch.zeros(1, 128), weights) == macs


@pytest.mark.parametrize(
    ("image_size", "nearest"),
    [(20, "nearest is 16 or 24"), (8, "nearest is 16"), (1, "nearest is 16"), (33, "32 or 40")],
)
def test_an_impossible_image_size_names_the_nearest(image_size, nearest):
    with pytest.raises(ConfigError, match=nearest):
        AutoGANSpace(image_size=image_size)


def test_labels_stages_and_weights_that_do_not_fit_are_refused():
    space = AutoGANSpace(
        image_size=16, generator_channels=2, discriminator_channels=2, latent_dim=2
    )
    supernet, z = space.build_supernet(), torch.zeros(1, 2)
    weights = space.one_hot(AUTOGAN_A).generator
    with pytest.raises(ArchitectureError, match="4, 9 or 14"):
        supernet.generator(z, weights[:5])
    with pytest.raises(ArchitectureError, match="decides 14 choices, got 9"):
        supernet.generator(z, weights[:9], stage=2)
    with pytest.raises(ArchitectureError, match=r"'cell1\.block' has 2 options"):
        supernet.generator(z, [torch.ones(3), *weights[1:]])
    with pytest.raises(ConfigError, match="got stage 3"):
        supernet.generator(z, weights, stage=3)
    with pytest.raises(ConfigError, match="no labels"):
        supernet.generator(z, weights, labels=torch.zeros(1, dtype=torch.int64))
    with pytest.raises(ArchitectureError, match="has no decisions"):
        supernet.discriminator(torch.zeros(1, 3, 16, 16), weights)
    with pytest.raises(ConfigError, match="4, 8 and 16 px, got 32"):
        supernet.discriminator(torch.zeros(1, 3, 32, 32), [])
    with pytest.raises(ConfigError, match="image_size of 8, 12"):
        AutoGANDiscriminator(image_size=10)


def test_published_architectures_are_read_without_torch():
    code = (
        "import sys, nasgan_search_spaces.autogan.published as a\n"
        "import nasgan_search_spaces.baselines.published as b\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "print(a.AUTOGAN_A.id, b.SNGAN.id)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
