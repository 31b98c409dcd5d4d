"""The trainer against a plain loop in float64, and the order of its steps."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nasgan.data import ShuffledBatches
from nasgan.networks.autogan_discriminator import AutoGANDiscriminator
from nasgan.networks.batched_spectral_norm import spectral_norm_layers
from nasgan.randomness import derive_seed, torch_generator
from nasgan.registry import LOSSES, plugins
from nasgan.training.losses import gradient_penalty, slope_penalty

LATENT_DIM, SEED = 4, 3


class Pair(nn.Module):
    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator = nn.Sequential(
            nn.Linear(LATENT_DIM, 16, bias=False),
            nn.BatchNorm1d(16),
            nn.Unflatten(1, (1, 4, 4)),
            nn.Tanh(),
        )
        self.discriminator = discriminator


def spectral_discriminator():
    torch.manual_seed(0)
    judge = AutoGANDiscriminator(image_size=8, image_channels=1, channels=4)
    return nn.Sequential(nn.Upsample(scale_factor=2), judge)


def batch_norm_discriminator():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(16, 1)
    )


@pytest.fixture(params=[spectral_discriminator, batch_norm_discriminator])
def pair(request):
    return Pair(request.param()).double()


def plain_training(pair, images, settings, iterations):
    """The published algorithm, written plainly: two passes, Adam unfused, averages by hand."""
    z_source = torch_generator(SEED, "latents")
    batches = ShuffledBatches(
        images,
        settings.discriminator_batch_size,
        seed=derive_seed(SEED, "data order"),
        device="cpu",
        dtype=torch.float64,
    )
    betas = (settings.beta1, settings.beta2)
    adam_g = torch.optim.Adam(pair.generator.parameters(), settings.lr_generator, betas)
    adam_d = torch.optim.Adam(pair.discriminator.parameters(), settings.lr_discriminator, betas)
    loss = settings.make_loss()
    average = copy.deepcopy(pair.generator)

    def latents(count):
        return torch.randn((count, LATENT_DIM), generator=z_source, dtype=torch.float64)

    def discriminator_step():
        real = batches.next().images
        fake = pair.generator(latents(len(real))).detach()
        value = loss.discriminator(pair.discriminator(real), pair.discriminator(fake))
        if settings.loss == "wasserstein_gp":
            shape = (len(real), 1, 1, 1)
            mix = torch.rand(shape, generator=z_source, dtype=torch.float64)
            penalty = gradient_penalty(pair.discriminator, real, fake, mix)
            value = value + settings.gradient_penalty * penalty
        if settings.r1_penalty:
            value = value + settings.r1_penalty * slope_penalty(pair.discriminator, real)
        if settings.r2_penalty:
            value = value + settings.r2_penalty * slope_penalty(pair.discriminator, fake)
        adam_d.zero_grad()
        value.backward()
        adam_d.step()

    for _ in range(iterations):
        discriminator_step()
        logits = pair.discriminator(pair.generator(latents(settings.generator_batch_size)))
        on_real = pair.discriminator(batches.next().images).detach() if loss.sees_real else None
        adam_g.zero_grad()
        loss.generator(logits, on_real).backward()
        adam_g.step()
        for mean, live in zip(average.parameters(), pair.generator.parameters(), strict=True):
            mean.data = settings.ema_decay * mean.data + (1 - settings.ema_decay) * live.data
        for _ in range(settings.n_critic - 1):
            discriminator_step()
    for held, live in zip(average.buffers(), pair.generator.buffers(), strict=True):
        held.copy_(live)
    return average


@pytest.mark.parametrize(
    "chosen",
    [{"loss": plugin.name} for plugin in plugins(LOSSES) if plugin.distribution == "nasgan"]
    + [{"r1_penalty": 2.0}, {"r2_penalty": 3.0, "loss": "non_saturating"}],
)
def test_the_trainer_equals_a_plain_loop(pair, make_trainer, tiny, images, chosen):
    settings = tiny(n_critic=3, lr_generator=0.01, lr_discriminator=0.02, ema_decay=0.8, **chosen)
    plain = copy.deepcopy(pair)
    trainer = make_trainer(settings, pair=pair)
    for _ in range(4):
        trainer.iteration()
    average = plain_training(plain, images, settings, 4)
    exactly = {"rtol": 1e-9, "atol": 1e-10}
    for found, expected in (
        (pair.generator, plain.generator),
        (pair.discriminator, plain.discriminator),
        (trainer.evaluated_generator, average),
    ):
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(found.state_dict()[name], value, **exactly, msg=name)


def test_the_discriminators_spectral_norms_are_scaled_also_after_a_restart(make_trainer, tiny):
    trainer = make_trainer(
        tiny(spectral_norm_scale=1.5), pair=Pair(spectral_discriminator()).double()
    )
    trainer.restart(Pair(spectral_discriminator()).double())
    trainer.iteration()
    for layer in spectral_norm_layers([trainer.discriminator.eval()]):
        layer.update_singular_pair(200)
        norm = torch.linalg.matrix_norm(layer.normalised_weight(1)[0].flatten(1), ord=2)
        assert norm.item() == pytest.approx(1.5, rel=1e-5)


@pytest.mark.parametrize("loss", ["hinge", "wasserstein_gp"])
def test_one_joint_pass_equals_two(make_trainer, tiny, loss):
    found = []
    for joint in (True, False, None):
        pair = Pair(spectral_discriminator()).double()
        settings = tiny(
            loss=loss, joint_discriminator_pass=joint, lr_discriminator=0.05, lr_generator=0.05
        )
        trainer = make_trainer(settings, pair=pair)
        passes = []
        pair.discriminator.register_forward_pre_hook(
            lambda _module, inputs, seen=passes: seen.append(len(inputs[0]))
        )
        losses = [torch.hstack(trainer.iteration()) for _ in range(4)]
        found.append((torch.stack(losses), *pair.state_dict().values()))
        # Unasked only where it is faster, which an eager pass on a CPU is not.
        assert (8 in passes) == (joint is True)
    for a, b, c in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
        assert torch.equal(b, c)


def test_compiled_networks_take_one_joint_pass_unasked(make_trainer, tiny, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network, **_settings: network)
    pair = Pair(spectral_discriminator())
    sizes = []
    pair.discriminator.register_forward_pre_hook(lambda _m, inputs: sizes.append(len(inputs[0])))
    make_trainer(tiny(compile="default"), pair=pair).iteration()
    assert set(sizes) == {8, 6}


def test_batch_norm_is_never_joined_unasked(make_trainer, tiny):
    pair = Pair(batch_norm_discriminator())
    sizes = []
    pair.discriminator.register_forward_pre_hook(lambda _m, inputs: sizes.append(len(inputs[0])))
    make_trainer(tiny(), pair=pair).iteration()
    assert sizes == [4, 4, 6, 4, 4]


@pytest.mark.parametrize("n_critic", [1, 2, 5])
def test_one_discriminator_step_then_the_generators_then_the_others(
    make_trainer, tiny, make_pair, n_critic
):
    pair = make_pair()
    steps = []
    pair.generator.register_forward_pre_hook(
        lambda _m, inputs: steps.append(("G" if torch.is_grad_enabled() else "D", len(inputs[0])))
    )
    trainer = make_trainer(tiny(n_critic=n_critic), pair=pair)
    for _ in range(2):
        trainer.iteration()
    assert steps == ([("D", 4), ("G", 6)] + [("D", 4)] * (n_critic - 1)) * 2
    assert trainer.generator_steps == 2


def test_learning_rates_fall_linearly_to_the_end(make_trainer, tiny):
    trainer = make_trainer(
        tiny(lr_decay="linear", lr_generator=0.1, lr_discriminator=0.2), total_generator_steps=4
    )
    rates = []
    for _ in range(4):
        trainer.iteration()
        optimisers = trainer.state_dict()["optimisers"]
        rates.append([o["param_groups"][0]["lr"] for o in optimisers])
    assert rates == [pytest.approx([0.1 * share, 0.2 * share]) for share in (1.0, 0.75, 0.5, 0.25)]


def test_the_average_is_evaluated_with_the_statistics_of_every_pass_until_then(make_trainer, tiny):
    """Against the running mean and variance of batch norm, by hand from the inputs that it saw."""
    pair = Pair(spectral_discriminator()).double()
    norm = pair.generator[1]
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    seen = []
    norm.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].detach().clone()))
    trainer = make_trainer(tiny(n_critic=3, ema_decay=0.8), pair=pair)
    for _ in range(3):
        trainer.iteration()
    assert len(seen) == 3 * 4
    for x in seen:
        mean = 0.9 * mean + 0.1 * x.sum(dim=0) / len(x)
        var = 0.9 * var + 0.1 * ((x - x.mean(dim=0)) ** 2).sum(dim=0) / (len(x) - 1)
    evaluated = trainer.evaluated_generator[1]
    torch.testing.assert_close(evaluated.running_mean, mean, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(evaluated.running_var, var, rtol=1e-12, atol=1e-13)
    assert evaluated.num_batches_tracked == 12


def test_without_an_average_the_live_generator_is_evaluated(make_trainer, tiny):
    trainer = make_trainer(tiny(ema_decay=None))
    assert trainer.evaluated_generator is trainer.generator
    trainer.iteration()
