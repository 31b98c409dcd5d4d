"""Spectral norm: the classic algorithm, two passes, joint passes, compilation."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nasgan.errors import ConfigError
from nasgan.networks import passes
from nasgan.networks.autogan_discriminator import AutoGANDiscriminator
from nasgan.networks.batched_spectral_norm import (
    PassNorms,
    layers_used_once,
    normalised_together,
    spectral_norm_layers,
)
from nasgan.networks.dcgan import DCGANDiscriminator
from nasgan.networks.sngan import SNGANDiscriminator
from nasgan.networks.spectral_norm import (
    SNConv2d,
    SNLinear,
    joint_pass_is_exact,
    sample_groups,
    scale_spectral_norms,
)


def classic(layer, plain):
    """The layer as torch's hook-based spectral norm has it, with the same state."""
    plain = nn.utils.spectral_norm(plain.double())
    plain.load_state_dict(layer.state_dict(), strict=True)
    return plain


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("passes", [1, 3])
def test_a_layer_equals_the_classic_one_and_loads_its_state(passes):
    layer = SNConv2d(3, 5, 3).double()
    layer.weight_u.copy_(F.normalize(torch.randn(5), dim=0))
    reference = classic(layer, nn.Conv2d(3, 5, 3, padding=1))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    for _ in range(passes):
        found, expected = layer(x), reference(x)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        layer.weight_orig.grad, reference.weight_orig.grad, rtol=0, atol=1e-12
    )
    for name in ("weight_u", "weight_v"):
        torch.testing.assert_close(
            getattr(layer, name), getattr(reference, name), rtol=0, atol=1e-12
        )


def test_names_are_those_of_published_checkpoints():
    names = set(SNConv2d(3, 4, 3).state_dict())
    assert names == {"weight_orig", "bias", "weight_u", "weight_v"}
    assert set(SNLinear(3, 1, bias=False).state_dict()) == {"weight_orig", "weight_u", "weight_v"}


def test_a_new_layer_is_normalised_before_any_training():
    layer = SNLinear(20, 10, bias=False).double().eval()
    sigma = torch.linalg.matrix_norm(layer.weight_orig, 2)
    effective = layer(torch.eye(20, dtype=torch.float64)).t()
    torch.testing.assert_close(effective, layer.weight_orig / sigma, rtol=0.02, atol=1e-4)


def test_evaluation_leaves_the_estimate_alone():
    layer = SNConv2d(3, 4, 3).eval()
    before = copy.deepcopy(layer.state_dict())
    layer(torch.randn(2, 3, 4, 4))
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())


def test_passes_in_either_mode_may_precede_one_backward():
    layer = SNConv2d(2, 2, 3)
    x = torch.randn(1, 2, 4, 4)
    layer.eval()
    first = layer(x)
    layer.train()
    (first + layer(x) + layer(-x)).sum().backward()
    assert layer.weight_orig.grad.isfinite().all()


def discriminators():
    kinds = (AutoGANDiscriminator, SNGANDiscriminator, DCGANDiscriminator)
    return [kind(image_size=16, channels=6) for kind in kinds]


def hinge(on_real, on_fake):
    return F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()


