"""A training that is saved and loaded in the middle is bit-identical to one never stopped."""

from __future__ import annotations

import copy

import pytest
import torch

from nasgan.errors import TrainingDiverged
from nasgan.state_files import load_state, save_state
from nasgan.training import HealthSettings

HEALTH = HealthSettings(check_every=4)


@pytest.mark.parametrize("cut", [0, 1, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema_buffers": "averaged", "horizontal_flip": True, "n_critic": 3},
        {"loss": "wasserstein_gp", "ema_decay": None},
        {"lr_decay": "linear", "lr_generator": 0.01},
        {"precision": "bf16"},
    ],
    ids=lambda changes: " ".join(changes) or "defaults",
)
def test_resuming_is_exact(make_trainer, tiny, assert_same, tmp_path, cut, changes):
    settings = tiny(health=HEALTH, **changes)
    whole = make_trainer(settings, total_generator_steps=9)
    expected = [whole.iteration() for _ in range(9)]
    first = make_trainer(settings, total_generator_steps=9)
    found = [first.iteration() for _ in range(cut)]
    path = save_state(tmp_path, "state", first.state_dict())
    second = make_trainer(settings, total_generator_steps=9)
    second.iteration()  # whatever it did before is gone
    second.load_state_dict(load_state(path))
    assert second.generator_steps == cut
    found += [second.iteration() for _ in range(9 - cut)]
    assert_same(found, expected)
    assert_same(second.state_dict(), whole.state_dict())


def test_the_health_monitor_resumes_between_its_looks(make_trainer, tiny):
    """Collapse is told at the same step whether or not the run was parted before."""
    settings = tiny(
        health=HealthSettings(check_every=4, min_variation=1e9, patience=6), lr_generator=1e-4
    )
    first = make_trainer(settings)
    for _ in range(5):
        first.iteration()
    second = make_trainer(settings)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(2):
        second.iteration()
    with pytest.raises(TrainingDiverged, match="collapsed") as caught:
        second.iteration()
    assert caught.value.generator_step == 6
    assert second.generator_steps == 8  # the look after it


def test_trainings_of_one_seed_agree_and_others_do_not(make_trainer, tiny, assert_same):
    states = []
    for seed in (3, 3, 4):
        trainer = make_trainer(tiny(), seed=seed)
        torch.manual_seed(len(states))  # the global generator plays no part
        trainer.iteration()
        states.append(trainer.state_dict())
    assert_same(states[0], states[1])
    a, b = (state["generator"]["start.0.weight"] for state in states[1:])
    assert not torch.equal(a, b)


def test_training_leaves_the_global_generator_alone(make_trainer, tiny):
    trainer = make_trainer(tiny(horizontal_flip=True))
    before = torch.random.get_rng_state()
    trainer.iteration()
    assert torch.equal(torch.random.get_rng_state(), before)
