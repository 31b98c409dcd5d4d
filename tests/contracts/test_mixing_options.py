"""Weights that choose or mix, and weights that are inherited."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from nasgan.contracts import chosen_option, inherit_weights, mix_options
from nasgan.errors import ArchitectureError


class Counted(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.factor * x.sin()


@pytest.fixture
def options():
    return [Counted(factor) for factor in (1.0, -2.0, 0.5)]


@pytest.fixture
def x():
    return torch.linspace(-1, 2, 12, dtype=torch.float64).reshape(3, 4)


def mixed(weight, options, x):
    return mix_options(weight, [partial(option, x) for option in options])


@pytest.mark.parametrize("k", [0, 1, 2])
def test_one_hot_weights_run_only_their_option(options, x, k):
    output = mixed(torch.eye(3)[k], options, x)
    assert [option.calls for option in options] == [int(i == k) for i in range(3)]
    torch.testing.assert_close(output, options[k].factor * x.sin(), rtol=0, atol=0)


def test_soft_weights_run_all_and_give_their_sum(options, x):
    output = mixed(torch.tensor([0.2, 0.3, 0.5]), options, x)
    assert [option.calls for option in options] == [1, 1, 1]
    expected = (0.2 * 1.0 + 0.3 * -2.0 + 0.5 * 0.5) * x.sin()
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-7)


def test_gradients_reach_weights_and_options(options, x):
    weight = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: mixed(w, options, x), (weight,))
    mixed(weight, options, x).sum().backward()
    for k, option in enumerate(options):
        expected = weight[k] * x.sin().sum()
        torch.testing.assert_close(option.factor.grad, expected.detach())


def test_a_one_hot_weight_that_learns_gets_its_options_gradient(options, x):
    """Straight-through samples: one option runs, and its weight has the gradient of its output."""
    weight = torch.eye(3, dtype=torch.float64)[1].requires_grad_()
    mixed(weight, options, x).sum().backward()
    assert [option.calls for option in options] == [0, 1, 0]
    expected = torch.tensor([0.0, float((-2.0 * x.sin()).sum()), 0.0], dtype=torch.float64)
    torch.testing.assert_close(weight.grad, expected)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        ([0.0, 1.0, 0.0], 1),
        ([1.0], 0),
        ([0.0, 0.0], None),
        ([0.5, 0.5], None),
        ([0.0, 2.0], None),
        ([1.0, 1.0], None),
        ([1.0, 1e-30], None),
        ([1.0, float("nan")], None),
    ],
)
def test_only_exact_one_hot_weights_choose(weight, expected):
    assert chosen_option(torch.tensor(weight, dtype=torch.float64)) == expected


@pytest.mark.parametrize("weight", [torch.ones(2), torch.ones(4), torch.ones(3, 1), torch.ones(())])
def test_weights_of_another_length_are_refused(options, x, weight):
    with pytest.raises(ArchitectureError, match="3 options needs a weight vector of that length"):
        mixed(weight, options, x)


def test_inherited_weights_are_copies_and_buffers_come_too():
    shared = nn.ModuleDict({"a": nn.BatchNorm1d(3), "b": nn.Linear(3, 2)})
    nn.init.uniform_(shared["a"].running_mean)
    derived = nn.ModuleDict({"a": nn.BatchNorm1d(3)})
    inherit_weights(derived, shared)
    torch.testing.assert_close(derived["a"].running_mean, shared["a"].running_mean)
    nn.init.zeros_(shared["a"].weight)
    assert derived["a"].weight.sum() == 3


@pytest.mark.parametrize(
    ("shared", "found"),
    [
        (nn.ModuleDict({"b": nn.Linear(3, 2)}), "the supernet has nothing"),
        (nn.ModuleDict({"a": nn.Linear(2, 2)}), r"the supernet has \(2, 2\)"),
    ],
)
def test_what_does_not_fit_is_not_inherited(shared, found):
    derived = nn.ModuleDict({"a": nn.Linear(3, 2)})
    before = derived["a"].weight.clone()
    with pytest.raises(ArchitectureError, match=f"cannot inherit 'a.weight'.*{found}"):
        inherit_weights(derived, shared)
    assert torch.equal(derived["a"].weight, before)