def perturb(network):
    """As in training, where the estimate lags behind the weights: the two sigmas differ."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))


@pytest.mark.parametrize("network", discriminators(), ids=lambda n: type(n).__name__)
@pytest.mark.parametrize("sizes", [(4, 4), (2, 5)])
def test_a_joint_pass_equals_two_passes_exactly(network, sizes):
    joint = copy.deepcopy(network).double()
    perturb(joint)
    apart = copy.deepcopy(joint)
    real = torch.randn(sizes[0], 3, 16, 16, dtype=torch.float64, requires_grad=True)
    fake = torch.randn(sizes[1], 3, 16, 16, dtype=torch.float64, requires_grad=True)

    expected = torch.cat([apart(real), apart(fake)])
    hinge(*expected.split(list(sizes))).backward()
    expected_inputs = [real.grad.clone(), fake.grad.clone()]
    real.grad = fake.grad = None
    with sample_groups(joint, sizes):
        found = joint(torch.cat([real, fake]))
    hinge(*found.split(list(sizes))).backward()

    exactly = {"rtol": 0, "atol": 1e-12}
    torch.testing.assert_close(found, expected, **exactly)
    torch.testing.assert_close([real.grad, fake.grad], expected_inputs, **exactly)
    for (name, a), (_, b) in zip(joint.named_parameters(), apart.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, **exactly, msg=lambda m, n=name: n + m)
    for a, b in zip(joint.buffers(), apart.buffers(), strict=True):
        torch.testing.assert_close(a, b, **exactly)


def test_one_iteration_for_both_halves_would_not_be_exact():
    """The test above can fail: an ordinary pass over the joined batch differs."""
    network = AutoGANDiscriminator(image_size=16, channels=6).double()
    perturb(network)
    other = copy.deepcopy(network)
    real, fake = torch.randn(2, 4, 3, 16, 16, dtype=torch.float64)
    expected = torch.cat([network(real), network(fake)])
    assert (other(torch.cat([real, fake])) - expected).abs().max() > 1e-3


def test_groups_hold_inside_the_block_only_and_must_fit_the_batch():
    layer = SNLinear(3, 1)
    with sample_groups(layer, (2, 3)):
        assert layer.groups == (2, 3)
        with pytest.raises(ConfigError, match="describe 5 samples, but the batch has 4"):
            layer(torch.zeros(4, 3))
        layer.eval()(torch.zeros(4, 3))
    assert layer.groups is None
    with pytest.raises(ConfigError, match="positive sizes"), sample_groups(layer, (2, 0)):
        pass


def test_batch_coupling_layers_rule_out_the_joint_pass():
    class MinibatchDeviation(nn.Module):
        couples_samples = True

    assert all(joint_pass_is_exact(network) for network in discriminators())
    assert joint_pass_is_exact(nn.Sequential(nn.Conv2d(3, 3, 3), nn.InstanceNorm2d(3)))
    assert not joint_pass_is_exact(DCGANDiscriminator(image_size=16, spectral_norm=False))
    for layer in [
        nn.BatchNorm2d(3),
        nn.InstanceNorm2d(3, track_running_stats=True),
        nn.Dropout(0.1),
        nn.utils.spectral_norm(nn.Conv2d(3, 3, 3)),
        nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)),
        MinibatchDeviation(),
    ]:
        assert not joint_pass_is_exact(nn.Sequential(nn.Conv2d(3, 3, 3), layer)), layer


def test_a_joint_step_compiles_as_one_graph():
    network = AutoGANDiscriminator(image_size=16, channels=4).double()
    eager = copy.deepcopy(network)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    x = torch.randn(5, 3, 16, 16, dtype=torch.float64)
    for module in (compiled, eager):
        with sample_groups(module, (2, 3)):
            module(x).square().sum().backward()
    for a, b in zip(network.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-12)
    for a, b in zip(network.buffers(), eager.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_power_iterations_keep_full_precision_under_autocast():
    layer = SNLinear(64, 64)
    reference = copy.deepcopy(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16), sample_groups(layer, (1, 1)):
        assert layer(torch.randn(2, 64)).dtype == torch.bfloat16
    reference(torch.randn(2, 64))
    reference(torch.randn(2, 64))
    assert torch.equal(layer.weight_u, reference.weight_u)


def test_gradient_penalties_differentiate_twice():
    network = SNGANDiscriminator(image_size=16, channels=3).double()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert network.linear.weight_orig.grad.isfinite().all()


@pytest.fixture
def launches_cost(monkeypatch):
    """As on an accelerator: layers of equal shape are normalised together."""
    monkeypatch.setattr(passes, "_CHEAP_LAUNCHES", ())


@pytest.mark.parametrize("network", discriminators(), ids=lambda n: type(n).__name__)
@pytest.mark.parametrize("sizes", [None, (2, 5)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_layers_normalised_together_equal_each_alone(network, sizes, layout, launches_cost):
    together = copy.deepcopy(network).double().to(memory_format=layout)
    perturb(together)
    apart = copy.deepcopy(together)
    x = torch.randn(7, 3, 16, 16, dtype=torch.float64).to(memory_format=layout)
    norms = PassNorms(together)
    for _ in range(2):
        for module, block in ((together, norms.during("pass", x)), (apart, nullcontext())):
            with sample_groups(module, sizes) if sizes else nullcontext(), block:
                module(x).square().sum().backward()
    exactly = {"rtol": 1e-12, "atol": 1e-12}
    for (name, a), (_, b) in zip(
        together.named_parameters(), apart.named_parameters(), strict=True
    ):
        torch.testing.assert_close(a.grad, b.grad, **exactly, msg=lambda m, n=name: n + m)
    for (name, a), (_, b) in zip(together.named_buffers(), apart.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, **exactly, msg=lambda m, n=name: n + m)
    assert all(layer.prepared is None for layer in spectral_norm_layers([together]))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("sizes", [None, (2, 3)])
def test_weights_get_the_scale_as_their_spectral_norm(training, sizes, launches_cost):
    together, apart = (
        nn.ModuleList([SNConv2d(3, 4, 3) for _ in range(2)]).double().train(training)
        for _ in range(2)
    )
    for network in (together, apart):
        for layer in network:
            layer.update_singular_pair(200)
        scale_spectral_norms(network, 1.7)
    grouped = [
        sample_groups(network, sizes) if sizes else nullcontext() for network in (together, apart)
    ]
    with grouped[0], normalised_together(together) if training else nullcontext():
        weights = [layer.normalised_weight(5)[0] for layer in together]
    with grouped[1]:
        weights += [layer.normalised_weight(5)[0] for layer in apart]
    for weight in weights:
        norm = torch.linalg.matrix_norm(weight.flatten(1), ord=2)
        torch.testing.assert_close(norm, norm.new_tensor(1.7), rtol=1e-6, atol=0)


def test_a_layer_that_is_not_used_keeps_its_estimate(launches_cost):
    used, other, unused = layers = [SNConv2d(3, 3, 3).double() for _ in range(3)]
    for layer in layers:
        perturb(layer)
    before, alone = copy.deepcopy(unused.state_dict()), copy.deepcopy(used)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    with normalised_together(layers):
        other(used(x))
    alone(x)
    assert all(torch.equal(before[name], value) for name, value in unused.state_dict().items())
    torch.testing.assert_close(used.weight_u, alone.weight_u, rtol=0, atol=1e-12)
    torch.testing.assert_close(used.weight_v, alone.weight_v, rtol=0, atol=1e-12)


def test_only_layers_that_a_pass_uses_once_are_normalised_together():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.once, self.twice, self.never = (SNLinear(3, 3) for _ in range(3))

        def forward(self, x):
            return self.once(self.twice(self.twice(x)))

    network = Network()
    before = copy.deepcopy(network.state_dict())
    assert layers_used_once(network, lambda: network(torch.zeros(1, 3))) == [network.once]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training


def test_on_a_cpu_each_layer_normalises_its_own():
    """The last digits of a training on a CPU do not depend on what else its network holds."""
    layers = [SNLinear(3, 3) for _ in range(2)]
    with normalised_together(layers):
        assert all(layer.prepared is None for layer in layers)


def test_weights_normalised_together_are_cast_together(launches_cost):
    """Under autocast no convolution casts its own, but where its kernel is averaged first."""
    layers = [SNConv2d(3, 3, 3) for _ in range(2)]
    averaged = [SNConv2d(3, 4, 3, pool=True) for _ in range(2)]
    with torch.autocast("cpu", torch.bfloat16), normalised_together([*layers, *averaged]):
        weights = [layer.normalised_weight(1)[0] for layer in layers]
        wide = [layer.normalised_weight(1)[0] for layer in averaged]
    assert {weight.dtype for weight in weights} == {torch.bfloat16}
    assert {weight.dtype for weight in wide} == {torch.float32}


def test_layers_are_looked_for_once_and_copies_have_their_own():
    network = nn.Sequential(SNConv2d(1, 1, 1), nn.ReLU())
    with sample_groups(network, [2, 1]):
        assert network[0].groups == (2, 1)
    copied = copy.deepcopy(network)
    network.modules = None
    with sample_groups(network, [3]), sample_groups(copied, [1, 2]):
        assert (network[0].groups, copied[0].groups) == ((3,), (1, 2))
    assert (network[0].groups, copied[0].groups) == (None, None)
    assert list(copied.state_dict()) == list(network.state_dict())
