"""`torch.compile` takes a soft supernet as one graph, whose numbers are those without it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nasgan.networks import passes
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace

PARTS = ("generator", "discriminator")


def make_half(part):
    """One network of a supernet, its input, and weights that mix."""
    space = AdversarialNASSpace(
        image_size=16, generator_channels=4, discriminator_channels=4, latent_dim=6
    )
    network = getattr(space.build_supernet(), part).double()
    shape = (3, 6) if part == "generator" else (3, 3, 16, 16)
    logits = [torch.randn(len(d.options)).double() for d in space.part_decisions(part)]
    weights = [torch.softmax(row, 0).requires_grad_() for row in logits]
    return network, torch.randn(shape, dtype=torch.float64), weights


def gradients(run, x, weights, network):
    output = run(x, weights)
    found = torch.autograd.grad(output.square().sum(), [*weights, *network.parameters()])
    return output, *found


@pytest.mark.parametrize(
    ("part", "cheap"), [("generator", ("cpu",)), ("discriminator", ())], ids=PARTS
)
def test_a_soft_supernet_is_one_graph(part, cheap, monkeypatch):
    """With the operations of a CPU and with those of an accelerator."""
    monkeypatch.setattr(passes, "_CHEAP_LAUNCHES", cheap)
    torch.manual_seed(0)
    network, x, weights = make_half(part)
    twin = copy.deepcopy(network)
    torch.compiler.reset()
    compiled = torch.compile(twin, backend="eager", fullgraph=True, dynamic=False)
    expected, found = gradients(network, x, weights, network), gradients(compiled, x, weights, twin)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(state(twin), state(network), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("part", PARTS)
def test_a_mixture_on_an_accelerator_is_that_of_the_cpu(part, monkeypatch):
    """Few large operations instead of many small ones, and the same numbers."""
    torch.manual_seed(0)
    network, x, weights = make_half(part)
    twin = copy.deepcopy(network)
    expected = gradients(network, x, weights, network)
    monkeypatch.setattr(passes, "_CHEAP_LAUNCHES", ())
    found = gradients(twin, x, weights, twin)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(state(twin), state(network), rtol=1e-10, atol=1e-12)


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return dict(network.named_buffers())
