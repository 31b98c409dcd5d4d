"""Merged convolutions equal the weighted sum of separate ones, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from nasgan.errors import ConfigError
from nasgan.networks.batched_spectral_norm import batched_spectral_norms
from nasgan.networks.merged_convolution import (
    TapGrid,
    merge_kernels,
    merged_conv2d,
    stack_kernels,
)
from nasgan.networks.spectral_norm import SNConv2d, scale_spectral_norms

GRIDS = (TapGrid(5), TapGrid(1), TapGrid(3), TapGrid(3, 2), TapGrid(5, 2))


def make_case(side, *, edges=2, channels=(3, 4), dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()

    x = draw(2, channels[0], side, side)
    coefficients = draw(len(GRIDS), edges)
    weights = [
        [draw(channels[1], channels[0], g.size, g.size) for _ in range(edges)] for g in GRIDS
    ]
    return x, coefficients, weights, draw(edges * channels[1])


def merged(x, coefficients, weights, bias, split_ring=None, **options):
    stacks = [stack_kernels(row) for row in weights]
    kernels = merge_kernels(coefficients, GRIDS, stacks, split_ring=split_ring)
    return merged_conv2d(x, kernels, bias, **options)


def separate(x, coefficients, weights, bias, *, stride=1, rectify=True):
    read = F.relu(x) if rectify else x
    of_edges = [
        sum(
            coefficients[k, e]
            * F.conv2d(read, weights[k][e], None, stride, grid.reach, grid.dilation)
            for k, grid in enumerate(GRIDS)
        )
        for e in range(coefficients.shape[1])
    ]
    return torch.cat(of_edges, 1) + bias.view(1, -1, 1, 1)


@pytest.mark.parametrize("split_ring", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("rectify", [True, False])
@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 6, 9])
def test_the_merged_convolution_equals_the_sum(side, rectify, stride, split_ring):
    case = make_case(side)
    leaves = [case[0], case[1], case[3], *(w for row in case[2] for w in row)]
    expected = separate(*case, stride=stride, rectify=rectify)
    found = merged(*case, stride=stride, rectify=rectify, split_ring=split_ring)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    probe = torch.sin(torch.arange(found.numel(), dtype=found.dtype)).view_as(found)
    wanted = torch.autograd.grad((expected * probe).sum(), leaves)
    got = torch.autograd.grad((found * probe).sum(), leaves)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("split_ring", [True, False])
def test_second_derivatives_are_right(split_ring):
    """A gradient penalty differentiates twice."""
    x, coefficients, weights, bias = make_case(5, edges=1, channels=(1, 2), seed=3)

    def run(x, coefficients, bias, *flat):
        return merged(x, coefficients, [[w] for w in flat], bias, split_ring=split_ring)

    inputs = (x, coefficients, bias, *(row[0] for row in weights))
    assert gradcheck(run, inputs, fast_mode=True)
    assert gradgradcheck(run, inputs, fast_mode=True)


def test_only_the_gradients_asked_for_are_computed():
    x, coefficients, weights, bias = make_case(6)
    frozen = [[w.detach() for w in row] for row in weights]
    merged(x, coefficients, frozen, bias.detach()).sum().backward()
    assert coefficients.grad is not None
    assert x.grad is not None
    merged(x, coefficients.detach(), weights, bias).sum().backward()
    assert all(w.grad is not None for row in weights for w in row)


def test_only_the_map_is_kept_for_the_backward_pass():
    x, coefficients, weights, bias = make_case(8)
    kernels = merge_kernels(coefficients, GRIDS, [stack_kernels(row) for row in weights])
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.data_ptr()) or t, lambda t: t
    ):
        merged_conv2d(x, kernels, bias)
    assert set(kept) == {x.data_ptr(), *(kernel.data_ptr() for kernel in kernels)}


def test_autocast_computes_in_its_type():
    case = make_case(6, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = merged(*case)
    assert found.dtype == torch.bfloat16
    found.float().sum().backward()
    assert case[2][0][0].grad.dtype == torch.float32
    torch.testing.assert_close(found.float(), separate(*case), rtol=0.05, atol=0.3)


def test_kernels_that_do_not_fit_are_refused():
    _, coefficients, weights, _ = make_case(4)
    stacks = [stack_kernels(row) for row in weights]
    with pytest.raises(ConfigError, match="first grid"):
        merge_kernels(coefficients, GRIDS[1:], stacks[1:])
    with pytest.raises(ConfigError, match="first grid"):
        merge_kernels(coefficients, (GRIDS[0], TapGrid(7)), stacks[:2])


@pytest.mark.parametrize("scale", [1.0, 1.5])
@pytest.mark.parametrize("training", [True, False])
def test_batched_spectral_norms_are_those_of_the_layers(training, scale):
    torch.manual_seed(0)
    layers = [SNConv2d(3, 4, 3).double().train(training) for _ in range(3)]
    for layer in layers:
        layer.weight_orig.data.normal_()
    twins = [SNConv2d(3, 4, 3).double().train(training) for _ in layers]
    for twin, layer in zip(twins, layers, strict=True):
        twin.load_state_dict(layer.state_dict())
    for layer in (*layers, *twins):
        scale_spectral_norms(layer, scale)
    stacked = stack_kernels([layer.weight_orig for layer in layers])
    found = batched_spectral_norms(layers, stacked)
    expected = torch.stack(
        [twin.weight_orig.mean() / twin.normalised_weight(1)[0].mean() for twin in twins]
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    (found**2).sum().backward()
    (expected**2).sum().backward()
    for twin, layer in zip(twins, layers, strict=True):
        torch.testing.assert_close(layer.weight_u, twin.weight_u, rtol=0, atol=1e-12)
        torch.testing.assert_close(layer.weight_v, twin.weight_v, rtol=0, atol=1e-12)
        torch.testing.assert_close(
            layer.weight_orig.grad, twin.weight_orig.grad, rtol=1e-6, atol=1e-8
        )
