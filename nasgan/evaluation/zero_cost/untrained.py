"""A pair of networks before its training, and the images and latents that it is looked at with."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from nasgan.architecture import Part
from nasgan.contracts import AdversarialLoss, NetworkPair
from nasgan.data import ImageSet
from nasgan.data.image_set import to_float
from nasgan.evaluation.sampling import evaluation_mode
from nasgan.randomness import numpy_generator, torch_generator

__all__ = ["Gradients", "Half", "Inputs", "Untrained", "eigenvalues", "untrained"]

# Of real and of generated images each: a gradient of all parameters is kept for every one.
_KERNEL_IMAGES = 16


@dataclass(frozen=True)
class Inputs:
    """What all architectures of a run are looked at with: K batches of B, in float64.

    Attributes:
        real: K tensors (B, C, H, W) in [-1, 1].
        z: K tensors (B, latent_dim).
        directions: (B, latent_dim), of length 1.
        real_labels: K tensors int64 (B,), or None without classes.
        labels: the same, of the latents.
    """

    real: tuple[Tensor, ...]
    z: tuple[Tensor, ...]
    directions: Tensor
    real_labels: tuple[Tensor | None, ...]
    labels: tuple[Tensor | None, ...]

    @classmethod
    def drawn(
        cls,
        images: ImageSet,
        *,
        latent_dim: int,
        num_classes: int = 0,
        batch_size: int,
        batches: int,
        seed: int,
        device: torch.device | None = None,
    ) -> Inputs:
        """Draw different images of ``images``, onto ``device`` or where these are, and latents.

        The draw is made on the CPU: it is the same on each device.
        """
        count, device = batch_size * batches, device or images.device
        chosen = numpy_generator(seed, "zero_cost images").permutation(len(images))[:count]
        index = torch.from_numpy(chosen).to(images.device)
        noise = torch_generator(seed, "zero_cost latents")
        z = torch.randn((count + batch_size, latent_dim), generator=noise, dtype=torch.float64)
        directions = torch.nn.functional.normalize(z[count:], dim=1).to(device)
        labels: tuple[Tensor | None, ...] = (None,) * batches
        real_labels = labels
        if num_classes and images.labels is not None:
            real_labels = torch.split(images.labels[index].to(device), batch_size)
            labels = torch.split(torch.arange(count, device=device) % num_classes, batch_size)
        real = to_float(images.images[index].to(device), dtype=torch.float64)
        return cls(
            torch.split(real, batch_size),
            torch.split(z[:count].to(device), batch_size),
            directions,
            real_labels,
            labels,
        )


@dataclass(frozen=True)
class Half:
    """One network and its batches.

    Attributes:
        network: in float64, normalised by the batch at hand.
        inputs: K batches.
        labels: of each, or None.
    """

    network: nn.Module
    inputs: tuple[Tensor, ...]
    labels: tuple[Tensor | None, ...]

    def run(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """The network's outputs of ``x``."""
        y: Tensor = self.network(x) if labels is None else self.network(x, labels=labels)
        return y

    def batch(self, k: int = 0) -> Tensor:
        """The outputs of batch ``k``."""
        return self.run(self.inputs[k], self.labels[k])


@dataclass(frozen=True)
class Gradients:
    """A player's parameters with a share in its loss, and the gradients by each batch.

    Attributes:
        parameters: P tensors.
        batches: of each batch P tensors, shaped like the parameters.
    """

    parameters: tuple[Tensor, ...]
    batches: tuple[tuple[Tensor, ...], ...]


