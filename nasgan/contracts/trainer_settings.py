"""Settings of the adversarial trainer, by default AutoGAN's published ones, and its plugins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor

from nasgan.errors import ConfigError
from nasgan.nodes import Checked, make_plugin
from nasgan.registry import AUGMENTATIONS, LOSSES
from nasgan.run_settings import Positive

__all__ = [
    "CUDA_GRAPHS",
    "AdversarialLoss",
    "Augmentation",
    "HealthSettings",
    "TrainerSettings",
    "ZeroGrad",
]

ZeroGrad = Literal["set_to_none", "zero"]

CUDA_GRAPHS = ("reduce-overhead", "max-autotune")
"""The modes of ``torch.compile`` that record CUDA graphs."""

# One image has no variance over the batch: batch norm and the health check need two.
_BatchSize: TypeAlias = Annotated[int, Ge(2)]
_Rate: TypeAlias = Annotated[float, Interval(gt=0, lt=1)]
_Decay: TypeAlias = Annotated[float, Interval(ge=0, lt=1)]
_Weight: TypeAlias = Annotated[float, Ge(0)]


@dataclass(frozen=True)
class HealthSettings(Checked):
    """When a training counts as broken down, and ends with its best moment before.

    Numbers that are not finite always end it. The limits are for trainings of one architecture: a
    supernet that passes them is told of in the log, and the search goes on as its strategy says.

    Attributes:
        check_every: generator steps between looks at the numbers (each look waits for the device).
        max_loss: a loss beyond this in absolute value has exploded.
        min_loss: a discriminator loss below this in absolute value has vanished ...
        min_variation: generated images whose standard deviation over the batch, averaged over the
            pixels of images in [-1, 1], is below this have collapsed into one ...
        patience: ... once that has held for this many generator steps on end.

    Each limit can be null: none, as in the published code.
    """

    check_every: Positive = 25
    max_loss: Annotated[float, Gt(0)] | None = 1e4
    min_loss: float | None = 1e-5
    min_variation: float | None = 1e-3
    patience: Positive = 200

    where: ClassVar[str] = "trainer.health"


@dataclass(frozen=True)
class TrainerSettings(Checked):
    """How a generator and a discriminator are trained against each other.

    Attributes:
        loss: registered name: ``hinge`` (published), ``non_saturating``, ``least_squares``,
            ``wasserstein_gp``, ``relativistic_hinge``, ``mmd_repulsive``, or a plugin's.
        loss_settings: of the loss's own.
        gradient_penalty: weight of the penalty that the loss brings, as ``wasserstein_gp`` does
            (Gulrajani et al. 2017).
        r1_penalty: weight gamma of half the squared slope at real images (Mescheder et al. 2018,
            eq. 9), beside any loss.
        r2_penalty: the same at generated images (eq. 10).
        augmentation: registered name of what real and generated images go through before the
            discriminator sees them, with gradients: ``diffaugment``, or a plugin's; null: nothing.
        augmentation_settings: of the augmentation's own.
        spectral_norm_scale: the spectral norm of the discriminator's layers that are normalised
            (Wang et al. 2019 raise it, for distances that the loss ``mmd_repulsive`` can see).
        n_critic: discriminator steps per generator step.
        generator_batch_size: latents of a generator step.
        discriminator_batch_size: real images, and as many generated ones, of a discriminator step.
        lr_generator: Adam's learning rate.
        lr_discriminator: Adam's learning rate.
        beta1: Adam's, for both networks.
        beta2: Adam's, for both networks.
        zero_grad: ``set_to_none`` passes over the options of a supernet that are not on the path of
            a step; ``zero``, as under the torch 1.1 of the published codes, lets their second
            moments decay in it, once they have been drawn at all, so that seldom drawn options make
            longer steps. The same for single networks.
        lr_decay: ``none`` (published) or ``linear``, down to 0 at the end of the training.
        ema_decay: decay of the generator's averaged parameters per generator step; null for none.
        ema_buffers: ``live`` evaluates averaged parameters with the running statistics that the
            generator in training has at that moment (published); ``averaged`` averages these too.
        initialisation: of convolutions, see `nasgan.networks.initialise`.
        horizontal_flip: mirror half of the real images (not published).
        precision: ``float32``, ``bf16`` (autocast), or ``auto``: bf16 on CUDA devices that have it
            (emulation does not count).
        tf32: allow TF32 in float32 matrix products and convolutions on CUDA.
        channels_last: memory format; null: yes.
        compile: ``off`` or the mode of ``torch.compile`` (``reduce-overhead`` and ``max-autotune``
            use CUDA graphs).
            A supernet on sampled paths is never compiled: each path would be its own graph.
        joint_discriminator_pass: real and generated images through the discriminator as one batch,
            where that is exact (no batch norm, nasgan's own spectral norm); null: on accelerators,
            and compiled, where it is faster.
        devices: of one training, each with a process of its own, which takes its share of every
            batch (the sizes are those of the whole). For ``nasgan train``.
        batch_norm: of trainings on several devices: ``synchronised`` normalises by the whole batch,
            as one device would; ``per_device`` by each device's share.
        health: see `HealthSettings`.

    Raises:
        ConfigError: a value is out of its range.
    """

    loss: str = "hinge"
    loss_settings: Mapping[str, Any] | None = None
    gradient_penalty: _Weight = 10.0
    r1_penalty: _Weight = 0.0
    r2_penalty: _Weight = 0.0
    augmentation: str | None = None
    augmentation_settings: Mapping[str, Any] | None = None
    spectral_norm_scale: Annotated[float, Gt(0)] = 1.0
    n_critic: Positive = 5
    generator_batch_size: _BatchSize = 128
    discriminator_batch_size: _BatchSize = 64
    lr_generator: _Rate = 2e-4
    lr_discriminator: _Rate = 2e-4
    beta1: _Decay = 0.0
    beta2: _Decay = 0.9
    zero_grad: ZeroGrad = "set_to_none"
    lr_decay: Literal["none", "linear"] = "none"
    ema_decay: _Decay | None = 0.999
    ema_buffers: Literal["live", "averaged"] = "live"
    initialisation: Literal["xavier_uniform", "normal", "orthogonal", "default"] = "xavier_uniform"
    horizontal_flip: bool = False
    precision: Literal["auto", "float32", "bf16"] = "auto"
    tf32: bool = True
    channels_last: bool | None = None
    compile: Literal["off", "default", "reduce-overhead", "max-autotune"] = "off"
    joint_discriminator_pass: bool | None = None
    devices: Positive = 1
    batch_norm: Literal["synchronised", "per_device"] = "synchronised"
    health: HealthSettings = field(default_factory=HealthSettings)

    where: ClassVar[str] = "trainer"

    OPEN: ClassVar[Mapping[str, Any]] = {"precision": "auto", "joint_discriminator_pass": None}
    """The values that leave a setting to the device, see `on`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        loss = self.make_loss()
        self.make_augmentation()
        for name in ("generator_batch_size", "discriminator_batch_size"):
            size = getattr(self, name)
            if size % self.devices or size // self.devices < 2:
                raise ConfigError(
                    f"trainer.{name}={size} cannot be shared among trainer.devices={self.devices}: "
                    "take a multiple of the devices, at least 2 for each"
                )
        for name in ("r1_penalty", "r2_penalty"):
            if loss.outputs > 1 and getattr(self, name):
                raise ConfigError(
                    f"trainer.{name} is of the slope of one logit, and trainer.loss={self.loss} "
                    f"has {loss.outputs} outputs: set trainer.{name}=0"
                )

    @property
    def images_per_generator_step(self) -> int:
        """Images that pass through a network in one generator step and its critic steps."""
        critic_steps = 2 * self.n_critic * self.discriminator_batch_size
        return critic_steps + self.images_per_generator_loss

    @cached_property
    def images_per_generator_loss(self) -> int:
        """Images of a loss of the generator: generated ones, and real ones if it sees them."""
        real = self.discriminator_batch_size if self.make_loss().sees_real else 0
        return self.generator_batch_size + real

    @property
    def without_penalties(self) -> TrainerSettings:
        """Those of a loss that is minus the value of the game."""
        return replace(self, gradient_penalty=0.0, r1_penalty=0.0, r2_penalty=0.0)

    def make_loss(self) -> AdversarialLoss:
        """The loss, by its registered name."""
        loss: AdversarialLoss = make_plugin(
            LOSSES,
            self.loss,
            AdversarialLoss,
            self.loss_settings or {},
            where="trainer.loss_settings",
        )
        return loss

    def make_augmentation(self) -> Augmentation | None:
        """What real and generated images go through before the discriminator, if anything."""
        if self.augmentation is None:
            return None
        augmentation: Augmentation = make_plugin(
            AUGMENTATIONS,
            self.augmentation,
            Augmentation,
            self.augmentation_settings or {},
            where="trainer.augmentation_settings",
        )
        return augmentation

    def on(self, device: torch.device) -> TrainerSettings:
        """These settings with what they leave to the device decided.

        On the CPU bf16 measured three times slower; and the joint pass of eager networks makes maps
        that a CPU's cache no longer holds, and scales them in operations of their own: measured
        slower there than two passes.

        Args:
            device: of the training; if it is CUDA, the current one.
        """
        is_cuda = device.type == "cuda"
        precision, joint = self.precision, self.joint_discriminator_pass
        if precision == "auto":
            has_bf16 = is_cuda and torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bf16" if has_bf16 else "float32"
        if joint is None:
            joint = device.type != "cpu" or self.compile != "off"
        if (precision, joint) == (self.precision, self.joint_discriminator_pass):
            return self
        return replace(self, precision=precision, joint_discriminator_pass=joint)


class AdversarialLoss(ABC):
    """A pair of losses to minimise, on logits (N, outputs) in float32 or float64.

    Settings are keyword arguments of ``__init__`` (``trainer.loss_settings``).

    Attributes:
        sees_real: whether the generator's loss looks at real images, too: each generator step then
            takes a batch of its own.
        outputs: how many numbers the discriminator has to give for an image; a loss of more than
            one needs a space that builds such discriminators (`SearchSpace.supports_outputs`).
    """

    sees_real: ClassVar[bool] = False
    outputs: int = 1

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss, a scalar, of logits on real and on generated images."""

    @abstractmethod
    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """The generator's loss, a scalar.

        Args:
            fake: logits on generated images.
            real: logits on real images, without gradients, if the loss `sees_real`.
        """

    def penalty(
        self,
        critic: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
        generator: torch.Generator,
    ) -> Tensor | None:
        """A term of the discriminator's loss that looks at images, before its weight; or None.

        The weight is ``trainer.gradient_penalty``.

        Args:
            critic: maps images (N, C, H, W) to logits.
            real: images as the discriminator saw them.
            fake: as many generated ones.
            generator: all random numbers come from it.
        """
        del critic, real, fake, generator
        return None


class Augmentation(ABC):
    """Changes real and generated images before the discriminator sees them.

    Gradients flow through it to the generator (Zhao et al. 2020). Settings are keyword arguments of
    ``__init__`` (``trainer.augmentation_settings``).
    """

    @abstractmethod
    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], changed; random numbers come from ``generator`` alone."""
