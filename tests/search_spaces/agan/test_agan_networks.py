"""AGAN's derived networks: sizes, how modules are fed, what they output, classes, layers."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nasgan.errors import ConfigError
from nasgan.networks.conditional import ConditionalBatchNorm2d
from nasgan.networks.cost import count_parameters
from nasgan.networks.sizes import bottom_and_doublings
from nasgan.networks.spectral_norm import SpectralNormLayer
from nasgan.randomness import numpy_generator, seeded
from nasgan_search_spaces.agan.layers import Attention, SeparableConv2d, Style
from nasgan_search_spaces.agan.module import Module, Slot
from nasgan_search_spaces.agan.space import AGANSpace

SMALL = {"generator_channels": 6, "discriminator_channels": 5, "latent_dim": 7}
PLAIN = Style(channels=8, batch_norm=False, spectral_norm=False, num_classes=0)
NORMALISED = Style(channels=8, batch_norm=False, spectral_norm=True, num_classes=0)

#: Kernel taps of width x width values, depthwise taps, biases of the width.
OPERATIONS = {
    "identity": (0, 0, 0),
    "conv_1x1": (1, 0, 1),
    "conv_3x3": (9, 0, 1),
    "conv_5x5": (25, 0, 1),
    "sep_conv_3x3": (1, 9, 1),
    "sep_conv_5x5": (1, 25, 1),
    "dil_conv_3x3": (9, 0, 1),
}
RESAMPLING = {
    "up": {"nearest": 9, "bilinear": 9, "deconvolution": 16, "sub_pixel": 36},
    "down": {"avg_pool": 1, "max_pool": 1, "conv_3x3": 9, "conv_4x4": 16},
}


def hollow(build, *args):
    """Build without memory: counts need no values."""
    with torch.device("meta"):
        return build(*args)


def parameters_by_hand(space, architecture, part):
    """Of a pair with one normal module after each resampling one, unconditional, "sum"."""
    network = space.network
    _, doublings = bottom_and_doublings(network.image_size)
    up = part == "generator"
    width = network.generator_channels if up else network.discriminator_channels
    norm = 2 * width if up else 0

    def resampled(option):
        taps = RESAMPLING["up" if up else "down"][option]
        return taps * width**2 + width * (4 if option == "sub_pixel" else 1) + norm

    def operated(option):
        square, single, bias = OPERATIONS[option]
        return square * width**2 + (single + bias) * width + (norm if square else 0)

    def module(segment):
        total, reads = 0, []
        for block in range(1, 5):
            for side in ("left", "right"):
                slot = f"{segment}.block{block}.{side}"
                reads.append(architecture[f"{slot}.input"])
                if segment != "normal" and reads[-1] in ("input", "prev"):
                    total += resampled(architecture[f"{slot}.resample"])
                else:
                    total += operated(architecture[f"{slot}.operation"])
        if segment == "normal" and "prev" in reads:
            total += resampled(architecture[f"normal.prev.{'up' if up else 'down'}sample"])
        return total

    bottom = network.image_size >> doublings
    colours = network.image_channels
    if up:
        rest = (network.latent_dim + 1) * width * bottom**2 + norm + (9 * width + 1) * colours
    else:
        rest = (9 * colours + 1) * width + width
    return doublings * (module("up" if up else "down") + module("normal")) + rest


def reference(space):
    """A fixed architecture with all operations in it."""
    options = {decision.name: decision.options[0] for decision in space.decisions}
    for segment, resamplers in RESAMPLING.items():
        for block, option in zip((1, 2, 3, 4), resamplers, strict=True):
            options[f"{segment}.block{block}.left.resample"] = option
    options |= {
        "up.block4.right.input": "block3",
        "up.block4.right.operation": "conv_3x3",
        "down.block1.right.input": "prev",
        "down.block4.right.input": "block2",
        "down.block4.right.operation": "conv_1x1",
        "normal.block1.left.operation": "conv_3x3",
        "normal.block1.right.input": "prev",
        "normal.block1.right.operation": "conv_1x1",
        "normal.block2.left.input": "block1",
        "normal.block2.left.operation": "sep_conv_3x3",
        "normal.block3.left.operation": "conv_5x5",
        "normal.block3.right.operation": "dil_conv_3x3",
        "normal.block4.left.input": "block1",
        "normal.block4.left.operation": "sep_conv_5x5",
        "normal.prev.upsample": "sub_pixel",
        "normal.prev.downsample": "conv_3x3",
    }
    return space.architecture(options)


def test_the_reference_architecture_has_the_recorded_number_of_parameters():
    space = AGANSpace(image_size=32)
    assert (space.network.generator_channels, space.network.discriminator_channels) == (192, 128)
    architecture = reference(space)
    counts = [
        count_parameters(hollow(build, architecture))
        for build in (space.build_generator, space.build_discriminator)
    ]
    assert counts == [21_242_115, 4_249_600]
    assert counts[0] == parameters_by_hand(space, architecture, "generator")
    assert counts[1] == parameters_by_hand(space, architecture, "discriminator")


@pytest.mark.parametrize("image_size", [8, 32, 48])
def test_parameters_are_those_counted_by_hand(image_size):
    space = AGANSpace(image_size=image_size, image_channels=1, **SMALL)
    rng = numpy_generator(image_size, "counts")
    for architecture in (space.sample(rng) for _ in range(6)):
        for part in ("generator", "discriminator"):
            network = hollow(getattr(space, f"build_{part}"), architecture)
            expected = parameters_by_hand(space, architecture, part)
            assert count_parameters(network) == expected, architecture


def test_the_default_width_gives_the_generator_twenty_million_parameters_on_average():
    """The expectation over random architectures, from the probabilities of their choices."""
    c = 192
    operation = sum(
        square * c**2 + (single + bias) * c + 2 * c * bool(square)
        for square, single, bias in OPERATIONS.values()
    ) / len(OPERATIONS)
    doubling = sum(RESAMPLING["up"].values()) / 4 * c**2 + (1 + 1 + 1 + 4) / 4 * c + 2 * c
    chances = [2 / (2 + k) for k in range(4) for _side in range(2)]
    up = sum(p * doubling + (1 - p) * operation for p in chances)
    reads_prev = 1 - math.prod(1 - p / 2 for p in chances)
    normal = 8 * operation + reads_prev * doubling
    expected = 3 * (up + normal) + 129 * 16 * c + 2 * c + 27 * c + 3
    assert expected == pytest.approx(20.15e6, rel=1e-3)
    space = AGANSpace(image_size=32)
    rng = numpy_generator(0, "average")
    counts = [parameters_by_hand(space, space.sample(rng), "generator") for _ in range(400)]
    # Their standard deviation is 4.7 million.
    assert sum(counts) / len(counts) == pytest.approx(expected, abs=3 * 4.7e6 / 20)


def run_and_record(network, kind, *inputs, **keywords):
    """The (module, inputs, output) of each call of a submodule of ``kind``, in order."""
    seen = []
    hooks = [
        m.register_forward_hook(lambda module, i, o: seen.append((module, i, o)))
        for m in network.modules()
        if isinstance(m, kind)
    ]
    with torch.no_grad():
        output = network(*inputs, **keywords)
    for hook in hooks:
        hook.remove()
    return output, seen


@pytest.mark.parametrize(
    ("image_size", "normals", "sides"),
    [
        (32, 1, [(4, 4), (8, 4), (8, 8), (16, 8), (16, 16), (32, 16)]),
        (48, 1, [(6, 6), (12, 6), (12, 12), (24, 12), (24, 24), (48, 24)]),
        (16, 1, [(4, 4), (8, 4), (8, 8), (16, 8)]),
        (16, 2, [(4, 4), (8, 4), (8, 8), (8, 8), (16, 8), (16, 16)]),
        (32, 0, [(4, 4), (8, 4), (16, 8)]),
    ],
)
def test_modules_read_the_two_before_them(image_size, normals, sides):
    """Sides of (input, prev) before prev is resized; the discriminator's are the mirror image."""
    space = AGANSpace(image_size=image_size, normals_per_resample=normals, **SMALL)
    options = {d.name: d.options[0] for d in space.decisions}
    options |= {name: "prev" for name in options if name.endswith(".block1.right.input")}
    architecture = space.architecture(options)
    generator = space.build_generator(architecture)
    images, seen = run_and_record(generator, Module, torch.randn(2, 7))
    assert images.shape == (2, 3, image_size, image_size)
    assert [(i[0].shape[-1], i[1].shape[-1]) for _, i, _ in seen] == sides
    assert seen[0][1][0] is seen[0][1][1]
    for k in range(1, len(seen)):
        assert seen[k][1][0] is seen[k - 1][2]
        assert seen[k][1][1] is seen[k - 1][1][0]
    resized = [module.prev is not None for module, _, _ in seen]
    assert resized == [own != prev for own, prev in sides]

    discriminator = space.build_discriminator(architecture)
    logits, seen = run_and_record(discriminator, Module, images)
    assert logits.shape == (2, 1)
    bottom, top = sides[0][0], image_size
    mirrored = [(top * bottom // own, top * bottom // prev) for own, prev in sides]
    assert [(i[0].shape[-1], i[1].shape[-1]) for _, i, _ in seen] == mirrored
    assert seen[-1][2].shape[-1] == bottom
    assert [module.prev is not None for module, _, _ in seen] == resized


@pytest.mark.parametrize("output", ["sum", "concat"])
def test_a_module_collects_the_blocks_that_no_other_reads(output):
    space = AGANSpace(image_size=16, output=output, **SMALL)
    architecture = reference(space)  # in normal modules, blocks 2 and 4 read block 1
    generator = space.build_generator(architecture).eval()
    _, slots = run_and_record(generator.stack["normal1"], Slot, *normal_inputs(generator))
    blocks = [slots[k][2] + slots[k + 1][2] for k in range(0, 8, 2)]
    found = generator.stack["normal1"](*normal_inputs(generator))
    unread = {"block2": blocks[1], "block3": blocks[2], "block4": blocks[3]}
    if output == "concat":
        project = generator.stack["normal1"].project
        assert set(project) == set(unread)
        rectified = [F.relu(project[name]["norm"](y)) for name, y in unread.items()]
        kernel = torch.cat([project[name]["conv"].weight for name in unread], 1)
        bias = sum(project[name]["conv"].bias for name in unread)
        expected = F.conv2d(torch.cat(rectified, 1), kernel, bias)
    else:
        assert not generator.stack["normal1"].project
        expected = sum(unread.values())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def normal_inputs(generator):
    with seeded(0, "module"):
        return torch.randn(2, 6, 8, 8), torch.randn(2, 6, 4, 4), generator.chosen, None


def test_generators_normalise_before_each_convolution_and_discriminators_their_weights():
    space = AGANSpace(image_size=16, **SMALL)
    architecture = reference(space)
    generator = space.build_generator(architecture)
    groups = [
        m for name, m in generator.named_modules() if name.endswith(("operation", "resample"))
    ]
    convolving = [m for m in groups if set(m) - {"norm"}]
    assert all(isinstance(m["norm"], nn.BatchNorm2d) for m in convolving)
    assert not any("norm" in m for m in groups if m not in convolving)

    discriminator = space.build_discriminator(architecture)
    kinds = {type(m) for m in discriminator.modules()}
    assert nn.BatchNorm2d not in kinds
    assert not kinds & {nn.Conv2d, nn.Linear}
    free = AGANSpace(image_size=16, spectral_norm=False, **SMALL).build_discriminator(architecture)
    assert not any(isinstance(m, SpectralNormLayer) for m in free.modules())
    assert count_parameters(free) == count_parameters(discriminator)


def test_a_separable_convolution_is_depthwise_then_pointwise():
    layer, x = SeparableConv2d(PLAIN, 5), torch.randn(2, 8, 6, 6)
    depthwise, pointwise = layer
    maps = [F.conv2d(x[:, [k]], depthwise.weight[[k]], padding=2) for k in range(8)]
    torch.testing.assert_close(layer(x), pointwise(torch.cat(maps, 1)))


def test_the_depthwise_weight_is_divided_by_its_norm_as_a_matrix():
    layer, x = SeparableConv2d(NORMALISED, 3).eval(), torch.randn(2, 8, 6, 6)
    depthwise = layer[0]
    depthwise.update_singular_pair(200)
    norm = torch.linalg.matrix_norm(depthwise.weight_orig.detach().view(8, 9), 2)
    expected = F.conv2d(x, depthwise.weight_orig / norm, padding=1, groups=8)
    torch.testing.assert_close(depthwise(x), expected, rtol=1e-4, atol=1e-5)


def test_attention_is_the_mean_of_values_that_resemble():
    layer = Attention(PLAIN).double()
    x = torch.randn(2, 8, 4, 4, dtype=torch.float64)
    assert torch.equal(layer(x), x)
    nn.init.constant_(layer.factor, 0.7)
    query, key, value, out = (m.weight.flatten(1) for m in layer.children())
    expected = torch.empty_like(x)
    for n in range(2):
        keys = F.max_pool2d(torch.einsum("oc,chw->ohw", key, x[n]), 2).flatten(1)
        values = F.max_pool2d(torch.einsum("oc,chw->ohw", value, x[n]), 2).flatten(1)
        for i in range(4):
            for j in range(4):
                scores = (query @ x[n, :, i, j]) @ keys
                weights = scores.exp() / scores.exp().sum()
                expected[n, :, i, j] = x[n, :, i, j] + 0.7 * out @ (values @ weights)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_classes_choose_the_norms_of_the_generator_and_shift_the_logit(spectral_norm):
    space = AGANSpace(image_size=16, num_classes=3, spectral_norm=spectral_norm, **SMALL)
    architecture = reference(space)
    generator = space.build_generator(architecture)
    norms = [m for m in generator.modules() if isinstance(m, ConditionalBatchNorm2d)]
    plain = AGANSpace(image_size=16, **SMALL).build_generator(architecture)
    assert len(norms) == sum(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    for norm in norms:
        nn.init.normal_(norm.gain)
    generator.eval()
    z = torch.randn(1, 7).expand(3, 7)
    images = generator(z, labels=torch.tensor([0, 1, 1]))
    assert (images[0] - images[1]).abs().max() > 1e-3
    torch.testing.assert_close(images[1], images[2])

    discriminator = space.build_discriminator(architecture).eval()
    logits = discriminator(images[:1].expand(3, -1, -1, -1), labels=torch.tensor([0, 1, 1]))
    assert (logits[0] - logits[1]).abs() > 1e-6
    torch.testing.assert_close(logits[1], logits[2])
    extra = count_parameters(discriminator) - count_parameters(
        AGANSpace(image_size=16, **SMALL).build_discriminator(architecture)
    )
    assert extra == 3 * 5
    for network, x in ((generator, z), (discriminator, images)):
        with pytest.raises(ConfigError, match="needs the class"):
            network(x)
        with pytest.raises(ConfigError, match="labels must be int64"):
            network(x, labels=torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("num_classes", [0, 3])
def test_derived_networks_compile_without_graph_breaks(num_classes):
    space = AGANSpace(
        image_size=8, num_classes=num_classes, attention=True, output="concat", **SMALL
    )
    architecture = space.sample(numpy_generator(0, "compiled"))
    labels = {"labels": torch.tensor([0, 2])} if num_classes else {}
    for part, x in (("generator", torch.randn(2, 7)), ("discriminator", torch.randn(2, 3, 8, 8))):
        network = getattr(space, f"build_{part}")(architecture).eval()
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x, **labels), network(x, **labels))
