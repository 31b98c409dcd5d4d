"""Relaxations of adversarial search against independent formulas, and its temperatures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nasgan.errors import ConfigError
from nasgan_strategies.adversarial.relaxation import (
    TemperatureSchedule,
    check_relaxation,
    relax,
    select,
)

KINDS = ("softmax", "gumbel_probabilities", "gumbel_log_probabilities", "straight_through")


def _generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _noise(shape: tuple[int, ...], seed: int = 3) -> np.ndarray:
    waits = torch.empty(shape, dtype=torch.float64).exponential_(generator=_generator(seed))
    return -np.log(waits.numpy())


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, 5.0), (1, 4.2757), (5, 2.2865), (10, 1.0456), (15, 0.4782)]
)
def test_the_temperature_takes_the_published_values(epoch: int, expected: float) -> None:
    assert TemperatureSchedule(5.0, 0.1, 25).at(epoch) == pytest.approx(expected, abs=5e-5)


def test_the_temperature_ends_just_above_its_limit_and_never_falls_below() -> None:
    schedule = TemperatureSchedule(5.0, 0.1, 25)
    assert schedule.at(20) == pytest.approx(0.2187, abs=5e-5)
    assert schedule.at(24) == pytest.approx(0.1169, abs=5e-5)
    assert schedule.at(25) == schedule.at(1000) == 0.1


@pytest.mark.parametrize(
    ("tau_max", "tau_min", "epochs", "message"),
    [
        (5.0, 0.0, 25, "tau_min must be above 0"),
        (5.0, -0.1, 25, "tau_min must be above 0"),
        (5.0, math.nan, 25, "tau_min must be above 0"),
        (0.05, 0.1, 25, "at least tau_min"),
        (-1.0, 0.1, 25, "at least tau_min"),
        (math.inf, 0.1, 25, "at least tau_min"),
        (5.0, 0.1, 0, "temperature_epochs must be at least 1"),
    ],
)
def test_impossible_temperatures_are_refused(
    tau_max: float, tau_min: float, epochs: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        TemperatureSchedule(tau_max, tau_min, epochs)


def test_an_unknown_relaxation_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="_log_probabilities, straight_through, got 'sofmax"):
        check_relaxation("sofmax")


def test_softmax_takes_no_noise_and_no_temperature() -> None:
    logits = torch.randn((4, 7), dtype=torch.float64, generator=_generator())
    noise = _generator()
    before = noise.get_state()
    weights = relax(logits, "softmax", 0.1, noise)
    np.testing.assert_allclose(weights.numpy(), _softmax(logits.numpy()), rtol=1e-12)
    assert torch.equal(noise.get_state(), before)


@pytest.mark.parametrize("kind", ["gumbel_probabilities", "gumbel_log_probabilities"])
@pytest.mark.parametrize("temperature", [5.0, 0.3])
def test_the_noise_is_added_to_what_the_name_says(kind: str, temperature: float) -> None:
    logits = 2 * torch.randn((5, 6), dtype=torch.float64, generator=_generator(1))
    p = _softmax(logits.numpy())
    location = p if kind == "gumbel_probabilities" else np.log(p)
    expected = _softmax((location + _noise((5, 6))) / temperature)
    weights = relax(logits, kind, temperature, _generator())
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-11)


def test_on_probabilities_even_a_certain_option_leads_in_31_percent_of_the_draws_only() -> None:
    logits = torch.zeros((40_000, 7), dtype=torch.float64)
    logits[:, 2] = 60.0
    leading = relax(logits, "gumbel_probabilities", 0.1, _generator()).argmax(dim=1)
    share = float((leading == 2).double().mean())
    assert share == pytest.approx(math.e / (math.e + 6), abs=0.01)


@pytest.mark.parametrize("kind", ["gumbel_log_probabilities", "straight_through"])
def test_on_log_probabilities_the_leading_option_follows_the_probabilities(kind: str) -> None:
    p = torch.tensor([0.5, 0.25, 0.15, 0.1], dtype=torch.float64)
    draws = relax(p.log().expand(40_000, 4), kind, 0.7, _generator()).argmax(dim=1)
    shares = torch.bincount(draws, minlength=4) / len(draws)
    torch.testing.assert_close(shares.double(), p, atol=0.01, rtol=0)


def test_a_selected_path_is_exactly_one_hot_with_the_gradient_of_the_soft_vector() -> None:
    upstream = torch.randn(6, generator=_generator(2))
    start = torch.randn((1, 6), generator=_generator(1))
    for option in range(6):
        gradients = []
        for selected in (True, False):
            logits = start.clone().requires_grad_()
            (weights,) = relax(logits, "straight_through", 0.7, _generator())
            if selected:
                weights = select(weights, option)
                assert weights.tolist() == [float(k == option) for k in range(6)]
            (weights * upstream).sum().backward()
            gradients.append(logits.grad)
        assert gradients[0].abs().sum() > 0
        torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_relaxation_carries_gradients_and_draws_rows_of_sum_one(kind: str) -> None:
    logits = torch.zeros((3, 5), requires_grad=True)
    noise = _generator()
    first, second = (relax(logits, kind, 1.0, noise) for _ in range(2))
    torch.testing.assert_close(first.sum(dim=1), torch.ones(3))
    assert torch.equal(first, second) == (kind == "softmax")
    first[:, 0].sum().backward()
    assert logits.grad is not None
