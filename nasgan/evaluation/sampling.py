"""Generated images for the metrics, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nasgan.errors import TrainingDiverged
from nasgan.metrics import to_uint8
from nasgan.randomness import torch_generator

__all__ = ["evaluation_mode", "finite_images", "image_sampler"]


def image_sampler(
    generate: Callable[[Tensor, Tensor | None], Tensor],
    *,
    latent_dim: int,
    num_classes: int,
    seed: int,
    device: torch.device,
) -> Callable[[int], Tensor]:
    """A function that gives the next ``count`` images (uint8, N, C, H, W) of a generator.

    Every sampler of one seed draws the same latents, so that candidates are compared on the same
    z: what differs between their scores is the architectures, not the draw.

    Args:
        generate: maps z (N, latent_dim) and classes (N,) or None to images in [-1, 1].
        latent_dim: length of z.
        num_classes: classes to draw uniformly, or 0.
        seed: of the draw.
        device: of z.
    """
    latents = torch_generator(seed, "evaluation latents", device=device)

    def sample(count: int) -> Tensor:
        z = torch.randn((count, latent_dim), generator=latents, device=device)
        labels = None
        if num_classes:
            labels = torch.randint(num_classes, (count,), generator=latents, device=device)
        with torch.no_grad():
            return to_uint8(generate(z, labels).float())

    return sample


def finite_images(images: Tensor, *, generator_step: int) -> Tensor:
    """``images`` as they are: what an update broke shows here first, before the next loss.

    Raises:
        TrainingDiverged: a pixel is not finite.
    """
    if not bool(images.isfinite().all()):
        raise TrainingDiverged("the generated images are not finite", generator_step=generator_step)
    return images


@contextmanager
def evaluation_mode(network: nn.Module, *, batch_statistics: bool = False) -> Iterator[None]:
    """Run a block with ``network`` in eval mode, and put every module back as it was.

    Args:
        network: a generator.
        batch_statistics: let batch norms use the statistics of the batch at hand instead of the
            running ones, without moving these.
    """
    modes = [(module, module.training) for module in network.modules()]
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    network.eval()
    if batch_statistics:
        for norm in norms:
            norm.train()
            norm.track_running_stats = False
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for norm in norms:
            norm.track_running_stats = True
