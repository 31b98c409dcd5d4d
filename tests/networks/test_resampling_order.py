"""Rearranged resampling equals the published order."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.operators import OperatorCount
from nasgan.errors import UnknownNameError
from nasgan.networks import passes
from nasgan.networks.conditional import make_norm
from nasgan.networks.resampling import (
    PooledConv2d,
    pooled_conv2d,
    set_published_order,
    upsample,
    upsample_conv,
)

EXACTLY = {"rtol": 0, "atol": 1e-13}


def gradients(output, *inputs):
    return torch.autograd.grad(output.square().sum(), inputs)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("shape", [(2, 3), (17, 16)])
def test_upsampling_before_a_convolution(mode, kernel_size, factor, shape):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, kernel_size, padding=kernel_size // 2).double()
    x = torch.randn(2, 3, *shape, dtype=torch.float64, requires_grad=True)
    found = upsample_conv(x, conv, mode, factor)
    expected = upsample_conv(x, conv, mode, factor, published_order=True)
    torch.testing.assert_close(expected, conv(upsample(x, mode, factor)), **EXACTLY)
    torch.testing.assert_close(found, expected, **EXACTLY)
    inputs = (x, conv.weight, conv.bias)
    for a, b in zip(gradients(found, *inputs), gradients(expected, *inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("shape", [(16, 16), (17, 18), (5, 6)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pooling_after_a_convolution(kernel_size, shape, layout):
    torch.manual_seed(0)
    conv = PooledConv2d(3, 4, kernel_size).double().to(memory_format=layout)
    x = torch.randn(2, 3, *shape, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    found = conv(x)
    set_published_order(conv)
    expected = conv(x)
    torch.testing.assert_close(found, expected, **EXACTLY)
    inputs = (x, conv.weight, conv.bias)
    for a, b in zip(gradients(found, *inputs), gradients(expected, *inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_published_order_is_the_plain_composition():
    x, weight = torch.randn(1, 2, 4, 4), torch.randn(3, 2, 3, 3)
    plain = nn.functional.avg_pool2d(nn.functional.conv2d(x, weight, padding=1), 2)
    assert torch.equal(pooled_conv2d(x, weight, None, published_order=True), plain)


def test_bilinear_does_not_align_corners():
    row = upsample(torch.tensor([[[[0.0, 4.0]]]]), "bilinear")[0, 0, 0]
    assert row.tolist() == [0.0, 1.0, 3.0, 4.0]


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UnknownNameError, match="bilinear"):
        upsample(torch.zeros(1, 1, 2, 2), "bilinaer")
    with pytest.raises(UnknownNameError, match="instance"):
        make_norm("instanse", 3)


@pytest.fixture
def repeats(monkeypatch):
    """As on an accelerator that is asked for algorithms that repeat."""
    monkeypatch.setattr(passes, "_CHEAP_LAUNCHES", ())
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (2, 3, 4, 5), (1, 1, 7, 2)])
def test_bilinear_maps_that_must_repeat_are_the_same(shape, factor, repeats):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.interpolate(
        x, scale_factor=factor, mode="bilinear", align_corners=False
    )
    found = upsample(x, "bilinear", factor)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    probe = torch.randn_like(found)
    (wanted,) = torch.autograd.grad((expected * probe).sum(), x)
    (got,) = torch.autograd.grad((found * probe).sum(), x)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("factor", [2, 3])
def test_maps_that_must_repeat_are_those_of_torch_with_and_without_gradients(factor, repeats):
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    expected = nn.functional.interpolate(x.detach(), scale_factor=factor, mode="bilinear")
    assert torch.equal(upsample(x, "bilinear", factor), expected)
    with torch.no_grad():
        assert torch.equal(upsample(x, "bilinear", factor), expected)


def test_gradients_through_maps_that_must_repeat_have_gradients_of_their_own(repeats):
    x = torch.randn(1, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda x: upsample(x, "bilinear"), x)
    torch.autograd.gradgradcheck(lambda x: upsample(x, "bilinear") ** 2, x)


def test_maps_that_must_repeat_cost_an_accelerator_one_operator_and_two_backwards(repeats):
    x = torch.empty(2, 3, 4, 4, device="meta", requires_grad=True)
    upsample(x, "bilinear").sum().backward()  # makes what is kept
    with OperatorCount() as count, torch.no_grad():
        upsample(x, "bilinear")
    assert count.total == 1
    y = upsample(x, "bilinear")
    with OperatorCount() as count:
        torch.autograd.grad(y, x, torch.empty_like(y))
    assert count.total == 2
