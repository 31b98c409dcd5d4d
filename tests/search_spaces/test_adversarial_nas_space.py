"""AdversarialNAS' decisions, genotypes, repair, sizes and counts."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from nasgan.architecture import Architecture
from nasgan.errors import ArchitectureError, ConfigError
from nasgan.networks.cost import count_macs, count_parameters
from nasgan.randomness import numpy_generator
from nasgan_search_spaces.adversarial_nas.decisions import running
from nasgan_search_spaces.adversarial_nas.published import ADVERSARIALNAS
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace

SHIPPED = [[1, 1, 1, 0, 3, 3, 1], [1, 1, 0, 1, 3, 3, 3], [0, 1, 0, 3, 3, 0, 3]]
DISCRIMINATOR = [
    [0, 1, 2, 3, 4, 0, 1],
    [1, 2, 3, 0, 5, 2, 3],
    [0, 1, 1, 0, 0, 4, 5],
    [6] * 5 + [0, 1],
]


def hollow(build, *args):
    """Build without memory: counts need no values."""
    with torch.device("meta"):
        return build(*args)


@pytest.fixture
def fixed():
    return AdversarialNASSpace(image_size=32, discriminator="autogan")


@pytest.fixture
def joint():
    return AdversarialNASSpace(image_size=32)


def test_the_sizes_are_the_exact_ones(fixed, joint):
    assert fixed.size == 7**15 * 3**6 == 3_460_972_340_748_447
    assert joint.size == fixed.size * 5**3 * 7**17 * 6**8
    assert fixed.reachable_size == 147_744**3
    assert joint.reachable_size == 147_744**3 * 6_125 * 13_860**3 * 6**8
    assert f"{joint.size:.3e}" == "1.690e+38"
    assert f"{joint.reachable_size:.2e}" == "8.83e+37"


def test_the_shipped_genotype_is_the_architecture(fixed):
    assert fixed.from_genotype(np.array(SHIPPED, dtype=np.uint8)) == ADVERSARIALNAS
    matrix, discriminator = fixed.to_genotype(ADVERSARIALNAS)
    assert matrix.dtype == np.uint8
    assert matrix.tolist() == SHIPPED
    assert discriminator is None
    assert ADVERSARIALNAS["up1.1-3"] == "skip_connect"
    assert ADVERSARIALNAS["up3.0-1"] == "nearest"


def test_both_genotypes_are_read_and_written(joint):
    architecture = joint.from_genotype(SHIPPED, DISCRIMINATOR)
    assert architecture["down1.0-1"] == "conv_1x1"
    assert architecture["down4.2-4"] == "avg_pool"
    assert [matrix.tolist() for matrix in joint.to_genotype(architecture)] == [
        SHIPPED,
        DISCRIMINATOR,
    ]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda m: m[:2], r"3 cells x 7 edges is needed, got shape \(2, 7\)"),
        (lambda m: [row[:6] for row in m], r"got shape \(3, 6\)"),
        (lambda m: [*m[:2], m[2][:5]], "not a matrix"),
        (lambda m: [[x + 0.5 for x in row] for row in m], "whole numbers are needed"),
        (lambda m: [[3, *m[0][1:]], *m[1:]], "row 0, column 0 .*operation 3, which this version"),
        (lambda m: [m[0], [*m[1][:6], 7], m[2]], "row 1, column 6 .*operation 7"),
        (
            lambda m: [[1, 1, 0, 0, 3, 3, 1], *m[1:]],
            "node 3 of cell up1 is unreachable.*1-3 and 2-3",
        ),
        (lambda m: [*m[:2], [0, 1, 1, 1, 0, 0, 0]], "node 4 of cell up3 is unreachable"),
    ],
)
def test_a_wrong_genotype_says_what_is_wrong(fixed, change, complaint):
    with pytest.raises(ArchitectureError, match=complaint):
        fixed.from_genotype(change(SHIPPED))


def test_a_genotype_that_does_not_suit_the_discriminator_is_refused(fixed, joint):
    with pytest.raises(ArchitectureError, match="its genotype is needed too"):
        joint.from_genotype(SHIPPED)
    with pytest.raises(ArchitectureError, match="its genotype has no use"):
        fixed.from_genotype(SHIPPED, DISCRIMINATOR)
    unreachable = [DISCRIMINATOR[0], [0, 2, 3, 0, 5, 2, 3], *DISCRIMINATOR[2:]]
    with pytest.raises(ArchitectureError, match="node 1 of cell down2 is unreachable"):
        joint.from_genotype(SHIPPED, unreachable)


def test_an_architecture_of_the_other_kind_is_told_which_setting_fits(fixed, joint):
    both = joint.from_genotype(SHIPPED, DISCRIMINATOR)
    with pytest.raises(ArchitectureError, match="set discriminator=autogan"):
        joint.validate(ADVERSARIALNAS)
    with pytest.raises(ArchitectureError, match="stand_alone_discriminator=autogan"):
        fixed.validate(both)
    with pytest.raises(ArchitectureError, match=r"28 edges .*the space has 21"):
        AdversarialNASSpace(image_size=16).validate(both)
    newer = Architecture(both.space, 99, both.choices)
    with pytest.raises(ArchitectureError, match="version 99"):
        joint.validate(newer)


def test_an_architecture_says_which_discriminator_it_needs(joint):
    both = joint.from_genotype(SHIPPED, DISCRIMINATOR)
    assert AdversarialNASSpace.settings_for(ADVERSARIALNAS) == {"discriminator": "autogan"}
    assert AdversarialNASSpace.settings_for(both) == {}


def test_repair_gives_every_node_an_input(joint):
    none = tuple(0 for _ in joint.decisions)
    repaired = joint.architecture(joint.repair(none))
    assert repaired["up2.1-3"] == repaired["up2.1-4"] == "skip_connect"
    assert repaired["down3.0-2"] == repaired["down3.0-3"] == "skip_connect"
    assert repaired["down3.0-1"] == "none"
    assert joint.repair(joint.encode(repaired)) == joint.encode(repaired)


def test_derivation_repairs_the_edge_that_is_least_probably_none(joint):
    scores = {d.name: [1.0] + [0.0] * (len(d.options) - 1) for d in joint.decisions}
    scores["up1.2-3"] = [0.6, 0.1, 0.1, 0.0, 0.2, 0.0, 0.0]
    scores["down2.1-2"] = [0.9, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0]
    scores["down2.0-1"] = [0.5, 0.2, 0.0, 0.0, 0.0, 0.3, 0.0]
    derived = joint.derive([scores[d.name] for d in joint.decisions])
    assert (derived["up1.1-3"], derived["up1.2-3"]) == ("none", "conv_5x5")
    assert (derived["down2.0-2"], derived["down2.1-2"]) == ("none", "conv_3x3")
    # Node 2 now reads node 1, which therefore needs an input too.
    assert derived["down2.0-1"] == "dil_conv_3x3"
    assert derived["down3.0-1"] == "none"


def test_scores_that_do_not_fit_are_refused(fixed):
    scores = [[1.0] * len(d.options) for d in fixed.decisions]
    with pytest.raises(ArchitectureError, match="one score per option"):
        fixed.derive(scores[:-1])
    with pytest.raises(ArchitectureError, match=r"'up1\.0-1' are not finite"):
        fixed.derive([[math.nan, 1.0, 1.0], *scores[1:]])


@pytest.mark.parametrize(
    ("settings", "parameters", "macs"),
    [
        ({"image_size": 32}, 8_846_851, 2_678_095_872),
        (
            {"image_size": 48, "generator_channels": 270, "latent_scales": 2},
            8_881_923,
            6_696_185_760,
        ),
    ],
)
def test_the_shipped_generator_has_the_published_cost(settings, parameters, macs):
    space = AdversarialNASSpace(discriminator="autogan", **settings)
    generator = hollow(space.build_generator, ADVERSARIALNAS)
    assert count_parameters(generator) == parameters
    assert count_macs(generator, torch.empty(1, 120)) == macs
    assert count_parameters(hollow(space.build_discriminator, ADVERSARIALNAS)) == 1_053_824


def test_the_supernet_has_the_published_parameters():
    """Less the 123 and 188 architecture parameters, which here belong to the strategy."""
    space = AdversarialNASSpace(image_size=32, generator_channels=160, discriminator_channels=80)
    supernet = hollow(space.build_supernet)
    assert count_parameters(supernet.generator) == 29_265_566 - 123
    assert count_parameters(supernet.discriminator) == 11_049_308 - 188
    options = [len(d.options) for d in space.part_decisions("generator")]
    assert sum(options) == 123
    # The published vectors of the first cell's first edges have 7 entries, of which 5 count.
    assert sum(len(d.options) for d in space.part_decisions("discriminator")) == 188 - 3 * 2


def test_edges_that_nothing_reads_hold_nothing():
    idle_middle = [[0, 1, 1, 1, 2, 0, 2], [0, 1, 1, 1, 2, 2, 2], [0, 1, 3, 3, 0, 2, 0]]
    space = AdversarialNASSpace(
        image_size=16, generator_channels=3, latent_dim=6, discriminator="autogan"
    )
    architecture = space.from_genotype(idle_middle)
    names = {name for name in running(dict(architecture)) if name.startswith("up3")}
    assert names == {"up3.0-2", "up3.2-4"}
    generator = space.build_generator(architecture)
    generator(torch.zeros(1, 6)).sum().backward()
    assert all(p.grad is not None for p in generator.parameters())


@pytest.mark.parametrize(
    ("image_size", "cells"), [(8, 2), (16, 3), (24, 3), (32, 4), (40, 3), (48, 4), (64, 4)]
)
def test_small_images_have_fewer_down_cells(image_size, cells):
    space = AdversarialNASSpace(image_size=image_size)
    assert len(space.part_decisions("discriminator")) == 7 * cells


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"image_size": 20}, "nearest is 16 or 24"),
        ({"image_size": 4}, "nearest is 8"),
        ({"image_size": 32, "latent_dim": 2}, "latent_dim is cut"),
        ({"image_size": 32, "latent_scales": 1}, "latent_scales must be one of 2, 3"),
        ({"image_size": 32, "discriminator": "dcgan"}, "discriminator must be one of searched"),
        ({"image_size": 32, "stand_alone_discriminator": "x"}, "must be one of same"),
        ({"image_size": 32, "first_down_cell": "cut"}, "must be one of softmax, truncated"),
    ],
)
def test_an_impossible_setting_is_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        AdversarialNASSpace(**settings)


def test_architectures_and_paths_do_not_depend_on_the_first_down_cells_weights():
    plain = AdversarialNASSpace(image_size=16, generator_channels=2, discriminator_channels=2)
    space = plain.with_settings(first_down_cell="truncated")
    assert space.settings["first_down_cell"] == "truncated"
    assert space.size == plain.size
    assert [d.options for d in space.decisions] == [d.options for d in plain.decisions]
    architecture = plain.sample(numpy_generator(0, "architectures"))
    assert space.encode(architecture) == plain.encode(architecture)
    path = space.one_hot(architecture).discriminator
    assert all(map(torch.equal, path, plain.one_hot(architecture).discriminator))


def test_an_uneven_latent_is_cut_as_evenly_as_can_be():
    space = AdversarialNASSpace(image_size=16, generator_channels=2, latent_dim=128)
    assert [linear.in_features for linear in space.build_supernet().generator.linears] == [
        43,
        43,
        42,
    ]


@pytest.mark.parametrize("kind", ["same", "autogan", "sngan"])
def test_a_searched_pair_trains_against_the_discriminator_asked_for(kind):
    space = AdversarialNASSpace(
        image_size=32,
        discriminator_channels=4,
        generator_channels=2,
        stand_alone_discriminator=kind,
    )
    architecture = space.from_genotype(SHIPPED, DISCRIMINATOR)
    discriminator = space.build_discriminator(architecture)
    inner = type(getattr(discriminator, "network", discriminator)).__name__.lower()
    assert inner == ("derived" if kind == "same" else kind) + "discriminator"
    assert discriminator(torch.zeros(2, 3, 32, 32)).shape == (2, 1)


def test_the_architecture_is_read_without_torch():
    code = (
        "import sys; import nasgan_search_spaces.adversarial_nas.published; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
