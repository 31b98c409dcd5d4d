"""What becomes of options that a step's path leaves out: passed over, or decayed as published."""

from __future__ import annotations

import copy

import pytest
import torch

from nasgan.contracts import Ledger
from nasgan.randomness import numpy_generator
from nasgan.state_files import load_state, save_state
from nasgan.training import SupernetTraining
from nasgan.training.updates import descend

LR, BETA1, BETA2, EPS = 0.1, 0.5, 0.9, 1e-8
#: What each step's loss reaches: b only from the third step on.
REACHED = ["a", "a", "b", "a", "ab", "a", "a", "b"]


def by_hand(zero_grad):
    """Adam's formula (Kingma and Ba 2015) for numbers with gradients 2x of x squared."""
    x, m, v, steps = {"a": 1.0, "b": -2.0}, {}, {}, {}
    for reached in REACHED:
        for name in "ab":
            if name not in reached and (zero_grad == "set_to_none" or name not in steps):
                continue
            gradient = 2 * x[name] if name in reached else 0.0
            m[name] = BETA1 * m.get(name, 0.0) + (1 - BETA1) * gradient
            v[name] = BETA2 * v.get(name, 0.0) + (1 - BETA2) * gradient**2
            t = steps[name] = steps.get(name, 0) + 1
            spread = (v[name] / (1 - BETA2**t)) ** 0.5 + EPS
            x[name] -= LR * m[name] / (1 - BETA1**t) / spread
    return x, v, steps


@pytest.mark.parametrize("zero_grad", ["set_to_none", "zero"])
def test_steps_equal_adam_by_hand(zero_grad):
    values = {"a": 1.0, "b": -2.0}
    held = {n: torch.tensor(x, dtype=torch.float64, requires_grad=True) for n, x in values.items()}
    adam = torch.optim.Adam(held.values(), LR, (BETA1, BETA2), EPS, fused=True)
    for reached in REACHED:
        descend(adam, torch.stack([held[name].square() for name in reached]).sum(), zero_grad)
    x, v, steps = by_hand(zero_grad)
    for name, value in held.items():
        state = adam.state[value]
        assert float(value.detach()) == pytest.approx(x[name], rel=1e-13)
        assert float(state["exp_avg_sq"]) == pytest.approx(v[name], rel=1e-13)
        assert int(state["step"]) == steps[name]
    assert steps == ({"a": 8, "b": 6} if zero_grad == "zero" else {"a": 6, "b": 3})


@pytest.fixture
def shared(space, images, tiny):
    def make(zero_grad):
        settings = tiny(zero_grad=zero_grad)
        cpu = torch.device("cpu")
        return SupernetTraining(space, images, settings, ledger=Ledger(), seed=0, device=cpu)

    return make


def second_moments(training):
    named = training.supernet.named_parameters()
    states = {p: s for adam in training.trainer._optimisers for p, s in adam.state.items()}
    return {name: states[p]["exp_avg_sq"].clone() for name, p in named if p in states}


@pytest.mark.parametrize(("zero_grad", "share"), [("set_to_none", 1.0), ("zero", 0.9**3)])
def test_options_that_are_not_drawn_decay_as_published(shared, space, zero_grad, share):
    training = shared(zero_grad)
    first = space.architecture(["pointwise", "convolution", "identity", "pointwise"])
    second = space.architecture(["convolution", "convolution", "identity", "pointwise"])
    training.train(lambda: first, generator_steps=2)
    name = "generator.layers.layer1.pointwise.weight"
    never = "generator.layers.layer1.convolution.weight"
    before, value = second_moments(training), dict(training.supernet.named_parameters())[name]
    assert never not in before, "what was never drawn has no moments"
    held = value.detach().clone()
    training.train(lambda: second, generator_steps=3)
    torch.testing.assert_close(second_moments(training)[name], share * before[name])
    assert torch.equal(value, held), "without a first moment it stands still"
    training.train(lambda: first, generator_steps=1)
    assert not torch.equal(value, held)


def test_an_option_drawn_again_makes_a_longer_step(shared, space):
    first = space.architecture(["pointwise", "convolution", "identity", "pointwise"])
    second = space.architecture(["convolution", "convolution", "identity", "pointwise"])
    lengths = {}
    for zero_grad in ("set_to_none", "zero"):
        training = shared(zero_grad)
        training.train(lambda: first, generator_steps=3)
        training.train(lambda: second, generator_steps=12)
        value = training.supernet.get_parameter("generator.layers.layer1.pointwise.weight")
        held = value.detach().clone()
        training.train(lambda: first, generator_steps=1)
        lengths[zero_grad] = float((value - held).detach().norm())
    assert lengths["zero"] > 1.2 * lengths["set_to_none"]


@pytest.mark.parametrize("cut", [1, 4])
def test_resuming_is_exact_with_paths_that_change(shared, space, assert_same, tmp_path, cut):
    def path():
        return space.sample(rng)

    rng = numpy_generator(0, "paths")
    whole = shared("zero")
    expected = whole.train(path, generator_steps=9)
    rng = numpy_generator(0, "paths")
    first = shared("zero")
    found = first.train(path, generator_steps=cut)
    file = save_state(tmp_path, "state", first.state_dict())
    second = shared("zero")
    second.load_state_dict(load_state(file))
    rest = second.train(path, generator_steps=9 - cut)
    assert (*found.generator, *rest.generator) == expected.generator
    assert_same(second.state_dict(), whole.state_dict())


def test_single_networks_train_alike_either_way(make_trainer, make_pair, tiny, assert_same):
    states = []
    for zero_grad in ("set_to_none", "zero"):
        trainer = make_trainer(tiny(zero_grad=zero_grad), pair=make_pair())
        for _ in range(4):
            trainer.iteration()
        states.append(copy.deepcopy(trainer.state_dict()))
    assert_same(*states)


def test_after_a_reset_nothing_decays_that_was_not_drawn_since(shared, space):
    training = shared("zero")
    first = space.architecture(["pointwise", "convolution", "identity", "pointwise"])
    second = space.architecture(["convolution", "convolution", "identity", "pointwise"])
    training.train(lambda: first, generator_steps=1)
    training.reset()
    training.train(lambda: second, generator_steps=1)
    assert "generator.layers.layer1.pointwise.weight" not in second_moments(training)
