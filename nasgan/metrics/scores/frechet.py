"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nasgan.metrics.images import MetricError, check_features

__all__ = ["FrechetReference", "frechet_distance", "frechet_reference"]

_CHUNK = 8192


@dataclass(frozen=True)
class FrechetReference:
    """The half of the distance that depends on the real set only; float64.

    Attributes:
        mean: (D,).
        trace: trace of the unbiased covariance, a scalar tensor.
        root: (D, r) with ``root @ root.T`` the covariance and r its numerical rank: the square
            root R, rotated onto the covariance's eigenvectors, without the columns that are zero.
    """

    mean: Tensor
    trace: Tensor
    root: Tensor


def mean_and_covariance(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and unbiased covariance (D, D) in float64, in chunks of rows."""
    if len(features) < 2:
        raise MetricError(f"a covariance needs at least 2 images, got {len(features)}")
    mean = sum_rows(features) / len(features)
    width = features.shape[1]
    scatter = torch.zeros((width, width), dtype=torch.float64, device=features.device)
    for chunk in torch.split(features, _CHUNK):
        centred = chunk.double() - mean
        scatter.addmm_(centred.T, centred)
    return mean, scatter / (len(features) - 1)


def sum_rows(features: Tensor) -> Tensor:
    """Sum over the images in float64."""
    return features.sum(dim=0, dtype=torch.float64)


def frechet_reference(features: Tensor) -> FrechetReference:
    """Everything about the real features (N, D) that each distance reuses.

    Raises:
        MetricError: the features are not finite, or fewer than two.
    """
    check_features(features, "real features")
    mean, covariance = mean_and_covariance(features)
    values, vectors = torch.linalg.eigh(covariance)
    # Eigenvalues of a singular covariance (fewer images than dimensions, dead features) come out
    # as rounding noise of this size; their square roots would not be small.
    noise = values.abs().max() * torch.finfo(torch.float64).eps * len(values) ** 0.5
    kept = values > noise
    root = vectors[:, kept] * values[kept].sqrt()
    return FrechetReference(mean, covariance.trace(), root.contiguous())


def frechet_distance(features: Tensor, reference: FrechetReference) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), with unbiased covariances.

    Args:
        features: (N, D) of generated images.
        reference: of the real images, on the same device.

    Returns:
        The distance; never negative.

    Raises:
        MetricError: the features are not finite, fewer than two, or of another width.
    """
    check_features(features, "generated features")
    if features.shape[1] != len(reference.mean):
        raise MetricError(
            f"generated features are {features.shape[1]}-dimensional, the reference's "
            f"{len(reference.mean)}-dimensional: both must come from the same extractor"
        )
    count, rank = len(features), reference.root.shape[1]
    if count <= rank:
        mean = sum_rows(features) / count
        if count < 2:
            raise MetricError(f"a covariance needs at least 2 images, got {count}")
        # The covariance is singular. The product's nonzero eigenvalues are those of a matrix over
        # images; over dimensions there would be zeros, whose rounding noise the root magnifies.
        centred = (features.double() - mean) / (count - 1) ** 0.5
        trace = centred.square().sum()
        projected = centred @ reference.root
        product = projected @ projected.T
    else:
        mean, covariance = mean_and_covariance(features)
        trace = covariance.trace()
        product = reference.root.T @ covariance @ reference.root
    root_trace = trace_of_root(product)
    shift = (mean - reference.mean).square().sum()
    return max(0.0, float(shift + trace + reference.trace - 2.0 * root_trace))


def trace_of_root(product: Tensor) -> Tensor:
    """Trace of the square root of a symmetric positive semidefinite matrix (float64).

    For ``product = R S1 R`` with ``R = S2^(1/2)`` it equals the trace of (S1 S2)^(1/2), because
    the two matrices have the same eigenvalues; no matrix square root and no complex numbers.
    """
    values: Tensor = torch.linalg.eigvalsh(product)
    return values.clamp(min=0.0).sqrt().sum()
