"""The supernet along sampled paths: exact costs, budgets, resuming, growth."""

from __future__ import annotations

import copy

import pytest
import torch

from nasgan.contracts import Budget, Ledger
from nasgan.data import load_digits
from nasgan.errors import BudgetExhausted, TrainingDiverged
from nasgan.randomness import numpy_generator
from nasgan.training import HealthSettings, SupernetTraining
from nasgan_search_spaces.autogan.space import AutoGANSpace

PER_STEP = 2 * 2 * 4 + 6  # images of a generator step and its two discriminator steps


@pytest.fixture
def shared(space, images, tiny):
    """Makes the shared weights of a run: ``shared(generator_steps=5)``."""

    def make(*, health=None, **limits):
        settings = tiny(**({"health": health} if health else {}))
        ledger = Ledger(Budget(**limits))
        cpu = torch.device("cpu")
        return ledger, SupernetTraining(space, images, settings, ledger=ledger, seed=0, device=cpu)

    return make


@pytest.fixture
def path(space):
    rng = numpy_generator(0, "paths")
    return lambda: space.sample(rng)


def test_every_step_is_charged(shared, path):
    ledger, training = shared()
    losses = training.train(path, generator_steps=3)
    training.train(path, generator_steps=2)
    spent = ledger.spent("search")
    assert (spent.generator_steps, spent.images, spent.architectures) == (5, 5 * PER_STEP, 0)
    assert spent.device_seconds > 0
    assert training.generator_steps == 5
    assert set(losses.means) == {"loss_generator", "loss_discriminator"}
    assert ledger.spent("final").images == 0


def test_one_path_for_each_discriminator_step(shared, path):
    drawn = []
    _, training = shared()
    training.train(lambda: drawn.append(path()) or drawn[-1], generator_steps=3)
    assert len(drawn) == 6


def test_only_the_drawn_options_move(shared, space):
    _, training = shared()
    architecture = space.architecture(["pointwise", "convolution", "identity", "pointwise"])
    before = {k: v.clone() for k, v in training.supernet.state_dict().items()}
    training.train(lambda: architecture, generator_steps=2)
    moved = {k for k, v in training.supernet.state_dict().items() if not torch.equal(v, before[k])}
    layers = {name.split(".weight")[0] for name in moved if "layers" in name and "weight" in name}
    assert layers == {
        "generator.layers.layer1.pointwise",
        "generator.layers.layer2.convolution",
        "discriminator.layers.critic.pointwise",
    }


@pytest.mark.parametrize(
    ("limits", "steps", "unit"),
    [
        ({"generator_steps": 5}, 5, "generator_steps"),
        ({"images": 3 * PER_STEP}, 3, "images"),
        ({"images": 3 * PER_STEP + 1}, 4, "images"),  # the step that passes the limit is whole
        ({"images": 100 * PER_STEP, "generator_steps": 2}, 2, "generator_steps"),
    ],
)
def test_the_budget_ends_the_training_exactly(shared, path, limits, steps, unit):
    ledger, training = shared(**limits)
    training.train(path, generator_steps=1)
    training.train(path, generator_steps=50)
    with pytest.raises(BudgetExhausted) as caught:
        training.train(path, generator_steps=1)
    assert caught.value.unit == unit
    assert training.generator_steps == ledger.spent().generator_steps == steps
    assert ledger.spent().images == steps * PER_STEP


def test_the_limits_of_trainings_do_not_end_a_search(shared, path, caplog):
    """AutoGAN's figure 9 shows a search that goes on with a discriminator's loss of 0."""
    health = HealthSettings(check_every=1, patience=1, max_loss=1e-6, min_loss=1e9)
    _, training = shared(health=health)
    training.train(path, generator_steps=20)
    assert training.generator_steps == 20
    assert caplog.text.count("the training goes on") == 1
    training.reset()
    training.train(path, generator_steps=1)
    assert training.generator_steps == 21


def test_numbers_that_are_not_finite_end_the_piece_in_which_they_are(shared, path):
    _, training = shared()
    training.train(path, generator_steps=2)
    with torch.no_grad():
        training.supernet.generator.end.weight.fill_(torch.nan)
    with pytest.raises(TrainingDiverged) as caught:
        training.train(path, generator_steps=3)
    assert caught.value.generator_step == 3
    assert training.generator_steps == 5


def test_a_training_that_breaks_down_is_charged_what_it_did(shared, path):
    ledger, training = shared(health=HealthSettings(check_every=1))
    with torch.no_grad():
        training.supernet.generator.end.weight.fill_(torch.nan)
    with pytest.raises(TrainingDiverged):
        training.train(path, generator_steps=50)
    assert ledger.spent().generator_steps == training.generator_steps == 1
    assert ledger.spent().images == PER_STEP


@pytest.mark.parametrize("cut", [0, 3])
def test_resuming_is_exact(shared, space, assert_same, cut):
    def train(training, steps, rng):
        return training.train(lambda: space.sample(rng), generator_steps=steps)

    rng = numpy_generator(0, "paths")
    _, whole = shared()
    if cut:
        train(whole, cut, rng)
    position = rng.bit_generator.state
    _, resumed = shared()
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    expected = train(whole, 4, rng)
    again = numpy_generator(0, "paths")
    again.bit_generator.state = position
    assert_same(train(resumed, 4, again), expected)
    assert_same(resumed.state_dict(), whole.state_dict())


def test_the_supernet_depends_on_the_seed_alone(shared, assert_same):
    torch.manual_seed(1)
    first = shared()[1].state_dict()
    torch.manual_seed(2)
    assert_same(shared()[1].state_dict(), first)


def test_growing_networks_train_at_each_stages_size(tiny):
    space = AutoGANSpace(
        image_size=16,
        image_channels=1,
        generator_channels=4,
        discriminator_channels=4,
        latent_dim=4,
    )
    ledger = Ledger()
    training = SupernetTraining(
        space, load_digits().train, tiny(), ledger=ledger, seed=0, device=torch.device("cpu")
    )
    sizes = []
    training.supernet.discriminator.register_forward_pre_hook(
        lambda _module, inputs: sizes.append(inputs[0].shape[-1])
    )
    rng = numpy_generator(0, "paths")
    for stage, size in enumerate((4, 8, 16)):
        sizes.clear()
        losses = training.train(lambda: space.sample(rng), generator_steps=2, stage=stage)
        assert set(sizes) == {size} == {space.stage_image_size(stage)}
        assert all(abs(loss) < 100 for loss in losses.means.values())
    assert ledger.spent().generator_steps == 6
