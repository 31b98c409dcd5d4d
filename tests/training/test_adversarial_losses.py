"""Every loss against an independent formula in float64."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

from nasgan.errors import ConfigError, UnknownNameError
from nasgan.registry import LOSSES, plugins
from nasgan.training import TrainerSettings
from nasgan.training.losses import gradient_penalty, slope_penalty

NAMES = [plugin.name for plugin in plugins(LOSSES) if plugin.distribution == "nasgan"]

REAL = np.array([-3.0, -1.0, 0.2, 1.0, 1.7, 40.0])
FAKE = np.array([-50.0, -1.2, -1.0, 0.0, 0.9, 4.0])


def log1p_exp(x):
    return np.array([max(v, 0.0) + math.log1p(math.exp(-abs(v))) for v in x])


def distance(a, b):
    """Squared, of two numbers or two vectors."""
    return float(np.sum((np.asarray(a) - np.asarray(b)) ** 2))


def gauss(d):
    return math.exp(-d / 2)


def mean_of_pairs(values, kernel):
    """Over all pairs of different samples."""
    return np.mean([kernel(distance(a, b)) for a, b in permutations(values, 2)])


FORMULAS = {
    "hinge": (
        lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
        lambda f: -f.mean(),
    ),
    "non_saturating": (  # -log D(x) - log(1 - D(G(z))) and -log D(G(z)), D = 1 / (1 + exp(-logit))
        lambda r, f: log1p_exp(-r).mean() + log1p_exp(f).mean(),
        lambda f: log1p_exp(-f).mean(),
    ),
    "least_squares": (
        lambda r, f: 0.5 * np.square(r - 1).mean() + 0.5 * np.square(f).mean(),
        lambda f: 0.5 * np.square(f - 1).mean(),
    ),
    "wasserstein_gp": (lambda r, f: f.mean() - r.mean(), lambda f: -f.mean()),
    "mmd_repulsive": (
        lambda r, f: (
            mean_of_pairs(r, lambda d: math.exp(-min(d, 4) / 2))
            - mean_of_pairs(f, lambda d: math.exp(-max(d, 0.25) / 2))
        ),
        lambda f: (
            mean_of_pairs(REAL, gauss)
            + mean_of_pairs(f, gauss)
            - 2 * np.mean([gauss(distance(a, b)) for a in REAL for b in f])
        ),
    ),
    "relativistic_hinge": (
        lambda r, f: (
            sum(max(0, 1 - (x - sum(f) / len(f))) for x in r) / len(r)
            + sum(max(0, 1 + (x - sum(r) / len(r))) for x in f) / len(f)
        ),
        lambda f: (
            sum(max(0, 1 - (x - sum(REAL) / len(REAL))) for x in f) / len(f)
            + sum(max(0, 1 + (x - sum(f) / len(f))) for x in REAL) / len(REAL)
        ),
    ),
}


def named(name):
    return TrainerSettings(loss=name).make_loss()


def column(values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


@pytest.mark.parametrize("name", NAMES)
def test_losses_equal_their_formulas(name):
    discriminator, generator = FORMULAS[name]
    loss = named(name)
    assert loss.discriminator(column(REAL), column(FAKE)).item() == pytest.approx(
        discriminator(REAL, FAKE), rel=1e-14
    )
    assert loss.generator(column(FAKE), column(REAL)).item() == pytest.approx(
        generator(FAKE), rel=1e-14
    )


def test_every_loss_has_a_formula_here():
    assert set(FORMULAS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name):
    real, fake = column(REAL[2:]).requires_grad_(), column([-1.2, -0.4, 0.9]).requires_grad_()
    real = (real.detach() + 0.013).requires_grad_()  # off the hinge's corner
    loss = named(name)
    assert torch.autograd.gradcheck(loss.discriminator, (real, fake))
    assert torch.autograd.gradcheck(lambda x: loss.generator(x, real.detach()), (fake,))


def test_the_repulsive_loss_is_of_vectors_with_widths_and_bounds_of_its_own():
    random = np.random.default_rng(0)
    real, fake = random.standard_normal((5, 3)), random.standard_normal((7, 3))
    settings = {"outputs": 3, "sigma": 0.7, "lower": 0.5, "upper": 2.0}
    loss = TrainerSettings(loss="mmd_repulsive", loss_settings=settings).make_loss()
    assert loss.outputs == 3

    def kernel(d):
        return math.exp(-d / (2 * 0.7**2))

    expected = mean_of_pairs(real, lambda d: kernel(min(d, 2.0)))
    expected -= mean_of_pairs(fake, lambda d: kernel(max(d, 0.5)))
    own, generated = torch.from_numpy(real), torch.from_numpy(fake)
    assert loss.discriminator(own, generated).item() == pytest.approx(expected, rel=1e-12)
    between = np.mean([kernel(distance(a, b)) for a in real for b in fake])
    expected = mean_of_pairs(real, kernel) + mean_of_pairs(fake, kernel) - 2 * between
    assert loss.generator(generated, own).item() == pytest.approx(expected, rel=1e-12)


def test_the_repulsive_loss_pushes_real_vectors_apart_and_pulls_generated_ones_together():
    ends = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    real, fake = ends.clone().requires_grad_(), ends.clone().requires_grad_()
    named("mmd_repulsive").discriminator(real, fake).backward()
    assert real.grad[1, 0] < 0  # downhill is away from the other
    assert fake.grad[1, 0] > 0  # and here towards it


@pytest.mark.parametrize(("apart", "which"), [(2.5, "real"), (0.3, "fake")])
def test_beyond_its_bounds_the_repulsive_loss_lets_go(apart, which):
    ends = torch.tensor([[0.0, 0.0], [apart, 0.0]], dtype=torch.float64)
    real, fake = ends.clone().requires_grad_(), ends.clone().requires_grad_()
    named("mmd_repulsive").discriminator(real, fake).backward()
    still, moved = (real, fake) if which == "real" else (fake, real)
    assert not still.grad.any()
    assert moved.grad.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"outputs": 1}, "outputs must be at least 2"),
        ({"sigma": 0.0}, "sigma must be greater than 0"),
        ({"lower": 4.0}, "lower must be below upper, got 4 and 4"),
    ],
)
def test_settings_of_the_repulsive_loss_are_checked(settings, message):
    with pytest.raises(ConfigError, match=rf"trainer\.loss_settings.*{message}"):
        TrainerSettings(loss="mmd_repulsive", loss_settings=settings)


@pytest.mark.parametrize("name", ["r1_penalty", "r2_penalty"])
def test_slopes_are_of_one_logit(name):
    with pytest.raises(ConfigError, match=rf"trainer\.{name} .*mmd_repulsive has 16 outputs"):
        TrainerSettings(loss="mmd_repulsive", **{name: 1.0})


def test_the_hinge_ignores_what_is_already_right():
    real, fake = column([1.5, 0.5]).requires_grad_(), column([-1.5, -0.5]).requires_grad_()
    named("hinge").discriminator(real, fake).backward()
    assert real.grad.flatten().tolist() == [0.0, -0.5]
    assert fake.grad.flatten().tolist() == [0.0, 0.5]


@pytest.fixture
def critic():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(48, 1)
    ).double()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    real, fake = (torch.randn(5, 1, 4, 4, generator=generator).double() for _ in range(2))
    return real, fake, torch.rand(5, 1, 1, 1, generator=generator).double()


def numeric_penalty(critic, real, fake, mix, step=1e-5):
    """Slopes by central differences, pixel by pixel."""
    penalties = []
    for r, f, share in zip(real, fake, mix, strict=True):
        x = share * r + (1 - share) * f
        slope = []
        for k in range(x.numel()):
            shift = torch.zeros(x.numel(), dtype=torch.float64)
            shift[k] = step
            shift = shift.reshape(x.shape)
            with torch.no_grad():
                rise = critic((x + shift)[None]) - critic((x - shift)[None])
            slope.append(rise.item() / (2 * step))
        penalties.append((math.sqrt(sum(s**2 for s in slope)) - 1) ** 2)
    return sum(penalties) / len(penalties)


def test_the_gradient_penalty_equals_finite_differences(critic, batch):
    found = gradient_penalty(critic, *batch).item()
    assert found == pytest.approx(numeric_penalty(critic, *batch), rel=1e-7)


def test_the_penaltys_own_gradient_equals_finite_differences(critic, batch):
    gradient_penalty(critic, *batch).backward()
    weight = critic[0].weight
    expected = weight.grad.flatten()[4].item()
    values = []
    for shift in (1e-5, -1e-5):
        with torch.no_grad():
            weight.flatten()[4].add_(shift)
        values.append(gradient_penalty(critic, *batch).item())
        with torch.no_grad():
            weight.flatten()[4].sub_(shift)
    assert expected == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)


def test_a_critic_of_slope_one_costs_nothing():
    def slope_one(x):
        return x.flatten(1).sum(1, keepdim=True) / 4  # 16 pixels: |gradient| = sqrt(16) / 4

    real, fake = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    assert gradient_penalty(slope_one, real, fake, torch.zeros(2, 1, 1, 1)).item() == 0.0


def test_the_slope_penalty_equals_finite_differences(critic, batch):
    real, _, _ = batch
    squares = []
    for image in real:
        slope = []
        for k in range(image.numel()):
            shift = torch.zeros(image.numel(), dtype=torch.float64)
            shift[k] = 1e-5
            shift = shift.reshape(image.shape)
            with torch.no_grad():
                rise = critic((image + shift)[None]) - critic((image - shift)[None])
            slope.append(rise.item() / 2e-5)
        squares.append(sum(s**2 for s in slope))
    expected = 0.5 * sum(squares) / len(squares)
    assert slope_penalty(critic, real).item() == pytest.approx(expected, rel=1e-7)


def test_an_unknown_loss_is_answered_with_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"unknown trainer\.loss 'hing'\. Did you mean 'hinge'"
    ):
        TrainerSettings(loss="hing")


def test_a_losses_own_settings_are_checked():
    with pytest.raises(ConfigError, match=r"trainer\.loss_settings"):
        TrainerSettings(loss="hinge", loss_settings={"margin": 2.0})


@pytest.mark.parametrize("name", ["gradient_penalty", "r1_penalty", "r2_penalty"])
def test_weights_of_penalties_are_not_negative(name):
    with pytest.raises(ConfigError, match=f"trainer.{name} must be at least 0"):
        TrainerSettings(**{name: -1.0})
