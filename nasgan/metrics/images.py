"""What goes into a score: 8-bit images and finite features, refused early when they are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from nasgan.errors import ConfigError, NasganError, quoted

__all__ = [
    "NOT_FINITE",
    "CheckedSampler",
    "GeneratedImages",
    "MetricError",
    "RealImages",
    "Sampler",
    "check_features",
    "check_images",
    "to_uint8",
    "unchecked_uint8",
]


class MetricError(NasganError, ValueError):
    """Images or features cannot be scored: wrong shape or type, too few, or not finite."""


class GeneratedImages(NamedTuple):
    """What a sampler gives the harness.

    Attributes:
        images: uint8 (N, C, H, W), see `to_uint8`.
        labels: the class that each was generated for, int64 (N,); None without classes.
    """

    images: Tensor
    labels: Tensor | None = None


class RealImages(Protocol):
    """What the harness needs of a data set; `nasgan.data.ImageSet` has it."""

    @property
    def images(self) -> Tensor:
        """Uint8 (M, C, H, W)."""

    @property
    def labels(self) -> Tensor | None:
        """Classes, int64 (M,), where there are some."""

    @property
    def checksum(self) -> str:
        """Hash of the content, labels included."""

    @property
    def identity(self) -> str:
        """The name in protocol ids."""

    @property
    def split(self) -> str:
        """For example ``"train"``."""


NOT_FINITE = (
    "the generator's images hold NaN or infinity; its training diverged, use an earlier checkpoint"
)


#: Called with a count, gives that many generated images; called until there are enough.
Sampler: TypeAlias = Callable[[int], GeneratedImages]


@dataclass(frozen=True)
class CheckedSampler:
    """A `Sampler` that looks at what it gave when all is drawn, not at each batch.

    Attributes:
        draw: the sampler.
        check: raises `TrainingDiverged` if something was wrong.
    """

    draw: Sampler
    check: Callable[[], None]

    def __call__(self, count: int) -> GeneratedImages:
        """The next ``count`` images."""
        return self.draw(count)


def to_uint8(images: Tensor, rounding: Literal["truncate", "round"] = "truncate") -> Tensor:
    """Turn a generator's images in [-1, 1] into 8-bit images.

    Args:
        images: float images of any shape; ``x * 127.5 + 127.5`` is clamped to [0, 255].
        rounding: ``"truncate"`` as both published repositories do, or ``"round"`` to nearest.

    Raises:
        ConfigError: ``rounding`` is neither of the two.
        MetricError: a pixel is not finite (it would silently become black).
    """
    if rounding not in ("truncate", "round"):
        raise ConfigError(f"rounding must be 'truncate' or 'round', got {quoted(rounding)}")
    if not bool(torch.isfinite(images).all()):
        raise MetricError(NOT_FINITE)
    return unchecked_uint8(images, rounding)


def unchecked_uint8(images: Tensor, rounding: str = "truncate") -> Tensor:
    """`to_uint8` of images that the caller looks at, by the batch or once for many."""
    pixels = images.detach().float().mul(127.5).add(127.5).clamp(0.0, 255.0)
    return (pixels.round() if rounding == "round" else pixels).to(torch.uint8)


def check_images(images: Tensor) -> None:
    """Refuse what is not a batch of 8-bit images (N, C, H, W) with 1 or 3 channels.

    Raises:
        MetricError: says what came instead.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise MetricError(
            "metrics take uint8 images of shape (N, 1 or 3, H, W), got "
            f"{images.dtype} of shape {tuple(images.shape)}; convert a generator's output in "
            "[-1, 1] with nasgan.metrics.to_uint8"
        )
    if images.numel() == 0:
        raise MetricError(f"there are no images to score: shape {tuple(images.shape)}")


def check_features(values: Tensor, what: str) -> None:
    """Refuse features or logits that are no finite (N, D) matrix.

    Args:
        values: the matrix.
        what: its name in the message, e.g. ``"generated features"``.

    Raises:
        MetricError: the shape is wrong, or a value is NaN or infinite.
    """
    if values.ndim != 2 or 0 in values.shape:
        raise MetricError(
            f"{what} must be a matrix (images, dimensions), got {tuple(values.shape)}"
        )
    finite = torch.isfinite(values).all(dim=1)
    if not bool(finite.all()):
        bad = int((~finite).sum())
        raise MetricError(
            f"{what}: {bad} of {len(values)} rows hold NaN or infinity (first: row "
            f"{int((~finite).int().argmax())}); no score is computed from them. Look at the images "
            "and at the precision of the feature extractor"
        )
