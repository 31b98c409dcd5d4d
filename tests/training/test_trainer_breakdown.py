"""A training that breaks down says how and when, through the whole trainer."""

from __future__ import annotations

import pytest
import torch

from nasgan.errors import TrainingDiverged
from nasgan.training import HealthSettings


def broken_at(trainer, *, damage=None, before=0, most=12):
    for _ in range(before):
        trainer.iteration()
    if damage is not None:
        with torch.no_grad():
            damage(trainer)
    for _ in range(most):
        trainer.iteration()
    trainer.check_health()


def health(**settings):
    return HealthSettings(**{"check_every": 5, "patience": 3, **settings})


@pytest.mark.parametrize(
    ("settings", "damage", "reason", "step"),
    [
        (health(), lambda t: t.generator.end.weight.fill_(torch.nan), "not finite", 3),
        (health(), lambda t: t.discriminator.end.weight.fill_(torch.inf), "not finite", 3),
        (health(), lambda t: t.discriminator.end.bias.fill_(1e7), "exploded", 3),
        (health(min_loss=1e9), None, "vanished", 3),
        (health(), lambda t: t.generator.end.weight.zero_(), "collapsed", 5),
    ],
    ids=["NaN", "infinity", "explosion", "vanishing", "collapse"],
)
def test_each_breakdown_is_told(make_trainer, tiny, settings, damage, reason, step):
    trainer = make_trainer(tiny(health=settings, lr_generator=1e-7, lr_discriminator=1e-7))
    with pytest.raises(TrainingDiverged, match=reason) as caught:
        broken_at(trainer, damage=damage, before=2)
    assert caught.value.generator_step == step
    assert caught.value.reason in str(caught.value)


def test_the_end_of_a_training_is_looked_at_too(make_trainer, tiny):
    trainer = make_trainer(tiny(health=health(check_every=1000)))
    trainer.iteration()
    with torch.no_grad():
        trainer.generator.end.weight.fill_(torch.nan)
    trainer.iteration()
    with pytest.raises(TrainingDiverged) as caught:
        trainer.check_health()
    assert caught.value.generator_step == 2


def test_a_healthy_training_is_left_alone(make_trainer, tiny):
    broken_at(make_trainer(tiny(health=health())))
