"""Precision, recall, density and coverage: is an image within another's neighbourhood?

Kynkäänniemi et al. 2019 (section 2) and Naeem et al. 2020 (section 3).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from nasgan.metrics.images import MetricError, check_features
from nasgan.metrics.scores.pairs import (
    PairwiseScore,
    score_pairs,
    squared_norms,
    symmetric_tiles,
)

__all__ = [
    "NEIGHBOURHOODS",
    "Balls",
    "NeighbourhoodReference",
    "NeighbourhoodScores",
    "NeighbourhoodSettings",
    "check_neighbours",
    "neighbourhood_reference",
    "neighbourhood_scores",
]

NEIGHBOURHOODS = ("precision", "recall", "density", "coverage")

# Distances that agree to this share of the largest length involved are equal: exact ties (an
# image and its own copy, a neighbour on the sphere it defines) must not hang on rounding.
_TIE = 1e-12


@dataclass(frozen=True)
class NeighbourhoodSettings:
    """Sizes of the neighbourhoods.

    Attributes:
        precision_recall: a ball reaches to this neighbour (3 in torch-fidelity and in
            Kynkäänniemi et al. 2019, section 4).
        density_coverage: the same for density and coverage (5 in Naeem et al. 2020, section 4).
    """

    precision_recall: int = 3
    density_coverage: int = 5


@dataclass(frozen=True)
class NeighbourhoodReference:
    """Squared distances (M,) in float64 from each real image to its k-th nearest other one.

    Empty where there are no more images than neighbours.
    """

    precision_radii: Tensor
    coverage_radii: Tensor


class Balls:
    """Balls around images, in terms of squared distances.

    Args:
        norms: (N,) squared lengths of the centres.
        radii: (N,) squared radii.
    """

    def __init__(self, norms: Tensor, radii: Tensor) -> None:
        tolerance = _TIE * (norms.sqrt() + radii.sqrt()).square()
        self.closed = radii + tolerance
        self.open = radii - tolerance


class NearestDistances:
    """Running (k+1) smallest squared distances of each image to all images, itself included."""

    def __init__(self, norms: Tensor, neighbours: int) -> None:
        _check_enough(len(norms), neighbours)
        self._norms = norms
        self._best = norms.new_full((len(norms), neighbours + 1), torch.inf)

    def take(self, rows: slice, columns: slice, gram: Tensor) -> None:
        """Take in a tile of inner products on or above the diagonal."""
        distances = gram.mul(-2.0).add_(self._norms[columns]).add_(self._norms[rows, None])
        self._merge(rows, distances)
        if rows != columns:
            self._merge(columns, distances.T.contiguous())

    def radii(self, neighbour: int) -> Tensor:
        """(N,) squared distance to the ``neighbour``-th nearest other image."""
        return self._best[:, neighbour].clamp(min=0.0)

    def _merge(self, rows: slice, distances: Tensor) -> None:
        width = self._best.shape[1]
        nearest = distances.topk(min(width, distances.shape[1]), dim=1, largest=False).values
        candidates = torch.cat([self._best[rows], nearest], dim=1)
        self._best[rows] = candidates.sort(dim=1).values[:, :width]


class NeighbourhoodScores(PairwiseScore):
    """Precision, recall, density and coverage in one pass over the pairs.

    Args:
        generated: features (N, D).
        real: features (M, D).
        reference: radii around the real images, made with the same ``settings``.
        settings: neighbourhood sizes.
        names: which of the four are wanted; nothing is made for the others.

    Raises:
        MetricError: there are no more images than neighbours.
    """

    def __init__(
        self,
        generated: Tensor,
        real: Tensor,
        reference: NeighbourhoodReference,
        settings: NeighbourhoodSettings,
        names: Collection[str] = NEIGHBOURHOODS,
    ) -> None:
        check_neighbours(len(real), settings, names)
        self._settings = settings
        self._names = names
        self._norms = squared_norms(generated)
        self._real_norms = squared_norms(real)
        self._nearest: NearestDistances | None = None
        if "recall" in names:
            self._nearest = NearestDistances(self._norms, settings.precision_recall)
        self._reference = reference
        self._balls: dict[str, Balls] = {}
        device = generated.device
        self._precise = torch.zeros(len(generated), dtype=torch.bool, device=device)
        self._recalled = torch.zeros(len(real), dtype=torch.bool, device=device)
        self._inside = torch.zeros((), dtype=torch.int64, device=device)
        self._closest = torch.full_like(self._real_norms, torch.inf)

    def within(self, rows: slice, columns: slice, gram: Tensor) -> None:
        """See `PairwiseScore`."""
        if self._nearest is not None:
            self._nearest.take(rows, columns, gram)

    def across(self, rows: slice, columns: slice, gram: Tensor) -> None:
        """See `PairwiseScore`."""
        balls = self._made_balls()
        distances = gram.mul(-2.0).add_(self._real_norms[columns]).add_(self._norms[rows, None])
        if "precision" in balls:
            self._precise[rows] |= (distances <= balls["precision"].closed[columns]).any(dim=1)
        if "recall" in balls:
            self._recalled[columns] |= (distances <= balls["recall"].closed[rows, None]).any(dim=0)
        if "coverage" in balls:
            self._inside += (distances < balls["coverage"].open[columns]).sum()
            self._closest[columns] = torch.minimum(self._closest[columns], distances.amin(dim=0))

    def result(self) -> dict[str, float]:
        """The scores wanted, by name."""
        balls = self._made_balls()
        scores: dict[str, float] = {}
        if "precision" in balls:
            scores["precision"] = float(self._precise.double().mean())
        if "recall" in balls:
            scores["recall"] = float(self._recalled.double().mean())
        if "coverage" in balls:
            pairs = self._settings.density_coverage * len(self._norms)
            covered = self._closest < balls["coverage"].open
            scores["density"] = float(self._inside) / pairs
            scores["coverage"] = float(covered.double().mean())
        return {name: scores[name] for name in NEIGHBOURHOODS if name in self._names}

    def _made_balls(self) -> dict[str, Balls]:
        """The balls that the wanted scores ask about; those of recall exist after all `within`."""
        if not self._balls:
            if "precision" in self._names:
                self._balls["precision"] = Balls(self._real_norms, self._reference.precision_radii)
            if self._nearest is not None:
                radii = self._nearest.radii(self._settings.precision_recall)
                self._balls["recall"] = Balls(self._norms, radii)
            if "density" in self._names or "coverage" in self._names:
                self._balls["coverage"] = Balls(self._real_norms, self._reference.coverage_radii)
        return self._balls


def check_neighbours(
    num_real: int, settings: NeighbourhoodSettings, names: Collection[str]
) -> None:
    """Refuse real images that are no more than the neighbours that the scores ``names`` count.

    Raises:
        MetricError: it is so.
    """
    if "density" in names or "coverage" in names:
        _check_enough(num_real, settings.density_coverage)
    if "precision" in names:
        _check_enough(num_real, settings.precision_recall)


def _check_enough(num_images: int, neighbours: int) -> None:
    if num_images <= neighbours:
        raise MetricError(
            f"a neighbourhood of {neighbours} needs more than {neighbours} images, got {num_images}"
        )


def neighbourhood_reference(
    real: Tensor, settings: NeighbourhoodSettings | None = None
) -> NeighbourhoodReference:
    """Neighbourhood radii around the real images, which every evaluation reuses.

    Args:
        real: (M, D) features.
        settings: neighbourhood sizes.

    Raises:
        MetricError: the features are not finite.
    """
    settings = settings or NeighbourhoodSettings()
    check_features(real, "real features")
    sizes = (settings.precision_recall, settings.density_coverage)
    nearest = NearestDistances(
        squared_norms(real), max((size for size in sizes if size < len(real)), default=0)
    )
    for rows, columns, gram in symmetric_tiles(real):
        nearest.take(rows, columns, gram)
    none = real.new_empty(0, dtype=torch.float64)
    return NeighbourhoodReference(
        *(nearest.radii(size) if size < len(real) else none for size in sizes)
    )


def neighbourhood_scores(
    generated: Tensor, real: Tensor, settings: NeighbourhoodSettings | None = None
) -> dict[str, float]:
    """Precision, recall, density and coverage from features alone.

    Precision is the share of generated images within the ball of any real image, recall the share
    of real images within the ball of any generated one (balls closed). Density counts how many
    real balls hold a generated image, over k; coverage is the share of real balls that hold any
    (balls open).

    Args:
        generated: (N, D) features of generated images.
        real: (M, D) features of real images, on the same device.
        settings: neighbourhood sizes.

    Raises:
        MetricError: the features are not finite, or there are no more images than neighbours.
    """
    settings = settings or NeighbourhoodSettings()
    check_features(generated, "generated features")
    reference = neighbourhood_reference(real, settings)
    score = NeighbourhoodScores(generated, real, reference, settings)
    score_pairs(generated, real, [score])
    return score.result()
