"""Each way of breaking down is told, with its step and its reason."""

from __future__ import annotations

import math

import pytest
import torch

from nasgan.errors import ConfigError, TrainingDiverged
from nasgan.training import HealthSettings
from nasgan.training.health import HealthMonitor

GOOD = (1.0, 0.5, 0.3)


def watch(rows, **settings):
    """Observe rows of (discriminator loss, generator loss, variation)."""
    monitor = HealthMonitor(HealthSettings(**{"check_every": 4, "patience": 3, **settings}))
    for step, row in enumerate(rows, 1):
        monitor.observe(step, *(torch.tensor(value) for value in row))
    monitor.check(len(rows))
    return monitor


@pytest.mark.parametrize("step", [1, 4, 5, 7])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ((math.nan, 0.5, 0.3), "discriminator's loss is not finite"),
        ((1.0, math.inf, 0.3), "generator's loss is not finite"),
        ((1.0, 0.5, math.nan), "generated images are not finite"),
        ((2e4, 0.5, 0.3), r"discriminator's loss exploded \(2e\+04, limit 10000\)"),
        ((1.0, -2e4, 0.3), "generator's loss exploded"),
    ],
)
def test_one_bad_step_is_told_with_its_number(bad, reason, step):
    with pytest.raises(TrainingDiverged, match=reason) as caught:
        watch([*[GOOD] * (step - 1), bad, GOOD, GOOD])
    assert caught.value.generator_step == step
    assert f"at generator step {step}" in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [((0.0, 0.5, 0.3), "loss vanished"), ((1.0, 0.5, 1e-4), "images collapsed into one")],
)
def test_vanishing_and_collapse_count_once_they_last(bad, reason):
    watch([GOOD, bad, bad, GOOD, bad, bad, GOOD])
    with pytest.raises(TrainingDiverged, match=reason) as caught:
        watch([GOOD, bad, bad, GOOD, bad, bad, bad, bad])
    assert caught.value.generator_step == 7


def test_a_good_training_passes():
    watch([GOOD] * 30)
    watch([(-3.0, -5.0, 0.3)] * 30)  # Wasserstein losses have any sign


@pytest.mark.parametrize("cut", range(9))
def test_a_monitor_continues_from_its_state(cut):
    bad = (0.0, 0.5, 1e-4)
    rows = [GOOD, GOOD, GOOD, bad, bad, GOOD, bad, bad, bad]
    first = HealthMonitor(HealthSettings(check_every=100, patience=3))
    for step, row in enumerate(rows[:cut], 1):
        first.observe(step, *(torch.tensor(value) for value in row))
    if cut == 5:
        first.check(cut)  # with counters instead of pending numbers
    second = HealthMonitor(HealthSettings(check_every=100, patience=3))
    second.load_state_dict(first.state_dict())
    for step, row in enumerate(rows[cut:], cut + 1):
        second.observe(step, *(torch.tensor(value) for value in row))
    with pytest.raises(TrainingDiverged, match="vanished") as caught:
        second.check(len(rows))
    assert caught.value.generator_step == 9


@pytest.mark.parametrize("limit", ["max_loss", "min_loss", "min_variation"])
def test_a_limit_of_null_ends_nothing_but_what_is_not_finite_does(limit):
    bad = {"max_loss": (9e9, -9e9, 0.3), "min_loss": (0.0, 0.5, 0.3), "min_variation": (1, 1, 0.0)}
    with pytest.raises(TrainingDiverged):
        watch([bad[limit]] * 5)
    watch([bad[limit]] * 5, **{limit: None})
    with pytest.raises(TrainingDiverged, match="not finite") as caught:
        watch([bad[limit], bad[limit], (math.nan, 0.5, 0.3)], **{limit: None})
    assert caught.value.generator_step == 3


def test_limits_that_do_not_end_a_training_are_told_once(caplog):
    monitor = HealthMonitor(HealthSettings(check_every=1, patience=3), limits_end=False)
    for step in range(1, 4):
        monitor.observe(step, *map(torch.tensor, (0.0, 0.5, 0.3)))
    assert "generator step 3: the discriminator's loss vanished" in caplog.text
    caplog.clear()
    again = HealthMonitor(HealthSettings(check_every=1, patience=3), limits_end=False)
    again.load_state_dict(monitor.state_dict())
    again.observe(4, *map(torch.tensor, (0.0, 0.5, 0.3)))
    assert not caplog.text
    with pytest.raises(TrainingDiverged, match="not finite"):
        again.observe(5, *map(torch.tensor, (0.0, math.inf, 0.3)))


def test_looking_twice_changes_nothing():
    monitor = watch([GOOD] * 3)
    before = monitor.state_dict()
    monitor.check(3)
    assert monitor.state_dict() == before


@pytest.mark.parametrize(
    "settings", [{"check_every": 0}, {"patience": 0}, {"max_loss": 0.0}, {"max_loss": math.nan}]
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=r"trainer\.health"):
        HealthSettings(**settings)