class Untrained:
    """A pair at its initial values, in float64.

    Args:
        pair: it is copied.
        inputs: to look at it with.
        loss: of its training.

    Attributes:
        generator: with the latents.
        discriminator: with the real images.
        inputs: as above.
        loss: as above.
    """

    def __init__(self, pair: NetworkPair, inputs: Inputs, loss: AdversarialLoss) -> None:
        self.inputs = inputs
        self.loss = loss
        own = copy.deepcopy(nn.ModuleList([pair.generator, pair.discriminator])).double()
        self.networks = own
        self.generator = Half(own[0], inputs.z, inputs.labels)
        self.discriminator = Half(own[1], inputs.real, inputs.real_labels)

    def half(self, part: Part) -> Half:
        """The network called ``part``."""
        return self.generator if part == "generator" else self.discriminator

    @cached_property
    def generated(self) -> tuple[Tensor, ...]:
        """The generator's images of each batch, without gradients."""
        with torch.no_grad():
            return tuple(self.generator.batch(k) for k in range(len(self.inputs.z)))

    @cached_property
    def generator_gradients(self) -> Gradients:
        """Of the generator's loss."""
        return _gradients(self.generator.network, [*map(self._generator_loss, self._batches)])

    @cached_property
    def discriminator_gradients(self) -> Gradients:
        """Of the discriminator's loss."""
        losses = [*map(self._discriminator_loss, self._batches)]
        return _gradients(self.discriminator.network, losses)

    def gradients(self, part: Part) -> Gradients:
        """Of the loss of the player ``part``."""
        is_generator = part == "generator"
        return self.generator_gradients if is_generator else self.discriminator_gradients

    @property
    def _batches(self) -> range:
        return range(len(self.inputs.z))

    def _judge(self, images: Tensor, k: int) -> Tensor:
        return self.discriminator.run(images, self.inputs.labels[k])

    def _generator_loss(self, k: int) -> Tensor:
        fake, real = self._judge(self.generator.batch(k), k), None
        if self.loss.sees_real:
            real = self.discriminator.batch(k).detach()
        return self.loss.generator(fake, real)

    def _discriminator_loss(self, k: int) -> Tensor:
        fake = self._judge(self.generated[k], k)
        return self.loss.discriminator(self.discriminator.batch(k), fake)

    @cached_property
    def tangents(self) -> tuple[Tensor, Tensor]:
        """The gradients of D by all its parameters at some real and as many generated images.

        Two tensors (N, P); of a vector of outputs it is the gradient of their sum.
        """
        on_real, on_fake = self.discriminator.batch(), self._judge(self.generated[0], 0)
        parameters = tuple(self.discriminator.network.parameters())
        real, fake = (_rows(outputs[:_KERNEL_IMAGES], parameters) for outputs in (on_real, on_fake))
        return real, fake


@contextmanager
def untrained(pair: NetworkPair, inputs: Inputs, loss: AdversarialLoss) -> Iterator[Untrained]:
    """`Untrained`, normalised by the batch at hand: running statistics of nothing say nothing."""
    held = Untrained(pair, inputs, loss)
    with evaluation_mode(held.networks, batch_statistics=True):
        yield held


def eigenvalues(matrix: Tensor) -> Tensor:
    """Of a symmetric matrix (N, N), rising; NaN where it is not finite."""
    if not bool(matrix.isfinite().all()):
        return torch.full((len(matrix),), torch.nan, dtype=matrix.dtype, device=matrix.device)
    values: Tensor = torch.linalg.eigvalsh(matrix)
    return values


def _gradients(network: nn.Module, losses: list[Tensor]) -> Gradients:
    parameters = tuple(network.parameters())
    found = [torch.autograd.grad(loss, parameters, allow_unused=True) for loss in losses]
    used = [k for k in range(len(parameters)) if found[0][k] is not None]
    return Gradients(
        tuple(parameters[k].detach() for k in used),
        tuple(tuple(batch[k] for k in used) for batch in found),
    )


def _rows(outputs: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    """The gradient of each output (N, ...) by all parameters, (N, P)."""
    rows = []
    for output in outputs.flatten(1).sum(1):
        found = torch.autograd.grad(output, parameters, retain_graph=True, allow_unused=True)
        rows.append(torch.cat([part.flatten() for part in found if part is not None]))
    return torch.stack(rows)
