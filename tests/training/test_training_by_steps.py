"""The supernet trained by a strategy's own iteration: gradients, costs, and what is refused."""

from __future__ import annotations

import pytest
import torch

from nasgan.contracts import Budget, DrawnWeights, HalfWeights, Ledger, TrainingSteps
from nasgan.data import ImageSet
from nasgan.errors import BudgetExhausted, ConfigError
from nasgan.factory import make_search_space
from nasgan.randomness import numpy_generator
from nasgan.training import SupernetTraining


@pytest.fixture
def shared(space, images, tiny):
    """Makes the shared weights of a run: ``shared(generator_steps=5)``."""

    def make(*, joint=False, **limits):
        ledger = Ledger(Budget(**limits))
        settings = tiny(joint_discriminator_pass=joint)
        cpu = torch.device("cpu")
        return ledger, SupernetTraining(space, images, settings, ledger=ledger, seed=0, device=cpu)

    return make


@pytest.fixture
def vectors(space):
    """Even weights of both halves, with gradients."""

    def half(part):
        counts = [len(d.options) for d in space.part_decisions(part)]
        return [torch.full((k,), 1 / k).requires_grad_() for k in counts]

    return HalfWeights(half("generator"), half("discriminator"))


def _plain(weights):
    """The trainer's own iteration, in steps."""

    def iteration(steps: TrainingSteps) -> None:
        for critic_step in range(steps.n_critic):
            now = weights()
            (real,) = steps.real_images()
            steps.update_discriminator(steps.discriminator_loss(real, now))
            if critic_step == 0:
                steps.update_generator(steps.generator_loss(now))

    return iteration


def test_the_steps_of_the_trainer_give_the_trainers_result_bit_by_bit(shared, space):
    def path():
        rng = numpy_generator(0, "paths")
        return lambda: space.sample(rng)

    _, training = shared()
    draw = path()
    losses = training.train_by(_plain(lambda: space.one_hot(draw())), generator_steps=4)
    state = training.state_dict()["trainer"]
    _, other = shared()
    expected_losses = other.train(path(), generator_steps=4)
    expected = other.state_dict()["trainer"]
    assert losses.means == pytest.approx(expected_losses.means)
    for network in ("generator", "discriminator"):
        for name, value in expected[network].items():
            assert torch.equal(state[network][name], value), name
    assert torch.equal(state["latents"], expected["latents"])
    assert state["batches"] == expected["batches"]
    assert state["generator_steps"] == 4


@pytest.mark.parametrize("network", ["discriminator", "generator"])
def test_a_loss_for_the_architecture_reaches_the_weight_vectors_alone(shared, vectors, network):
    _, training = shared()

    def iteration(steps: TrainingSteps) -> None:
        (real,) = steps.real_images()
        if network == "discriminator":
            loss = steps.discriminator_loss(real, vectors, for_architecture=True)
        else:
            loss = steps.generator_loss(vectors, for_architecture=True)
        loss.backward()
        parameters = list(training.supernet.parameters())
        assert all(p.grad is None for p in parameters)
        assert all(p.requires_grad for p in parameters)
        learning = getattr(vectors, network)
        assert all(w.grad is not None and w.grad.abs().sum() > 0 for w in learning)
        if network == "discriminator":
            assert all(w.grad is None for w in vectors.generator)
        _plain(lambda: HalfWeights(*[[w.detach() for w in half] for half in vectors]))(steps)

    training.train_by(iteration, generator_steps=1)


def test_the_gradient_of_the_weight_vectors_is_that_of_finite_differences(shared, vectors):
    """The generator's loss, in float64, with the same latents each time."""
    _, training = shared()
    trainer = training.trainer
    training.supernet.double()
    trainer._dtype = torch.float64
    latents = trainer._latents.get_state()

    plain = HalfWeights(*[[w.detach().double() for w in half] for half in vectors])
    first, second, third = plain.generator

    def loss(changed):
        trainer._latents.set_state(latents)
        return trainer.generator_loss(HalfWeights([first, changed, third], plain.discriminator))[0]

    leaf = second.clone().requires_grad_()
    loss(leaf).backward()
    for k in range(len(leaf)):
        ahead, behind = (
            second.index_add(0, torch.tensor([k]), torch.tensor([step]).double())
            for step in (1e-6, -1e-6)
        )
        slope = (loss(ahead) - loss(behind)).item() / 2e-6
        assert leaf.grad[k].item() == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("parts", [("generator", "discriminator"), ("generator",)])
