"""AGAN's supernet: mixtures against their definition, paths, classes, joint passes, refusals."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from nasgan.contracts import inherit_weights
from nasgan.errors import ArchitectureError, ConfigError
from nasgan.networks.conditional import apply_norm
from nasgan.networks.spectral_norm import joint_pass_is_exact, sample_groups
from nasgan.randomness import numpy_generator, seeded
from nasgan_search_spaces.agan import choices as choices_module
from nasgan_search_spaces.agan.space import AGANSpace

SMALL = {"generator_channels": 5, "discriminator_channels": 4, "latent_dim": 7}
SETTINGS = [
    {},
    {"output": "concat", "attention": True, "num_classes": 3},
    {"normals_per_resample": 0, "spectral_norm": False},
]


def normalised(layers, x, labels):
    return F.relu(apply_norm(layers["norm"], x, labels) if "norm" in layers else x)


def mixed_operations(layers, x, weights, labels):
    """Each operation by itself, times its weight."""
    rectified = normalised(layers, x, labels)

    def run(option):
        if option == "identity":
            return x
        if option == "attention":
            return layers[option](x)
        if option in ("nearest", "bilinear"):
            return layers[option](F.interpolate(rectified, scale_factor=2, mode=option))
        if option == "sub_pixel":
            return F.pixel_shuffle(layers[option](rectified), 2)
        if option == "avg_pool":
            return layers[option](F.avg_pool2d(rectified, 2))
        if option == "max_pool":
            return layers[option](F.max_pool2d(rectified, 2))
        return layers[option](rectified)

    return sum(weight * run(option) for option, weight in weights.items())


def mixed_module(module, segment, x, prev, weights, labels):
    maps = {"input": x, "prev": prev}
    if module.prev is not None:
        maps["prev"] = mixed_operations(module.prev, prev, weights[module.resizes_prev], labels)
    unused = {}
    for block, slots in module.blocks.items():
        maps[block] = 0
        for side, slot in slots.items():
            name = f"{segment}.{block}.{side}"
            reads = weights[f"{name}.input"]
            for kind, layers in slot.items():
                own = [
                    source
                    for source in reads
                    if segment == "normal" or (source in ("input", "prev")) == (kind == "resample")
                ]
                share = sum(reads[source] for source in own)
                mean = sum(reads[source] * maps[source] for source in own) / share
                made = mixed_operations(layers, mean, weights[f"{name}.{kind}"], labels)
                maps[block] = maps[block] + share * made
            unused = {earlier: share * (1 - reads[earlier]) for earlier, share in unused.items()}
        unused[block] = 1
    output = 0
    for block, share in unused.items():
        y = maps[block]
        if block in module.project:
            projection = module.project[block]
            y = projection["conv"](normalised(projection, y, labels))
        output = output + share * y
    return output


def naive(network, part, x, weights, labels):
    """The network by its definition, without merging or skipping anything."""
    norm_labels = labels if part == "generator" else None
    if part == "generator":
        h = network.linear(x).view(len(x), -1, network.bottom, network.bottom)
    else:
        h = network.conv(x)
    prev = h
    for name, module in network.stack.items():
        segment = name.rstrip("0123456789")
        prev, h = h, mixed_module(module, segment, h, prev, weights, norm_labels)
    if part == "discriminator":
        return network.head(F.relu(h).sum((2, 3)), labels)
    return torch.tanh(network.conv(F.relu(apply_norm(network.norm, h, labels))))


def make(part, *, training=True, image_size=16, **settings):
    space = AGANSpace(image_size=image_size, **{"blocks": 3, **SMALL, **settings})
    with seeded(0, "supernet"):
        network = getattr(space.build_supernet(), part).double().train(training)
        for name, parameter in network.named_parameters():
            if name.endswith("factor"):  # of attention, which starts at 0
                torch.nn.init.constant_(parameter, 0.5)
        weights = {
            d.name: torch.randn(len(d.options), dtype=torch.float64).softmax(0).requires_grad_()
            for d in space.part_decisions(part)
        }
        shape = (3, 7) if part == "generator" else (3, 3, image_size, image_size)
        x = torch.randn(shape, dtype=torch.float64)
    labels = {"labels": torch.tensor([2, 0, 1])} if settings.get("num_classes") else {}
    return space, network, weights, x, labels


def assert_same_state(network, twin):
    for (name, found), expected in zip(
        network.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11, msg=lambda m, n=name: n + m)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_a_mixture_is_the_sum_over_the_operations(part, settings, training):
    space, network, weights, x, labels = make(part, training=training, **settings)
    twin = copy.deepcopy(network)
    own = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    named = {
        d.name: dict(zip(d.options, weights[d.name], strict=True))
        for d in space.part_decisions(part)
    }
    expected = naive(twin, part, x, named, labels.get("labels"))
    found = network(x, list(own.values()), **labels)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    probe = torch.cos(torch.arange(found.numel(), dtype=torch.float64)).view_as(found)
    (expected * probe).sum().backward()
    (found * probe).sum().backward()
    for name, weight in own.items():
        assert weight.grad.abs().max() > 0, name
        torch.testing.assert_close(weight.grad, weights[name].grad, rtol=1e-7, atol=1e-9)
    for (name, p), q in zip(network.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(
            p.grad, q.grad, rtol=1e-7, atol=1e-9, msg=lambda m, n=name: n + m
        )
    assert_same_state(network, twin)


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_gradients_of_soft_weights_agree_with_finite_differences(part):
    _, network, weights, x, _ = make(part, training=False, image_size=8, blocks=2)

    def loss(*weights):
        return network(x, weights).square().sum()

    found = torch.autograd.grad(loss(*weights.values()), list(weights.values()))
    step = 1e-6
    for k, weight in enumerate(weights.values()):
        direction = torch.linspace(-1, 1, len(weight), dtype=torch.float64)
        ends = []
        for sign in (-1, 1):
            moved = [w.detach() for w in weights.values()]
            moved[k] = moved[k] + sign * step * direction
            with torch.no_grad():
                ends.append(loss(*moved).item())
        numeric = (ends[1] - ends[0]) / (2 * step)
        assert found[k] @ direction == pytest.approx(numeric, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_a_path_is_the_derived_network(part, settings):
    """In training, too, and with classes; parameters that are reached are those it holds."""
    space, network, _, x, labels = make(part, **settings)
    for seed in range(3):
        architecture = space.sample(numpy_generator(seed, "path"))
        derived = getattr(space, f"build_{part}")(architecture).double()
        inherit_weights(derived, network)
        network.zero_grad(set_to_none=True)
        found = network(x, getattr(space.one_hot(architecture), part), **labels)
        torch.testing.assert_close(found, derived(x, **labels), rtol=0, atol=1e-12)
        found.sum().backward()
        reached = {name for name, p in network.named_parameters() if p.grad is not None}
        assert reached == {name for name, _ in derived.named_parameters()}
        network.eval(), derived.eval()
        with torch.no_grad():
            found = network(x, getattr(space.one_hot(architecture), part), **labels)
            torch.testing.assert_close(found, derived(x, **labels), rtol=0, atol=1e-12)
        network.train()


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_a_path_that_carries_gradients_runs_alone_and_scales(part):
    space, network, _, x, _ = make(part, training=False)
    architecture = space.sample(numpy_generator(2, "path"))
    hard = [w.double() for w in getattr(space.one_hot(architecture), part)]
    tracked = [w.clone().requires_grad_() for w in hard]
    found = network(x, tracked)
    torch.testing.assert_close(found, network(x, hard), rtol=0, atol=0)
    found.square().sum().backward()
    graded = [w for w in tracked if w.grad is not None]
    assert len(graded) > 10
    assert all((w.grad != 0).sum() <= 1 for w in graded)


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_one_hot_weights_that_are_not_read_run_the_path_all_the_same(part, monkeypatch):
    """As on an accelerator, where weights count as a mixture."""
    space, network, _, x, _ = make(part, training=False)
    architecture = space.sample(numpy_generator(4, "path"))
    path = [w.double().requires_grad_() for w in getattr(space.one_hot(architecture), part)]
    expected = network(x, [w.detach() for w in path])
    monkeypatch.setattr(choices_module, "chosen_option", lambda _weight: None)
    found = network(x, path)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    found.square().sum().backward()
    assert all(w.grad.isfinite().all() for w in path)


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_soft_weights_tend_to_the_path_at_the_corner(part):
    space, network, _, x, _ = make(part, training=False)
    architecture = space.sample(numpy_generator(5, "path"))
    path = [w.double() for w in getattr(space.one_hot(architecture), part)]
    distances = []
    for eps in (1e-3, 1e-6, 1e-9):
        near = [(1 - eps) * w + eps / len(w) for w in path]
        with torch.no_grad():
            distances.append((network(x, near) - network(x, path)).abs().max().item())
    assert all(after < before / 100 for before, after in pairwise(distances))


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("soft", [True, False])
def test_a_joint_pass_equals_two_passes(soft, num_classes):
    space, network, weights, x, labels = make(
        "discriminator", num_classes=num_classes, attention=True
    )
    path = [w.detach() for w in weights.values()]
    if not soft:
        path = space.one_hot(space.sample(numpy_generator(0, "path"))).discriminator
    assert joint_pass_is_exact(network)
    twin = copy.deepcopy(network)
    of_first = {name: y[:1] for name, y in labels.items()}
    of_rest = {name: y[1:] for name, y in labels.items()}
    expected = torch.cat([twin(x[:1], path, **of_first), twin(x[1:], path, **of_rest)])
    with sample_groups(network, (1, 2)):
        found = network(x, path, **labels)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    found.square().sum().backward()
    expected.square().sum().backward()
    for p, q in zip(network.parameters(), twin.parameters(), strict=True):
        if q.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-8, atol=1e-8)
    assert_same_state(network, twin)


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_weights_stages_and_labels_that_do_not_fit_are_refused(part):
    _, network, weights, x, _ = make(part)
    listed = list(weights.values())
    with pytest.raises(ArchitectureError, match="decisions need as many weight vectors"):
        network(x, listed[1:])
    with pytest.raises(ArchitectureError, match="needs a weight vector of that length"):
        network(x, [torch.ones(9), *listed[1:]])
    with pytest.raises(ConfigError, match="got stage 1"):
        network(x, listed, stage=1)
    with pytest.raises(ConfigError, match="unconditional and takes no labels"):
        network(x, listed, labels=torch.zeros(3, dtype=torch.int64))
