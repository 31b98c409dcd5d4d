"""Whole training steps on a device without numbers: nothing of the host is mixed in, nothing read.

What `benchmarks/operators.py` measures: a device path that mixes devices, looks at a value inside a
step or launches much more than before fails here, without an accelerator.
"""

from __future__ import annotations

import copy

import pytest
import torch

from benchmarks.operators import (
    CASES,
    DEVICE,
    DerivedNetworks,
    OperatorCount,
    counted,
    derived_step,
    gap_step,
    make_space,
    make_trainer,
    path_step,
    repeatable,
    soft_step,
)
from nasgan.contracts import Ledger
from nasgan.networks import passes
from nasgan.networks.batched_spectral_norm import layers_used_once, spectral_norm_layers
from nasgan.randomness import numpy_generator
from nasgan.registry import LOSSES, plugins
from nasgan.training.charged import ChargedTrainer
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace
from nasgan_search_spaces.agan.space import AGANSpace
from nasgan_search_spaces.autogan.published import AUTOGAN_A
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_search_spaces.baselines.space import BaselinesSpace

EVERY_SPACE = [AutoGANSpace, AdversarialNASSpace, AGANSpace, BaselinesSpace]
by_name = pytest.mark.parametrize("kind", EVERY_SPACE, ids=lambda kind: kind.__name__)


@pytest.mark.parametrize(
    ("case", "least", "most"),
    [
        ("autogan_a", 2_000, 2_400),
        ("agan, path", 7_500, 9_000),
        ("adversarial_nas, soft", 10_000, 13_000),
    ],
)
def test_a_step_launches_no_more_than_it_did(case, least, most):
    """By the algorithms that repeat, which are the default."""
    with repeatable():
        assert least < counted(CASES[case]()).total <= most


def test_algorithms_that_repeat_cost_a_step_few_operators():
    def total():
        space = make_space(AutoGANSpace, 16)
        return counted(derived_step(space, AUTOGAN_A, n_critic=1)).total

    fastest = total()
    with repeatable():
        assert fastest < total() <= 1.01 * fastest


@by_name
def test_a_step_of_an_architecture_stays_on_the_device(kind):
    space = make_space(kind, 16)
    architecture = space.sample(numpy_generator(0, "architecture"))
    count = counted(derived_step(space, architecture, n_critic=1))
    assert (count.copies, count.reads) == (0, 0)


@pytest.mark.parametrize("loss", [plugin.name for plugin in plugins(LOSSES)])
def test_a_step_with_every_loss_stays_on_the_device(loss):
    space = make_space(AutoGANSpace, 16)
    architecture = space.sample(numpy_generator(0, "architecture"))
    count = counted(derived_step(space, architecture, loss=loss, n_critic=1))
    assert (count.copies, count.reads) == (0, 0)


def test_an_augmented_step_stays_on_the_device():
    space = make_space(AutoGANSpace, 16)
    architecture = space.sample(numpy_generator(0, "architecture"))
    count = counted(derived_step(space, architecture, augmentation="diffaugment", n_critic=1))
    assert (count.copies, count.reads) == (0, 0)


#: Recorded, with a margin of a few percent.
MOST_ALONG_A_PATH = {
    AutoGANSpace: 700,
    AdversarialNASSpace: 1_050,
    AGANSpace: 1_950,
    BaselinesSpace: 700,
}


@by_name
def test_a_step_along_a_path_stays_on_the_device(kind):
    count = counted(path_step(make_space(kind, 16), n_critic=1))
    assert (count.copies, count.reads) == (0, 0)
    assert count.total <= MOST_ALONG_A_PATH[kind]


def test_a_bilevel_step_stays_on_the_device():
    count = counted(
        soft_step(make_space(AdversarialNASSpace, 16), "gumbel_probabilities", n_critic=1)
    )
    assert (count.copies, count.reads) == (0, 0)
    assert count.total <= 3_750


def test_a_bilevel_step_along_paths_crosses_over_once_a_pass_that_learns():
    """The logits are on the host, which has to know the path of each pass.

    Of the passes of a loss of the architecture (two of the discriminator, one of the generator)
    what scales the chosen operations goes in, in one copy each, and its gradient comes out.
    """
    count = counted(soft_step(make_space(AdversarialNASSpace, 16), "straight_through", n_critic=1))
    assert (count.copies, count.reads) == (3, 3)
    assert count.total <= 2_050


@pytest.mark.parametrize(
    "kind", [AutoGANSpace, AdversarialNASSpace, BaselinesSpace], ids=lambda kind: kind.__name__
)
def test_a_step_down_the_duality_gap_stays_on_the_device(kind):
    count = counted(gap_step(make_space(kind, 16)))
    assert count.total > 0
    assert (count.copies, count.reads) == (0, 0)


def test_a_generator_step_down_a_loss_of_ones_own_stays_on_the_device():
    space = make_space(AutoGANSpace, 16)
    pair = DerivedNetworks(space, space.sample(numpy_generator(0, "architecture")))
    training = ChargedTrainer(make_trainer(pair, space), space, Ledger())

    def step():
        latents = torch.zeros(2, space.network.latent_dim, device=DEVICE)
        training.update_generator(training.generator(latents).square().mean())

    count = counted(step)
    assert (count.copies, count.reads) == (0, 0)


def test_what_would_go_wrong_is_seen():
    device, host = torch.ones(3, device=DEVICE), torch.ones(3)
    with OperatorCount(), pytest.raises((AssertionError, RuntimeError), match="device"):
        device + host
    with OperatorCount(), pytest.raises(RuntimeError, match="meta"):
        device.sum().item()
    with OperatorCount() as count:
        device.copy_(host)
        (device * 2).to("cpu")
    assert (count.copies, count.reads, count.total) == (1, 1, 3)


@pytest.mark.parametrize("kind", [AdversarialNASSpace, AGANSpace], ids=lambda kind: kind.__name__)
def test_the_layers_of_a_path_are_those_that_its_pass_uses(kind, monkeypatch):
    monkeypatch.setattr(passes, "_CHEAP_LAUNCHES", ())
    space = kind(image_size=16, generator_channels=4, discriminator_channels=4, latent_dim=6)
    network = space.build_supernet().discriminator.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    rng = numpy_generator(0, "paths")
    x = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    for _ in range(4):
        weights = space.one_hot(space.sample(rng)).discriminator
        used = layers_used_once(network, lambda w=weights: network(x, w))
        apart = copy.deepcopy(network)
        expected = _apart(apart, x, weights, monkeypatch)
        before = {layer: layer.weight_u.clone() for layer in spectral_norm_layers([network])}
        torch.testing.assert_close(network(x, weights), expected, rtol=1e-10, atol=1e-12)
        moved = {layer for layer, u in before.items() if not torch.equal(layer.weight_u, u)}
        # The one row of a last linear layer has nothing to move to.
        assert moved == {layer for layer in used if len(layer.weight_u) > 1}
        for (name, a), (_, b) in zip(network.named_buffers(), apart.named_buffers(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12, msg=lambda m, n=name: n + m)


def _apart(network, x, weights, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(passes, "_CHEAP_LAUNCHES", ("cpu",))
        return network(x, weights)