def test_drawn_weights_are_drawn_for_every_pass(shared, vectors, parts):
    """Also where real and generated images could share one pass; not for a half without any."""
    drawn = []

    def draw(part):
        drawn.append(part)
        return [w.detach() for w in getattr(vectors, part)]

    _, training = shared(joint=True)
    trainer = training.trainer
    weights = DrawnWeights(draw, parts)
    if "discriminator" not in parts:
        training.supernet.discriminator.forward = lambda x, **_: x.mean((1, 2, 3))[:, None]
    trainer.discriminator_loss(trainer.real_batch(), weights)
    assert drawn == ["generator", *["discriminator"] * 2][: 1 + 2 * (len(parts) - 1)]
    drawn.clear()
    trainer.generator_loss(weights)
    assert drawn == list(parts)


def test_the_halves_of_a_batch_are_its_images_once_each(shared):
    _, training = shared()
    _, other = shared()
    whole = other.trainer.real_batch()

    def iteration(steps: TrainingSteps) -> None:
        first, second = steps.real_images(parts=2)
        assert (len(first.images), len(second.images)) == (2, 2)
        assert torch.equal(torch.cat([first.images, second.images]), whole.images)
        assert torch.equal(torch.cat([first.labels, second.labels]), whole.labels)
        raise StopIteration

    with pytest.raises(StopIteration):
        training.train_by(iteration, generator_steps=1)


def test_every_loss_is_charged_by_its_images(shared, vectors):
    ledger, training = shared(generator_steps=5)
    fixed = HalfWeights(*[[w.detach() for w in half] for half in vectors])

    def iteration(steps: TrainingSteps) -> None:
        first, second = steps.real_images(parts=2)
        steps.discriminator_loss(first, vectors, for_architecture=True)
        steps.update_discriminator(steps.discriminator_loss(second, fixed))
        steps.update_generator(steps.generator_loss(fixed))

    losses = training.train_by(iteration, generator_steps=3)
    assert set(losses.means) == {"loss_generator", "loss_discriminator"}
    assert ledger.spent("search").images == 3 * (2 * 2 + 2 * 2 + 6)
    training.train_by(iteration, generator_steps=100)
    assert ledger.spent("search").generator_steps == training.generator_steps == 5
    assert ledger.spent("search").device_seconds > 0
    with pytest.raises(BudgetExhausted, match="5 generator_steps"):
        training.train_by(iteration, generator_steps=1)


@pytest.mark.parametrize("updates", [0, 2])
def test_an_iteration_with_other_than_one_generator_step_is_refused(shared, vectors, updates):
    _, training = shared()

    def iteration(steps: TrainingSteps) -> None:
        (real,) = steps.real_images()
        steps.update_discriminator(steps.discriminator_loss(real, vectors))
        for _ in range(updates):
            steps.update_generator(steps.generator_loss(vectors))

    with pytest.raises(ConfigError, match=f"exactly once; the strategy's did 1 and {updates}"):
        training.train_by(iteration, generator_steps=1)


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_the_steps_of_a_stage_give_the_trainers_result_at_that_stage(tiny, stage):
    space = make_search_space(
        "autogan",
        image_size=16,
        image_channels=1,
        generator_channels=4,
        discriminator_channels=4,
        latent_dim=4,
    )
    pixels = torch.randint(256, (12, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    images = ImageSet("noise", pixels.to(torch.uint8))

    def training():
        cpu = torch.device("cpu")
        return SupernetTraining(space, images, tiny(), ledger=Ledger(), seed=0, device=cpu)

    def path():
        rng = numpy_generator(0, "paths")
        return lambda: space.sample(rng)

    draw, sizes = path(), set()

    def iteration(steps):
        for critic_step in range(steps.n_critic):
            now = space.one_hot(draw(), stage=stage)
            (real,) = steps.real_images()
            sizes.add(real.images.shape[-1])
            steps.update_discriminator(steps.discriminator_loss(real, now))
            if critic_step == 0:
                steps.update_generator(steps.generator_loss(now))

    by_steps, at_once = training(), training()
    by_steps.train_by(iteration, generator_steps=2, stage=stage)
    at_once.train(path(), generator_steps=2, stage=stage)
    assert sizes == {space.stage_image_size(stage)}
    for network in ("generator", "discriminator"):
        found, expected = (t.state_dict()["trainer"][network] for t in (by_steps, at_once))
        assert all(torch.equal(found[name], value) for name, value in expected.items())
