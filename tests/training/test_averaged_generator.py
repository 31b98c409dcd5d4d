"""The moving average against a plain loop, with both rules for buffers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nasgan.training.updates import AveragedGenerator


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()


def updates(live):
    """Moves parameters and running statistics as a training would."""
    generator = torch.Generator().manual_seed(5)
    for _ in range(6):
        with torch.no_grad():
            for parameter in live.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator).double())
            live(torch.randn(8, 3, generator=generator).double())
        yield


@pytest.mark.parametrize("buffers", ["live", "averaged"])
def test_the_average_equals_a_plain_loop(buffers):
    live, decay = network(), 0.9
    average = AveragedGenerator(live, decay=decay, buffers=buffers)
    expected = {name: value.clone() for name, value in live.state_dict().items()}
    names = {name for name, _ in live.named_parameters()}
    for _ in updates(live):
        average.update(live)
        for name, value in live.state_dict().items():
            if name in names or (buffers == "averaged" and value.is_floating_point()):
                expected[name] = decay * expected[name] + (1 - decay) * value
            else:
                expected[name] = value.clone()
    for name, value in average.evaluated(live).state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-13, atol=1e-14, msg=name)
    moved = live[1].running_mean
    assert torch.equal(average.module[1].running_mean, moved) == (buffers == "live")


def test_the_average_starts_at_the_initial_values_and_is_only_for_evaluation():
    live = network()
    average = AveragedGenerator(live, decay=0.99, buffers="live").module
    for a, b in zip(average.parameters(), live.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not a.requires_grad
        assert a.data_ptr() != b.data_ptr()
    assert not average.training


@pytest.mark.parametrize("buffers", ["live", "averaged"])
def test_live_statistics_are_those_of_the_moment_of_evaluation(buffers):
    live = network()
    average = AveragedGenerator(live, decay=0.9, buffers=buffers)
    for _ in updates(live):
        average.update(live)
    at_update = live[1].running_var.clone()
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(7)).double()
    hidden = live[0](x).detach()
    live(x)
    moved = 0.9 * at_update + 0.1 * hidden.var(dim=0)
    found = average.evaluated(live)[1].running_var
    if buffers == "live":
        torch.testing.assert_close(found, moved, rtol=1e-13, atol=1e-14)
    assert torch.equal(found, live[1].running_var) == (buffers == "live")


def test_updates_leave_the_live_network_alone():
    live = network()
    average = AveragedGenerator(live, decay=0.5, buffers="averaged")
    for _ in updates(live):
        before = copy.deepcopy(live.state_dict())
        average.update(live)
        assert all(torch.equal(before[name], value) for name, value in live.state_dict().items())
