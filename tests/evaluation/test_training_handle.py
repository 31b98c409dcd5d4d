"""What a run gives strategies and evaluators to train and sample with: any pair, at its cost."""

from __future__ import annotations

import copy
import io
import time
from dataclasses import replace
from typing import Any

import pytest
import torch

from nasgan.contracts import Budget, Trainer, TrainingSteps, inherit_weights
from nasgan.errors import BudgetExhausted, ConfigError, TrainingDiverged
from nasgan.evaluation.sampling import evaluation_mode
from nasgan.randomness import numpy_generator, torch_generator
from nasgan.testing import ToyRun, ToySpace
from nasgan_search_spaces.autogan.space import AutoGANSpace

CHOICES = [0, 1, 2, 1]


def growing() -> AutoGANSpace:
    return AutoGANSpace(
        image_size=16, image_channels=1, generator_channels=4, discriminator_channels=4
    )


def run_in(space: Any = None, **limits: int) -> ToyRun:
    return ToyRun(space or ToySpace(), Budget(**limits), seed=3)


def state_of(network: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def one_step(trainer: TrainingSteps, weights: Any = None) -> None:
    """An iteration of one discriminator step."""
    (real,) = trainer.real_images()
    trainer.update_discriminator(trainer.discriminator_loss(real, weights))
    trainer.update_generator(trainer.generator_loss(weights))


def candidate(run: ToyRun, name: str = "a") -> Trainer:
    return run.trainer(run.networks(run.space.architecture(CHOICES)), name=name)


def test_single_steps_give_what_the_trainers_own_iteration_gives_bit_by_bit() -> None:
    run = run_in()
    stepped, whole = candidate(run), candidate(run)
    for _ in range(4):
        one_step(stepped)
    whole.train(generator_steps=4)
    for half in ("generator", "discriminator"):
        assert same(state_of(getattr(stepped, half)), state_of(getattr(whole, half)))
    assert stepped.generator_steps == whole.generator_steps == 4
    assert torch.equal(stepped.state_dict()["latents"], whole.state_dict()["latents"])


def test_a_copy_of_the_supernet_is_trained_and_the_runs_own_stays_as_it_is() -> None:
    run = run_in()
    run.shared_weights.train(lambda: run.space.sample(run.rng("paths")), generator_steps=2)
    before = state_of(run.shared_weights.supernet)
    trainer = run.trainer(copy.deepcopy(run.shared_weights.supernet), name="copy")
    weights = run.space.one_hot(run.space.architecture(CHOICES))
    one_step(trainer, weights)
    trainer.train(lambda: run.space.architecture(CHOICES), generator_steps=1)
    assert same(state_of(run.shared_weights.supernet), before)
    assert run.shared_weights.generator_steps == 2
    assert not same(state_of(trainer.generator), state_of(run.shared_weights.supernet.generator))


def test_equal_names_draw_the_same_and_others_do_not() -> None:
    run = run_in()
    trainers = [candidate(run, name) for name in ("a", "a", "b")]
    for trainer in trainers:
        one_step(trainer)
    first, again, other = (state_of(trainer.generator) for trainer in trainers)
    assert same(first, again)
    assert not same(first, other)


def test_a_training_cut_between_any_two_single_steps_goes_on_exactly() -> None:
    run = run_in()
    pair = run.networks(run.space.architecture(CHOICES))
    trainer = run.trainer(copy.deepcopy(pair))
    one_step(trainer)
    (real,) = trainer.real_images()
    trainer.update_discriminator(trainer.discriminator_loss(real))
    buffer = io.BytesIO()
    torch.save(trainer.state_dict(), buffer)
    buffer.seek(0)
    resumed = run.trainer(copy.deepcopy(pair))
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    for each in (trainer, resumed):
        each.update_generator(each.generator_loss())
        one_step(each)
    assert same(state_of(trainer.generator), state_of(resumed.generator))
    assert same(state_of(trainer.discriminator), state_of(resumed.discriminator))


def test_every_step_is_charged_and_the_budget_ends_them() -> None:
    run = run_in(generator_steps=3)
    trainer = candidate(run)
    batch, latents = 4, 2
    one_step(trainer)
    assert run.ledger.spent().images == 2 * batch + latents
    assert run.ledger.spent().generator_steps == 1
    assert run.ledger.spent().device_seconds > 0
    trainer.train(generator_steps=9)
    assert trainer.generator_steps == run.ledger.spent().generator_steps == 3
    assert run.ledger.spent().images == 3 * (2 * batch + latents)
    loss = trainer.generator_loss()
    with pytest.raises(BudgetExhausted, match="3 generator_steps"):
        trainer.update_generator(loss)
    limited = run_in(images=1)
    critic = candidate(limited)
    (real,) = critic.real_images()
    critic.discriminator_loss(real)
    with pytest.raises(BudgetExhausted, match="1 images"):
        critic.generator_loss()


def test_a_loss_of_the_generator_that_sees_real_images_pays_for_them() -> None:
    run = run_in(generator_steps=3)
    settings = replace(run.trainer_settings, loss="relativistic_hinge")
    networks = run.networks(run.space.architecture(CHOICES))
    trainer = run.trainer(networks, name="a", settings=settings)
    one_step(trainer)
    assert run.ledger.spent().images == settings.images_per_generator_step == 2 * 4 + 2 + 4


def test_it_trains_on_the_images_that_it_is_given() -> None:
    run = run_in()
    assert run.held_out is not None
    assert run.held_out.checksum != run.images.checksum
    pair = run.networks(run.space.architecture(CHOICES))
    for images in (run.images, run.held_out):
        trainer = run.trainer(pair, images=images)
        known = {tuple(image.flatten().tolist()) for image in images.images}
        (real,) = trainer.real_images()
        drawn = ((real.images + 1) * 127.5).round().long()
        assert {tuple(image.flatten().tolist()) for image in drawn} <= known


def test_losses_go_by_the_stage_that_is_asked_for() -> None:
    run = run_in(growing())
    trainer = run.shared_weights
    side = run.space.stage_image_size(0)
    assert side < run.space.network.image_size
    weights = run.space.one_hot(run.space.sample(run.rng("any")), stage=0)
    (real,) = trainer.real_images(stage=0)
    assert real.images.shape[-1] == side
    assert trainer.discriminator_loss(real, weights, stage=0).isfinite()
    assert trainer.generator_loss(weights, stage=0).isfinite()
    seen: list[int] = []

    def iteration(steps: TrainingSteps) -> None:
        (real,) = steps.real_images()
        seen.append(real.images.shape[-1])
        steps.update_discriminator(steps.discriminator_loss(real, weights))
        steps.update_generator(steps.generator_loss(weights))

    losses = trainer.train_by(iteration, generator_steps=2, stage=0)
    assert len(losses.generator) == 2
    assert seen == [side, side]


def test_the_stage_of_an_iteration_gives_the_trainers_result_bit_by_bit() -> None:
    def trained(by_steps: bool) -> dict[str, torch.Tensor]:
        run = run_in(growing())
        rng = numpy_generator(0, "paths")

        def iteration(steps: TrainingSteps) -> None:
            one_step(steps, run.space.one_hot(run.space.sample(rng), stage=1))

        if by_steps:
            run.shared_weights.train_by(iteration, generator_steps=3, stage=1)
        else:
            run.shared_weights.train(lambda: run.space.sample(rng), generator_steps=3, stage=1)
        return state_of(run.shared_weights.supernet)

    assert same(trained(by_steps=True), trained(by_steps=False))


def test_a_generator_that_breaks_down_ends_the_training() -> None:
    run = run_in()
    trainer = candidate(run)
    for _ in range(run.trainer_settings.health.check_every - 1):
        trainer.update_generator(trainer.generator_loss() * float("nan"))
    loss = trainer.generator_loss()
    with pytest.raises(TrainingDiverged, match="generator's loss is not finite"):
        trainer.update_generator(loss)


def test_learning_rates_stay_constant_where_the_length_is_not_known() -> None:
    run = run_in()
    settings = replace(run.trainer_settings, lr_decay="linear")
    pair = run.networks(run.space.architecture(CHOICES))
    assert run.trainer(pair, settings=settings).settings.lr_decay == "none"
    known = run.trainer(pair, settings=settings, total_generator_steps=5)
    assert known.settings.lr_decay == "linear"
    with pytest.raises(ConfigError):
        run.trainer(pair, settings=replace(run.trainer_settings, n_critic=0))


@pytest.mark.parametrize("space", [ToySpace, growing])
def test_samples_of_an_architecture_are_what_it_generates_with_the_supernets_weights(
    space: Any,
) -> None:
    run = run_in(space())
    run.shared_weights.train(lambda: run.space.sample(run.rng("paths")), generator_steps=2)
    architecture = run.space.sample(run.rng("one"))
    before = run.ledger.spent().images
    untouched = state_of(run.shared_weights.supernet)
    sampler = run.sample(architecture)
    drawn = sampler(5).images
    assert run.ledger.spent().images == before + 5
    assert run.shared_weights.supernet.generator.training
    assert same(state_of(run.shared_weights.supernet), untouched)
    inherited = run.networks(architecture, inherit=True).generator
    again = run.sample(inherited)(5).images
    assert drawn.dtype == torch.uint8
    assert torch.equal(drawn, again)
    network = run.space.build_generator(architecture)
    inherit_weights(network, run.shared_weights.supernet.generator)
    z = torch.randn((5, run.space.network.latent_dim), generator=latents(run))
    with torch.no_grad(), evaluation_mode(network):
        images = network(z)
    assert torch.equal(drawn, (images * 127.5 + 127.5).clamp(0, 255).to(torch.uint8))


def latents(run: ToyRun) -> torch.Generator:
    return torch_generator(run.seed, "evaluation latents")


def test_samples_of_a_stage_have_its_size_and_the_harness_scores_both_metrics() -> None:
    run = run_in(growing())
    architecture = run.space.sample(run.rng("any"))
    assert run.sample(architecture, stage=0)(2).images.shape[-1] == run.space.stage_image_size(0)
    scores = run.harness.evaluate(run.sample(architecture))
    assert list(scores) == ["is", "is_std", "fid"]
    assert all(value == value for value in scores.values())


def test_no_sample_beyond_the_budget_and_none_that_is_not_finite() -> None:
    run = run_in(images=4)
    generator = run.networks(run.space.architecture(CHOICES)).generator
    sampler = run.sample(generator)
    sampler(4)
    with pytest.raises(BudgetExhausted):
        sampler(1)
    run = run_in()
    next(generator.parameters()).data.fill_(float("nan"))
    with pytest.raises(TrainingDiverged):
        run.sample(generator)(2)


def test_an_update_whose_loss_took_the_last_image_is_done() -> None:
    run = run_in()
    one_step(candidate(run))
    spent = run.ledger.spent().images
    run = run_in(images=spent)
    one_step(candidate(run))
    assert run.ledger.spent().generator_steps == 1
    with pytest.raises(BudgetExhausted):
        one_step(candidate(run))


def test_sampling_inside_an_iteration_is_timed_once() -> None:
    run = run_in()
    trainer = candidate(run)

    def iteration(steps: TrainingSteps) -> None:
        one_step(steps)
        run.sample(trainer.generator)(500)

    started = time.perf_counter()
    trainer.train_by(iteration, generator_steps=2)
    assert run.ledger.spent().device_seconds <= time.perf_counter() - started


@pytest.mark.parametrize("through", [False, True])
def test_the_discriminators_loss_reaches_the_generators_weights_if_asked(through: bool) -> None:
    run = run_in()
    trainer = run.shared_weights
    soft = run.space.one_hot(run.space.architecture(CHOICES))
    for half in soft:
        half[:] = [(weight * 0.5 + 0.1).requires_grad_() for weight in half]
    (real,) = trainer.real_images()
    arguments = {"for_architecture": True, "through_generator": through}
    trainer.discriminator_loss(real, soft, **arguments).backward()
    assert all(weight.grad is not None for weight in soft.discriminator)
    assert {weight.grad is not None for weight in soft.generator} == {through}
    networks = (trainer.generator, trainer.discriminator)
    assert all(p.grad is None for network in networks for p in network.parameters())
    assert all(p.requires_grad for network in networks for p in network.parameters())
    trainer.discriminator_loss(real, soft, through_generator=through).backward()
    assert {p.grad is not None for p in trainer.generator.parameters()} == {through}
