"""Kernel inception distance (Binkowski et al. 2018, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nasgan.errors import ConfigError
from nasgan.metrics.images import check_features
from nasgan.metrics.scores.pairs import PairwiseScore, score_pairs, squared_norms

__all__ = ["KernelDistance", "KernelSettings", "kernel_distance", "real_kernel_sums"]


@dataclass(frozen=True)
class KernelSettings:
    """How the distance is estimated; the defaults are torch-fidelity's.

    Attributes:
        subsets: number of random subsets that the estimate averages over.
        subset_size: images in a subset. With fewer images, generated or real, a subset is as
            large as the smaller of the two sets.
        seed: of the subsets; the same numbers of images always give the same subsets.
    """

    subsets: int = 100
    subset_size: int = 1000
    seed: int = 2020

    def __post_init__(self) -> None:
        if self.subsets < 1 or self.subset_size < 2:
            raise ConfigError(
                "KID needs at least 1 subset of at least 2 images, got subsets="
                f"{self.subsets} and subset_size={self.subset_size}"
            )


class KernelDistance(PairwiseScore):
    """Unbiased squared maximum mean discrepancy under the kernel (x.y / D + 1)^3.

    Args:
        generated: features (N, D).
        real: features (M, D).
        settings: of the subsets.
        real_sums: `real_kernel_sums` for the same numbers of images and settings.
    """

    def __init__(
        self, generated: Tensor, real: Tensor, settings: KernelSettings, real_sums: Tensor
    ) -> None:
        self._width = generated.shape[1]
        drawn, real_drawn = _subsets(len(generated), len(real), settings)
        self._size = drawn.shape[1]
        self._members = _membership(drawn, len(generated), generated.device)
        self._real_members = _membership(real_drawn, len(real), real.device)
        self._real_sums = real_sums
        diagonal = (squared_norms(generated) / self._width + 1.0).pow(3)
        self._within = -(diagonal @ self._members)
        self._across = torch.zeros_like(self._within)

    def within(self, rows: slice, columns: slice, gram: Tensor) -> None:
        """See `PairwiseScore`."""
        part = self._sums(gram, self._members[rows], self._members[columns])
        self._within += part if rows == columns else 2.0 * part

    def across(self, rows: slice, columns: slice, gram: Tensor) -> None:
        """See `PairwiseScore`."""
        self._across += self._sums(gram, self._members[rows], self._real_members[columns])

    def result(self) -> tuple[float, float]:
        """Mean and population standard deviation over the subsets."""
        size = self._size
        estimates = (self._within + self._real_sums) / (size * (size - 1))
        estimates -= 2.0 * self._across / size**2
        return float(estimates.mean()), float(estimates.std(correction=0))

    def _sums(self, gram: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """(subsets,) kernel sums over the pairs of the tile that are both in the subset."""
        return ((_kernel(gram, self._width) @ right) * left).sum(dim=0)


def kernel_distance(
    generated: Tensor, real: Tensor, settings: KernelSettings | None = None
) -> tuple[float, float]:
    """KID from features alone.

    Args:
        generated: (N, D) features of generated images.
        real: (M, D) features of real images, on the same device.
        settings: see `KernelSettings`.

    Returns:
        Mean and population standard deviation over the subsets. Unbiased: for equal
        distributions the mean is as often below zero as above.

    Raises:
        MetricError: the features are not finite.
    """
    settings = settings or KernelSettings()
    check_features(generated, "generated features")
    check_features(real, "real features")
    score = KernelDistance(
        generated, real, settings, real_kernel_sums(real, len(generated), settings)
    )
    score_pairs(generated, real, [score])
    return score.result()


def real_kernel_sums(real: Tensor, num_generated: int, settings: KernelSettings) -> Tensor:
    """The real-real part of the estimate, which every evaluation of that many images reuses.

    Returns:
        (subsets,) float64: sums of the kernel over the pairs of different images of a subset.
    """
    _, drawn = _subsets(num_generated, len(real), settings)
    sums = []
    for indices in drawn:
        subset = real[indices.to(real.device)].double()
        kernel = _kernel(subset @ subset.T, real.shape[1])
        sums.append(kernel.sum() - kernel.diagonal().sum())
    return torch.stack(sums)


def _kernel(gram: Tensor, width: int) -> Tensor:
    return torch.add(torch.ones_like(gram[:1, :1]), gram, alpha=1.0 / width).pow_(3)


# The same for all evaluations of a run: a fifth of a second for 50,000 images. Read-only.
@lru_cache(maxsize=4)
def _subsets(num_generated: int, num_real: int, settings: KernelSettings) -> tuple[Tensor, Tensor]:
    """Indices (subsets, size) into both sets, drawn alternately as torch-fidelity draws them."""
    size = min(settings.subset_size, num_generated, num_real)
    if size < 2:
        raise ConfigError(f"KID needs at least 2 images of each kind: {num_generated}, {num_real}")
    random = np.random.RandomState(settings.seed)
    pairs = [
        (
            random.choice(num_generated, size, replace=False),
            random.choice(num_real, size, replace=False),
        )
        for _ in range(settings.subsets)
    ]
    generated, real = (torch.from_numpy(np.stack(drawn)) for drawn in zip(*pairs, strict=True))
    return generated, real


def _membership(indices: Tensor, count: int, device: torch.device) -> Tensor:
    """(count, subsets) float64: 1 where an image is in a subset."""
    members = torch.zeros((count, len(indices)), dtype=torch.float64)
    members.scatter_(0, indices.T, 1.0)
    return members.to(device)
