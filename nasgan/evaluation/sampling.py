"""Generated images for the metrics, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nasgan.errors import TrainingDiverged
from nasgan.metrics import GeneratedImages, MetricError
from nasgan.metrics.images import NOT_FINITE, CheckedSampler, unchecked_uint8
from nasgan.networks.passes import launches_are_dear
from nasgan.randomness import torch_generator

__all__ = ["evaluation_mode", "image_sampler", "images_of", "last_maps"]

# Of a convolution's weight.
_KERNEL_DIMS = 4


def images_of(generator: nn.Module, **given: Any) -> Callable[[Tensor, Tensor | None], Tensor]:
    """A function from latents and classes to the images of a generator, with classes or without.

    Args:
        generator: of one architecture, or a super-generator with ``weights=`` and ``stage=``.
        given: arguments of its forward.

    Returns:
        Maps z (N, latent_dim) and classes, int64 (N,), or None to images in [-1, 1].
    """

    def generate(z: Tensor, labels: Tensor | None) -> Tensor:
        labelled = given if labels is None else {**given, "labels": labels}
        images: Tensor = generator(z, **labelled)
        return images

    return generate


def image_sampler(
    generate: Callable[[Tensor, Tensor | None], Tensor],
    *,
    latent_dim: int,
    num_classes: int,
    seed: int,
    device: torch.device,
    generator_step: int | None = None,
) -> CheckedSampler:
    """A function that gives the next ``count`` images of a generator, for the metrics.

    Every sampler of one seed draws the same latents: candidates that share a seed are compared on
    the same z, and what differs between their scores is not the draw. Classes come in turn:
    each is drawn equally often.

    Args:
        generate: see `images_of`.
        latent_dim: length of z.
        num_classes: number of classes, or 0.
        seed: of the draw.
        device: of z.
        generator_step: of the training under way, which images that are not finite end: what an
            update broke shows here first, before the next loss.

    Raises:
        TrainingDiverged: by the sampler, or by its ``check`` on an accelerator: a pixel is not
            finite.
        MetricError: the same without ``generator_step``.
    """
    latents = torch_generator(seed, "evaluation latents", device=device)
    drawn = 0
    finite: list[Tensor] = []

    def check() -> None:
        broken = bool(finite) and not bool(torch.stack(finite).all())
        finite.clear()
        if broken and generator_step is None:
            raise MetricError(NOT_FINITE)
        if broken and generator_step is not None:
            what = "the generated images are not finite"
            raise TrainingDiverged(what, generator_step=generator_step)

    def sample(count: int) -> GeneratedImages:
        nonlocal drawn
        z = torch.randn((count, latent_dim), generator=latents, device=device)
        labels = None
        if num_classes:
            labels = torch.arange(drawn, drawn + count, device=device) % num_classes
        drawn += count
        with torch.no_grad():
            images = generate(z, labels).float()
        finite.append(images.isfinite().all())
        # Looking at them waits for an accelerator: of the first ones, and of the rest by `check`.
        if drawn == count or not launches_are_dear(images):
            check()
        return GeneratedImages(unchecked_uint8(images), labels)

    return CheckedSampler(sample, check)


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


@contextmanager
def last_maps(network: nn.Module) -> Iterator[list[Tensor]]:
    """Holds the maps (N, C, H, W) that enter the last convolution of the latest pass in the block.

    Whatever the space, that convolution makes the image of them.

    Args:
        network: a generator.

    Yields:
        A list of these maps alone; empty while no convolution was run.
    """
    seen: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[:] = inputs[:1]

    hooks = [
        module.register_forward_pre_hook(note)
        for module in network.modules()
        if any(parameter.ndim == _KERNEL_DIMS for parameter in module.parameters(recurse=False))
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
