"""The merged mixture against the sum over single operations, and paths against mixtures."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from nasgan.errors import ArchitectureError, ConfigError
from nasgan.networks.spectral_norm import joint_pass_is_exact, sample_groups
from nasgan.randomness import numpy_generator, seeded
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace

SMALL = {"generator_channels": 5, "discriminator_channels": 4, "latent_dim": 7}


def candidate(edge, option, x, reads_image):
    """One operation by its definition."""
    if option == "none":
        return None
    if option == "skip_connect":
        return x
    if option == "avg_pool":
        return F.avg_pool2d(x, 2)
    if option == "max_pool":
        return F.max_pool2d(x, 2)
    if option in ("nearest", "bilinear"):
        x = F.interpolate(x, scale_factor=2, mode=option)
    return edge[option](x if reads_image else F.relu(x))


def mixed(cell, edge, x, decisions, weights, *, reads_image=False):
    name = f"{cell.name}.{edge}"
    held = cell.edges[edge]
    outputs = [candidate(held, option, x, reads_image) for option in decisions[name].options]
    return sum(w * y for w, y in zip(weights[name], outputs, strict=True) if y is not None)


def naive_generator(network, decisions, z, weights):
    h, middles = None, {}
    for k, (name, cell) in enumerate(network.cells.items()):
        if k < len(network.parts):
            part = torch.split(z, network.parts, 1)[k]
            side = network.bottom * 2**k
            added = network.linears[k](part).view(len(z), -1, side, side)
            h = added if h is None else h + added

        def edge(name, x, cell=cell):
            return mixed(cell, name, x, decisions, weights)

        first, second = edge("0-1", h), edge("0-2", h)
        middle = edge("1-3", first) + edge("2-3", second)
        for source, conv in cell.skips.items():
            mode = "bilinear" if k == 1 else "nearest"
            middle = middle + conv(F.interpolate(middles[source], middle.shape[2:], mode=mode))
        middles[name] = middle
        h = edge("1-4", first) + edge("2-4", second) + edge("3-4", middle)
    return torch.tanh(network.head(h))


def naive_discriminator(network, decisions, x, weights):
    for k, cell in enumerate(network.cells.values()):

        def edge(name, x, cell=cell, first_cell=k == 0):
            reads_image = first_cell and name.startswith("0-")
            return mixed(cell, name, x, decisions, weights, reads_image=reads_image)

        first = edge("0-1", x)
        second = edge("0-2", x) + edge("1-2", first)
        third = edge("0-3", x) + edge("1-3", first)
        x = edge("2-4", second) + edge("3-4", third)
    return network.linear(F.relu(x).sum((2, 3)))


def make(part, *, image_size=16, training=True, **settings):
    space = AdversarialNASSpace(image_size=image_size, **SMALL, **settings)
    with seeded(0):
        network = getattr(space.build_supernet(), part).double().train(training)
        decisions = {d.name: d for d in space.part_decisions(part)}
        weights = {
            name: torch.randn(len(d.options), dtype=torch.float64).softmax(0).requires_grad_()
            for name, d in decisions.items()
        }
        shape = (3, 7) if part == "generator" else (3, 3, image_size, image_size)
        x = torch.randn(shape, dtype=torch.float64)
    return space, network, decisions, weights, x


NAIVE = {"generator": naive_generator, "discriminator": naive_discriminator}


def assert_same_state(network, twin):
    for (name, found), expected in zip(
        network.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11, msg=lambda m, n=name: n + m)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("part", "settings"),
    [
        ("generator", {}),
        ("generator", {"latent_scales": 2, "image_size": 24}),
        ("discriminator", {}),
        ("discriminator", {"image_size": 24}),
        ("discriminator", {"spectral_norm": False}),
    ],
)
def test_the_merged_mixture_is_the_sum_over_the_operations(part, settings, training):
    _, network, decisions, weights, x = make(part, training=training, **settings)
    twin = copy.deepcopy(network)
    own = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    expected = NAIVE[part](twin, decisions, x, weights)
    found = network(x, list(own.values()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    probe = torch.cos(torch.arange(found.numel(), dtype=torch.float64)).view_as(found)
    (expected * probe).sum().backward()
    (found * probe).sum().backward()
    for name, weight in own.items():
        torch.testing.assert_close(weight.grad, weights[name].grad, rtol=0, atol=1e-10)
    for (name, p), q in zip(network.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-10, msg=lambda m, n=name: n + m)
    assert_same_state(network, twin)


def test_frozen_weights_give_gradients_to_the_architecture_alone():
    _, network, _, weights, x = make("discriminator")
    network.requires_grad_(False)
    network(x, list(weights.values())).sum().backward()
    assert all(weight.grad is not None for weight in weights.values())
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("soft", [True, False])
def test_a_joint_pass_equals_two_passes(soft):
    space, network, _, weights, x = make("discriminator")
    path = [w.detach() for w in weights.values()]
    if not soft:
        path = space.one_hot(space.sample(numpy_generator(0, "path"))).discriminator
    assert joint_pass_is_exact(network)
    twin = copy.deepcopy(network)
    expected = torch.cat([twin(x[:1], path), twin(x[1:], path)])
    with sample_groups(network, (1, 2)):
        found = network(x, path)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    found.square().sum().backward()
    expected.square().sum().backward()
    for p, q in zip(network.parameters(), twin.parameters(), strict=True):
        if q.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-12)
    assert_same_state(network, twin)


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_a_path_runs_single_operations_only(part):
    space, network, _, _, x = make(part)
    architecture = space.sample(numpy_generator(1, "path"))
    path = getattr(space.one_hot(architecture), part)
    network(x, path).sum().backward()
    reached = {name for name, p in network.named_parameters() if p.grad is not None}
    derived = getattr(space, f"build_{part}")(architecture)
    assert reached == {name for name, _ in derived.named_parameters()}


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_a_path_that_carries_gradients_runs_alone_and_scales(part):
    space, network, _, _, x = make(part, training=False)
    architecture = space.sample(numpy_generator(2, "path"))
    hard = [w.double() for w in getattr(space.one_hot(architecture), part)]
    tracked = [w.clone().requires_grad_() for w in hard]
    found = network(x, tracked)
    torch.testing.assert_close(found, network(x, hard), rtol=0, atol=0)
    found.square().sum().backward()
    graded = [w for w in tracked if w.grad is not None]
    assert graded
    assert all((w.grad != 0).sum() <= 1 for w in graded)


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_weights_stages_and_labels_that_do_not_fit_are_refused(part):
    _, network, _, weights, x = make(part)
    listed = list(weights.values())
    with pytest.raises(ArchitectureError, match="decisions need as many weight vectors"):
        network(x, listed[1:])
    with pytest.raises(ArchitectureError, match="needs a weight vector of that length"):
        network(x, [torch.ones(9), *listed[1:]])
    with pytest.raises(ConfigError, match="got stage 1"):
        network(x, listed, stage=1)
    with pytest.raises(ConfigError, match="no labels"):
        network(x, listed, labels=torch.zeros(3, dtype=torch.int64))


def test_a_fixed_discriminator_takes_no_weights():
    space = AdversarialNASSpace(image_size=16, discriminator="sngan", **SMALL)
    discriminator = space.build_supernet().discriminator
    assert discriminator(torch.zeros(2, 3, 16, 16), []).shape == (2, 1)
    with pytest.raises(ArchitectureError, match="has no decisions"):
        discriminator(torch.zeros(2, 3, 16, 16), [torch.ones(2)])


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_derived_networks_compile_without_graph_breaks(part):
    space, _, _, _, x = make(part)
    architecture = space.sample(numpy_generator(0, "compiled"))
    network = getattr(space, f"build_{part}")(architecture)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled.eval()(x.float()), network(x.float()))
