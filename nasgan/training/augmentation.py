"""Augmentations that gradients flow through."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nasgan.contracts import Augmentation
from nasgan.errors import ConfigError, quoted

__all__ = ["DiffAugment"]

_POLICIES = ("color", "translation", "cutout")


class DiffAugment(Augmentation):
    """Differentiable augmentation for data-efficient GANs (Zhao et al. 2020, section 3.2).

    Each image is changed by draws of its own: brightness (added, uniform in [-0.5, 0.5]),
    saturation (the distance to the mean over channels times a factor in [0, 2]) and contrast (the
    distance to the mean of the image times a factor in [0.5, 1.5]); a translation of up to an
    eighth of the side, filled with zeros; a square of half the side set to zero. Zero is the middle
    grey of images in [-1, 1].

    Args:
        policy: what is done, of ``color``, ``translation`` and ``cutout``, in this order.
        translation: the largest shift, as a share of the side.
        cutout: the side of the square, as a share of the image's.

    Raises:
        ConfigError: an unknown policy, or a share outside [0, 1].
    """

    def __init__(
        self,
        *,
        policy: Sequence[str] = _POLICIES,
        translation: float = 0.125,
        cutout: float = 0.5,
    ) -> None:
        unknown = [name for name in policy if name not in _POLICIES]
        if unknown or not policy:
            raise ConfigError(
                f"diffaugment: policy takes {', '.join(_POLICIES)}, got {quoted(list(policy))}"
            )
        for name, share in {"translation": translation, "cutout": cutout}.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"diffaugment: {name} must be in [0, 1], got {quoted(share)}")
        self._policy = tuple(policy)
        self._translation = translation
        self._cutout = cutout

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """See `Augmentation`."""
        if "color" in self._policy:
            images = _recoloured(images, generator)
        if "translation" in self._policy:
            images = self._translated(images, generator)
        if "cutout" in self._policy:
            images = self._cut(images, generator)
        return images

    def _translated(self, images: Tensor, generator: torch.Generator) -> Tensor:
        count, _, height, width = images.shape
        rows, rows_inside = _shifted(count, height, self._translation, images, generator)
        columns, columns_inside = _shifted(count, width, self._translation, images, generator)
        inside = rows_inside[:, None, :, None] & columns_inside[:, None, None, :]
        numbers = torch.arange(count, device=images.device)[:, None, None]
        # Advanced indices beside a slice put the channels last.
        moved = images[numbers, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return moved * inside.to(images.dtype)

    def _cut(self, images: Tensor, generator: torch.Generator) -> Tensor:
        count, _, height, width = images.shape
        rows = _inside_square(count, height, self._cutout, images, generator)
        columns = _inside_square(count, width, self._cutout, images, generator)
        hidden = rows[:, None, :, None] & columns[:, None, None, :]
        return images * (~hidden).to(images.dtype)


def _recoloured(images: Tensor, generator: torch.Generator) -> Tensor:
    brightness, saturation, contrast = (_uniform(images, generator) for _ in range(3))
    images = images + (brightness - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * (2 * saturation) + grey
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (contrast + 0.5) + mean


def _uniform(images: Tensor, generator: torch.Generator) -> Tensor:
    shape = (len(images), 1, 1, 1)
    drawn = torch.rand(shape, generator=generator, device=images.device, dtype=torch.float64)
    return drawn.to(images.dtype)


def _shifted(
    count: int, side: int, share: float, images: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Where each pixel of a side comes from, (count, side), and whether that is in the image."""
    most = int(side * share + 0.5)
    shift = torch.randint(-most, most + 1, (count, 1), generator=generator, device=images.device)
    source = torch.arange(side, device=images.device) + shift
    return source.clamp(0, side - 1), (source >= 0) & (source < side)


def _inside_square(
    count: int, side: int, share: float, images: Tensor, generator: torch.Generator
) -> Tensor:
    """Which pixels of a side the square covers, (count, side); it may stick out of the image."""
    size = int(side * share + 0.5)
    offset = torch.randint(
        side + (1 - size % 2), (count, 1), generator=generator, device=images.device
    )
    distance = torch.arange(side, device=images.device) - (offset - size // 2)
    return (distance >= 0) & (distance < size)
