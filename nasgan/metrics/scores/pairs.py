"""Inner products between images' features, tile by tile: memory stays bounded for any number.

A kernel and a distance between two images are both functions of their inner product, so that one
pass over the tiles serves every score that compares images in pairs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["PairwiseScore", "cross_tiles", "score_pairs", "symmetric_tiles"]

# Sides of a tile. On a CPU the tile (8 MiB) should stay in the cache; a GPU wants large products.
_CPU_TILE = 1024
_ACCELERATOR_TILE = 8192


class PairwiseScore(ABC):
    """A score that is built up from tiles of inner products (float64)."""

    @abstractmethod
    def within(self, rows: slice, columns: slice, gram: Tensor) -> None:
        """Take in a tile of generated-generated products.

        Tiles on and above the diagonal come, row by row; the rest follows by symmetry. ``gram``
        must be left as it is.
        """

    @abstractmethod
    def across(self, rows: slice, columns: slice, gram: Tensor) -> None:
        """Take in a tile of generated-real products, after all `within`; leave it as it is."""


def score_pairs(generated: Tensor, real: Tensor, scores: Sequence[PairwiseScore]) -> None:
    """Show every pair of images to ``scores``.

    Args:
        generated: features (N, D).
        real: features (M, D) on the same device.
        scores: take in the products.
    """
    for rows, columns, gram in symmetric_tiles(generated):
        for score in scores:
            score.within(rows, columns, gram)
    for rows, columns, gram in cross_tiles(generated, real):
        for score in scores:
            score.across(rows, columns, gram)


def symmetric_tiles(features: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Tiles of ``features @ features.T`` on and above the diagonal."""
    for rows in _slices(features):
        left = features[rows].double()
        yield rows, rows, left @ left.T
        for columns in _slices(features, begin=rows.stop):
            yield rows, columns, left @ features[columns].double().T


def cross_tiles(left: Tensor, right: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Tiles of ``left @ right.T``."""
    for rows in _slices(left):
        slab = left[rows].double()
        for columns in _slices(right):
            yield rows, columns, slab @ right[columns].double().T


def squared_norms(features: Tensor) -> Tensor:
    """(N,) squared lengths in float64, without a float64 copy of all the features."""
    return torch.cat([chunk.double().square().sum(dim=1) for chunk in torch.split(features, 8192)])


def _slices(features: Tensor, begin: int = 0) -> Iterator[slice]:
    side = _CPU_TILE if features.device.type == "cpu" else _ACCELERATOR_TILE
    count = len(features)
    for start in range(begin, count, side):
        yield slice(start, min(start + side, count))
