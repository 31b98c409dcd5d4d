"""The one adversarial trainer: of supernets and of single networks, with or without classes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasgan.contracts import DrawnWeights, HalfWeights, NetworkPair, PairWeights, RealImages
from nasgan.contracts.trainer_settings import CUDA_GRAPHS, TrainerSettings
from nasgan.data import Batch, ImageSet, ShuffledBatches
from nasgan.errors import ConfigError
from nasgan.networks.batched_spectral_norm import PassNorms
from nasgan.networks.passes import weights_unchanged
from nasgan.networks.spectral_norm import (
    joint_pass_is_exact,
    sample_groups,
    scale_spectral_norms,
)
from nasgan.randomness import derive_seed, torch_generator
from nasgan.training.health import HealthMonitor
from nasgan.training.losses import slope_penalty
from nasgan.training.replicas import ALONE, Replicas, synchronise_batch_norms
from nasgan.training.updates import AveragedGenerator, descend, placed, without_gradients

__all__ = ["AdversarialTrainer"]


class _Pair(NamedTuple):
    """The networks alone, for another process, which may not know the class that holds them."""

    generator: nn.Module
    discriminator: nn.Module


class AdversarialTrainer:
    """Trains a pair of networks by alternating steps, as AutoGAN's code does.

    One iteration is one generator step and its ``n_critic`` discriminator steps, in the published
    order: one discriminator step, the generator step, the remaining discriminator steps. All random
    numbers come from ``seed``; `state_dict` continues bit for bit on the CPU.

    Args:
        pair: the networks; they are moved to ``device`` (give them initial values before).
        images: the real images.
        settings: see `TrainerSettings`.
        latent_dim: length of z.
        num_classes: classes of a class-conditional pair (labels are passed on), or 0.
        seed: of this training.
        device: where it runs.
        total_generator_steps: the planned length; needed for ``lr_decay="linear"``.
        compile_networks: whether ``settings.compile`` applies (not to a supernet on paths).
        limits_end: whether the limits of ``settings.health`` end the training, see `HealthMonitor`.
        replicas: the processes of the training, where it has several.

    Raises:
        ConfigError: the settings do not fit together.
    """

    def __init__(
        self,
        pair: NetworkPair,
        images: ImageSet,
        settings: TrainerSettings,
        *,
        latent_dim: int,
        num_classes: int = 0,
        seed: int,
        device: torch.device,
        total_generator_steps: int | None = None,
        compile_networks: bool = True,
        limits_end: bool = True,
        replicas: Replicas = ALONE,
    ) -> None:
        if settings.lr_decay == "linear" and not total_generator_steps:
            raise ConfigError("trainer.lr_decay=linear needs a training of known length")
        if num_classes and images.num_classes != num_classes:
            raise ConfigError(
                f"class-conditional training with {num_classes} classes needs as many in the data; "
                f"{images.name} has {images.num_classes}"
            )
        if replicas.count > 1 and replicas.rank == 0:
            order = {
                "pair": _Pair(pair.generator, pair.discriminator),
                "images": images.to("cpu"),
                "settings": settings,
                "latent_dim": latent_dim,
                "num_classes": num_classes,
                "seed": seed,
                "total_generator_steps": total_generator_steps,
            }
            replicas.tell("build", order)
        self._replicas = replicas
        self.settings = settings = settings.on(device)
        self.device = device
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.generator_steps = 0
        self._total = total_generator_steps
        self._loss = settings.make_loss()
        self._augmentation = settings.make_augmentation()
        self._augmentation_noise = torch_generator(seed, "augmentation", device=device)
        self._bf16 = settings.precision == "bf16"
        self._place(pair, compile_networks)
        betas = (settings.beta1, settings.beta2)
        self._optimisers = [
            torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=True)
            for network, rate in (
                (pair.generator, settings.lr_generator),
                (pair.discriminator, settings.lr_discriminator),
            )
        ]
        self._limits_end = limits_end
        self._health = self._new_health()
        self._latents = torch_generator(seed, "latents", device=device)
        self._batches = ShuffledBatches(
            images,
            settings.discriminator_batch_size,
            seed=derive_seed(seed, "data order"),
            device=device,
            dtype=self._dtype,
            channels_last=self._channels_last,
            horizontal_flip=settings.horizontal_flip,
            own=replicas.own,
        )

    def _place(self, pair: NetworkPair, compile_networks: bool) -> None:
        settings = self.settings
        if self._replicas.count > 1 and settings.batch_norm == "synchronised":
            for network in (pair.generator, pair.discriminator):
                synchronise_batch_norms(network, self._replicas)
        self._channels_last = settings.channels_last is not False
        self.generator = placed(pair.generator, settings, self.device).train()
        self.discriminator = placed(pair.discriminator, settings, self.device).train()
        scale_spectral_norms(self.discriminator, settings.spectral_norm_scale)
        # Networks in float64 are trained in float64.
        self._dtype = next(self.discriminator.parameters()).dtype
        self._joint = bool(settings.joint_discriminator_pass) and joint_pass_is_exact(
            self.discriminator
        )
        self._norms = PassNorms(self.discriminator)
        self._run_generator: Callable[..., Tensor] = self.generator
        self._run_discriminator: Callable[..., Tensor] = self.discriminator
        self._compiled = compile_networks and settings.compile != "off"
        if self._compiled:
            # Dynamo compiles a function for eight kinds of input, then runs it eager, and
            # architectures of one space share their functions. This frees the last graphs, too.
            torch.compiler.reset()
            mode = settings.compile
            self._run_generator = torch.compile(self.generator, mode=mode, dynamic=False)
            self._run_discriminator = torch.compile(self.discriminator, mode=mode, dynamic=False)
        self.average = None
        if settings.ema_decay is not None:
            self.average = AveragedGenerator(
                self.generator, decay=settings.ema_decay, buffers=settings.ema_buffers
            )

    @property
    def evaluated_generator(self) -> nn.Module:
        """The generator to score and to keep now: the averaged one, where there is one."""
        if self.average is None:
            return self.generator
        return self.average.evaluated(self.generator)

    def iteration(
        self,
        path: Callable[[], HalfWeights] | None = None,
        *,
        stage: int | None = None,
        image_size: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Do one generator step and its ``n_critic`` discriminator steps.

        Args:
            path: for supernets: draws the weights of each discriminator step; the generator step
                takes those of the discriminator step before it.
            stage: for supernets that grow.
            image_size: of the images at that stage, if smaller than the data's.

        Returns:
            The losses of the discriminator steps (n_critic,) and that of the generator step (a
            scalar), on the device.

        Raises:
            TrainingDiverged: the training broke down; see `nasgan.training.health`.
        """
        self._replicas.tell("iteration")
        if self.settings.lr_decay == "linear" and self._total is not None:
            share = max(0.0, 1 - self.generator_steps / self._total)
            rates = (self.settings.lr_generator, self.settings.lr_discriminator)
            for optimiser, rate in zip(self._optimisers, rates, strict=True):
                for group in optimiser.param_groups:
                    group["lr"] = rate * share
        losses = []
        loss_generator, variation = torch.zeros(()), torch.zeros(())
        for critic_step in range(self.settings.n_critic):
            weights = path() if path is not None else None
            loss = self.discriminator_loss(self.real_batch(image_size), weights, stage=stage)
            self.update_discriminator(loss)
            losses.append(loss.detach())
            if critic_step == 0:
                loss, variation = self.generator_loss(weights, stage=stage)
                self.update_generator(loss)
                loss_generator = loss.detach()
        losses_discriminator = torch.stack(losses)
        self.end_iteration(losses_discriminator.mean(), loss_generator, variation)
        return losses_discriminator, loss_generator

    def end_iteration(
        self, loss_discriminator: Tensor, loss_generator: Tensor, variation: Tensor
    ) -> None:
        """Count a generator step and hold its numbers (scalars) against the health limits.

        Raises:
            TrainingDiverged: as `iteration`.
        """
        self.generator_steps += 1
        self._health.observe(self.generator_steps, loss_discriminator, loss_generator, variation)

    def real_batch(self, image_size: int | None = None) -> Batch:
        """The next real images, reduced to ``image_size`` if that is given."""
        batch = self._batches.next()
        if image_size is None:
            return batch
        return Batch(_resize(batch.images, image_size), batch.labels)

    def discriminator_loss(
        self,
        batch: RealImages,
        weights: PairWeights | None = None,
        *,
        stage: int | None = None,
        through_generator: bool = False,
    ) -> Tensor:
        """The discriminator's loss (a scalar) on real images and on as many generated ones.

        Args:
            batch: real images, and their labels where the data have some.
            weights: for supernets; each pass through a network reads its half anew.
            stage: for supernets that grow.
            through_generator: whether gradients reach the generator.
        """
        real, labels = batch.images, batch.labels if self.num_classes else None
        z, fake_labels = self._draw(len(real))
        self._mark_step()
        tracked = torch.is_grad_enabled() and through_generator
        with torch.set_grad_enabled(tracked), self._autocast():
            fake = self._generate(z, fake_labels, weights, stage)
        real, fake = self._augmented(real), self._augmented(fake.to(real.dtype))
        with self._autocast():
            on_real, on_fake = self._judge_both(real, fake, labels, fake_labels, weights, stage)
        loss = self._loss.discriminator(self._whole(on_real), self._whole(on_fake))
        # Eager: torch.compile cannot differentiate a gradient.
        critic, critic_of_fake = (
            partial(self._judge, labels=own, weights=weights, stage=stage, eager=True)
            for own in (labels, fake_labels)
        )
        for weight, penalty in self._penalties(real, fake, critic, critic_of_fake):
            loss = loss + weight * self._replicas.averaged(penalty)
        return loss

    def _whole(self, logits: Tensor) -> Tensor:
        """Those of all processes."""
        return self._replicas.gathered(_widened(logits))

    def _penalties(
        self,
        real: Tensor,
        fake: Tensor,
        critic: Callable[[Tensor], Tensor],
        critic_of_fake: Callable[[Tensor], Tensor],
    ) -> Iterator[tuple[float, Tensor]]:
        """Weights and terms that are added to the discriminator's loss."""
        settings = self.settings
        if settings.gradient_penalty:
            noise = self._latents
            if self._replicas.count > 1:
                # Not every penalty draws: the latents that come do not depend on it.
                state = zlib.crc32(noise.get_state().cpu().numpy().tobytes())
                rank = self._replicas.rank
                noise = torch_generator(state, "penalty", rank, device=self.device)
            penalty = self._loss.penalty(critic, real, fake, noise)
            if penalty is not None:
                yield settings.gradient_penalty, penalty
        if settings.r1_penalty:
            yield settings.r1_penalty, slope_penalty(critic, real)
        if settings.r2_penalty:
            yield settings.r2_penalty, slope_penalty(critic_of_fake, fake)

    def _augmented(self, images: Tensor) -> Tensor:
        if self._augmentation is None:
            return images
        return self._augmentation(images, self._own_noise(self._augmentation_noise))

    def _own_noise(self, noise: torch.Generator) -> torch.Generator:
        """Where others draw for their share of a batch, this process draws something else."""
        if self._replicas.count == 1:
            return noise
        # The common stream moves alike everywhere: one checkpoint serves all.
        drawn = int(torch.randint(2**62, (), generator=noise, device=noise.device))
        return torch_generator(drawn, "own noise", self._replicas.rank, device=noise.device)

    def update_discriminator(self, loss: Tensor) -> None:
        """One step of the discriminator's parameters down ``loss``."""
        descend(self._optimisers[1], loss, self.settings.zero_grad, self._replicas)

    def generator_loss(
        self, weights: PairWeights | None = None, *, stage: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """The generator's loss on a batch of its own, and the variation of the images (scalars).

        Args:
            weights: as for `discriminator_loss`.
            stage: for supernets that grow.
        """
        z, labels = self._draw(self.settings.generator_batch_size // self._replicas.count)
        self._mark_step()
        # The discriminator's weight gradients are a third of this step's work, and unused.
        with without_gradients(self.discriminator), self._autocast():
            fake = self._generate(z, labels, weights, stage)
            logits = self._judge(self._augmented(fake), labels, weights, stage)
            on_real = None
            if self._loss.sees_real:
                batch = self.real_batch(fake.shape[-1])
                own = batch.labels if self.num_classes else None
                with torch.no_grad():
                    real = self._augmented(batch.images)
                    on_real = self._whole(self._judge(real, own, weights, stage))
        loss = self._loss.generator(self._whole(logits), on_real)
        variation = _widened(fake.detach()).std(dim=0).mean()
        return loss, self._replicas.averaged(variation)

    def update_generator(self, loss: Tensor) -> None:
        """One step of the generator's parameters down ``loss``, then of their average."""
        descend(self._optimisers[0], loss, self.settings.zero_grad, self._replicas)
        if self.average is not None:
            self.average.update(self.generator)

    def _judge_both(
        self,
        real: Tensor,
        fake: Tensor,
        labels: Tensor | None,
        fake_labels: Tensor | None,
        weights: PairWeights | None,
        stage: int | None,
    ) -> Sequence[Tensor]:
        """Logits on real and on generated images, in one pass where that is the same."""
        # What is drawn anew for each pass differs between the real and the generated images.
        redrawn = isinstance(weights, DrawnWeights) and "discriminator" in weights.parts
        if redrawn or not self._joint:
            with weights_unchanged():
                on_real = self._judge(real, labels, weights, stage)
                return on_real, self._judge(fake, fake_labels, weights, stage)
        both_labels = None
        if labels is not None and fake_labels is not None:
            both_labels = torch.cat([labels, fake_labels])
        sizes = (len(real), len(fake))
        with sample_groups(self.discriminator, sizes):
            logits = self._judge(torch.cat([real, fake]), both_labels, weights, stage)
        return torch.split(logits, list(sizes))

    def _generate(
        self, z: Tensor, labels: Tensor | None, weights: PairWeights | None, stage: int | None
    ) -> Tensor:
        half = weights.generator if weights is not None else None
        return self._run_generator(z, **_arguments(half, labels, stage))

    def _judge(
        self,
        x: Tensor,
        labels: Tensor | None,
        weights: PairWeights | None,
        stage: int | None,
        *,
        eager: bool = False,
    ) -> Tensor:
        half = weights.discriminator if weights is not None else None
        run: Callable[..., Tensor] = self.discriminator if eager else self._run_discriminator
        arguments = _arguments(half, labels, stage)
        # A compiled pass has few launches; a supernet's depends on its weights.
        if half or (self._compiled and not eager):
            return run(x, **arguments)
        with self._norms.during((stage, x.shape[-1]), x, **arguments):
            return run(x, **arguments)

    def _draw(self, count: int) -> tuple[Tensor, Tensor | None]:
        """Latents (count, latent_dim), and classes (count,) of a conditional pair.

        Drawn for all processes, in the order of one process with their batch.
        """
        own, whole = self._replicas.own, count * self._replicas.count
        shape = (whole, self.latent_dim)
        z = torch.randn(shape, generator=self._latents, device=self.device, dtype=self._dtype)
        if not self.num_classes:
            return own(z), None
        labels = torch.randint(
            self.num_classes, (whole,), generator=self._latents, device=self.device
        )
        return own(z), own(labels)

    def _autocast(self) -> AbstractContextManager[object]:
        if not self._bf16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _mark_step(self) -> None:
        # CUDA graphs reuse their output memory: tell them that the last step's is free again.
        if self.settings.compile in CUDA_GRAPHS:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def check_health(self) -> None:
        """Look at the steps since the last regular look; call before a score, and at the end.

        Raises:
            TrainingDiverged: as `iteration`.
        """
        self._health.check(self.generator_steps)

    def restart(self, pair: NetworkPair) -> None:
        """Begin anew from the values of ``pair``; the data, the latents and the count go on."""
        self.generator.load_state_dict(pair.generator.state_dict())
        self.discriminator.load_state_dict(pair.discriminator.state_dict())
        if self.average is not None:
            self.average.module.load_state_dict(self.generator.state_dict())
        for optimiser in self._optimisers:
            optimiser.state.clear()
        self._health = self._new_health()
        self._replicas.tell("state", self.state_dict())

    def _new_health(self) -> HealthMonitor:
        return HealthMonitor(self.settings.health, limits_end=self._limits_end)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the training continues from."""
        return {
            "generator_steps": self.generator_steps,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.module.state_dict() if self.average is not None else None,
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "health": self._health.state_dict(),
            "latents": self._latents.get_state(),
            "batches": self._batches.state_dict(),
            **self._augmentation_state(),
        }

    def _augmentation_state(self) -> dict[str, Tensor]:
        """Only where there is one: checkpoints of before know none."""
        if self._augmentation is None:
            return {}
        return {"augmentation": self._augmentation_noise.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._replicas.tell("state", dict(state))
        self.generator_steps = state["generator_steps"]
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self._health.load_state_dict(state["health"])
        self._latents.set_state(state["latents"].cpu())
        self._batches.load_state_dict(state["batches"])
        if self._augmentation is not None:
            self._augmentation_noise.set_state(state["augmentation"].cpu())


def _arguments(
    weights: Sequence[Tensor] | None, labels: Tensor | None, stage: int | None
) -> dict[str, Any]:
    """Only what is there: a single network knows neither weights nor stages."""
    given = {"weights": weights, "labels": labels, "stage": stage}
    return {name: value for name, value in given.items() if value is not None}


def _widened(x: Tensor) -> Tensor:
    """In float32 at least: losses are not for bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _resize(images: Tensor, size: int) -> Tensor:
    """Smaller real images for a growing supernet (bilinear with antialiasing, as PIL resizes)."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
