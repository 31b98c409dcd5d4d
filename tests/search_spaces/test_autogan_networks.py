"""AutoGAN's networks train for every choice, grow, and mix as documented."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from nasgan.networks.autogan_discriminator import AutoGANDiscriminator
from nasgan_search_spaces.autogan.options import share_of
from nasgan_search_spaces.autogan.published import AUTOGAN_A
from nasgan_search_spaces.autogan.space import AutoGANSpace


@pytest.fixture(scope="module")
def space():
    return AutoGANSpace(image_size=16, generator_channels=3, discriminator_channels=3, latent_dim=4)


@pytest.fixture(scope="module")
def supernet(space):
    torch.manual_seed(0)
    return space.build_supernet().double()


def one_hots(space, indices):
    return [torch.eye(len(d.options))[i] for d, i in zip(space.decisions, indices, strict=False)]


def cell_choices(space, stage):
    sizes = [range(len(d.options)) for d in space.decisions if d.stage == stage]
    return itertools.product(*sizes)


def prefixes_and_choices(space):
    """All of cell 1; all of cell 2 after a post- and a pre-activation cell; some of cell 3."""
    yield from cell_choices(space, 0)
    for first in [(0, 2, 0, 1), (1, 1, 2, 0)]:
        yield from (first + second for second in cell_choices(space, 1))
    rng = np.random.default_rng(0)
    yield from (space.encode(space.sample(rng)) for _ in range(60))


def test_every_choice_backpropagates(space, supernet):
    supernet.train()
    z = torch.randn(2, 4, dtype=torch.float64)
    tried = 0
    for indices in prefixes_and_choices(space):
        supernet.zero_grad()
        images = supernet.generator(z, one_hots(space, indices))
        supernet.discriminator(images, []).sum().backward()
        grad = supernet.generator.linear.weight.grad
        assert grad.isfinite().all(), indices
        tried += 1
    assert tried == 36 + 2 * 72 + 60


def test_a_path_touches_only_the_chosen_options(space, supernet):
    supernet.train().zero_grad()
    supernet.generator(
        torch.randn(2, 4).double(), space.one_hot(AUTOGAN_A).generator
    ).sum().backward()
    touched = {n for n, p in supernet.generator.named_parameters() if p.grad is not None}
    derived = {n for n, _ in space.build_generator(AUTOGAN_A).named_parameters()}
    assert touched == derived


def test_images_grow_with_the_number_of_weights_and_share_the_head(space, supernet):
    supernet.eval()
    z = torch.randn(2, 4, dtype=torch.float64)
    weights = space.one_hot(AUTOGAN_A).generator
    for stage, count, side in [(0, 4, 4), (1, 9, 8), (2, 14, 16)]:
        images = supernet.generator(z, weights[:count])
        assert images.shape == (2, 3, side, side)
        assert torch.equal(images, supernet.generator(z, weights, stage=stage))


def test_the_discriminator_grows_by_blocks_2_and_3():
    network = AutoGANDiscriminator(image_size=16, channels=3, spectral_norm=False)
    used = []
    blocks = [(f"block{k}", network.get_submodule(f"block{k}")) for k in range(1, 5)]
    for name, block in [*blocks, ("linear", network.linear)]:
        block.register_forward_hook(lambda *_args, name=name: used.append(name))
    expected = {
        4: ["block1", "block4", "linear"],
        8: ["block1", "block2", "block4", "linear"],
        16: ["block1", "block2", "block3", "block4", "linear"],
    }
    for side, names in expected.items():
        used.clear()
        assert network(torch.zeros(1, 3, side, side)).shape == (1, 1)
        assert used == names
    used.clear()
    network(torch.zeros(1, 3, 16, 16), stage=0)
    assert used == ["block1", "block4", "linear"]


def test_a_skip_hands_on_what_it_received(space, supernet):
    """The skip map of cell 2 is its first block's output plus what came from cell 1."""
    cell = supernet.generator.eval().cells["cell2"]
    seen = {}
    hook = cell.register_forward_hook(lambda _cell, inputs, output: seen.update(i=inputs, o=output))
    supernet.generator(torch.randn(2, 4).double(), space.one_hot(AUTOGAN_A).generator)
    hook.remove()
    x, earlier, choice, labels = seen["i"]
    skip_map, _ = seen["o"]
    first = cell.block1["pre"](x, choice.norm, (choice.upsample,), labels)
    received = cell.skip["cell1"](earlier["cell1"], choice.upsample)
    assert received.abs().max() > 1e-3
    torch.testing.assert_close(skip_map, first + received, rtol=0, atol=1e-14)


def soft_weights(space, rng, *, stage=2):
    decisions = space.part_decisions("generator", stage=stage)
    return [
        torch.tensor(rng.dirichlet(np.ones(len(d.options)))).requires_grad_() for d in decisions
    ]


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_gradients_of_soft_weights_agree_with_finite_differences(space, supernet, stage):
    supernet.eval()
    z = torch.randn(2, 4, dtype=torch.float64)
    weights = soft_weights(space, np.random.default_rng(stage), stage=stage)

    def loss(*weights):
        return supernet.generator(z, weights).square().sum()

    assert torch.autograd.gradcheck(loss, tuple(weights), eps=1e-6, atol=1e-6)


def test_soft_weights_tend_to_the_path_at_the_corner(space, supernet):
    supernet.eval()
    z = torch.randn(2, 4, dtype=torch.float64)
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for _ in range(5):
            path = [w.double() for w in space.one_hot(space.sample(rng)).generator]
            near = [w + 1e-12 * (1 - 2 * w) for w in path]
            mixed, exact = supernet.generator(z, near), supernet.generator(z, path)
            torch.testing.assert_close(mixed, exact, rtol=0, atol=1e-9)


def test_a_mixture_of_upsamplings_mixes_the_enlarged_maps(space, supernet):
    """Independent formula for one place: the shortcut of a cell, half bilinear, half nearest."""
    place = supernet.generator.cells["cell1"].shortcut["on"]
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    halves = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    expected = (place(x, "bilinear") + place(x, "nearest")) / 2
    torch.testing.assert_close(place(x, halves), expected, rtol=0, atol=1e-14)


def test_the_share_of_a_skip_is_the_weight_of_the_options_that_bring_it():
    options = ("none", "cell2", "cell1", "both")
    weight = torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert share_of(weight, options, ["cell1", "both"]).item() == pytest.approx(0.7)
    assert share_of(weight, options, ["cell2", "both"]).item() == pytest.approx(0.6)
    assert share_of("cell2", options, ["cell1", "both"]) is False
    assert share_of("both", options, ["cell1", "both"]) is True
    assert share_of(torch.tensor([1.0, 0.0, 0.0, 0.0]), options, ["cell1", "both"]) is False


def test_derived_networks_compile_without_graph_breaks(space):
    generator = space.build_generator(AUTOGAN_A).eval()
    z = torch.randn(2, 4)
    compiled = torch.compile(generator, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(z), generator(z))
