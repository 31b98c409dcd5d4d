"""Cost of the metrics: the trace in FID against scipy's sqrtm, all scores against their features.

    python benchmarks/metrics.py [--images N] [--reference M] [--timed K] [--threads T]

Features are EfficientNet-Lite0's at its default resolution (1280 dimensions). Ratios are within
this run. The features of all N images are extrapolated from K timed ones unless ``--timed`` is N;
the scores are computed in full, on N features drawn around the timed ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from nasgan.metrics.extractor import Features, make_features
from nasgan.metrics.harness import MetricHarness
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.reference import ReferenceStatistics
from nasgan.metrics.scores.frechet import trace_of_root

T = TypeVar("T")


def timed(work: Callable[[], T], repeats: int = 1) -> tuple[float, T]:
    """Fastest of ``repeats`` runs in seconds, and the last result."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def covariance(width: int, generator: torch.Generator) -> Tensor:
    """A full-rank covariance with the fast-decaying spectrum that image features have."""
    scales = torch.arange(1, width + 1, dtype=torch.float64) ** -0.7
    rotation = torch.randn(width, width, generator=generator, dtype=torch.float64)
    rows = torch.randn(2 * width, width, generator=generator, dtype=torch.float64) * scales
    return torch.cov((rows @ rotation / width**0.5).T)


def compare_traces(width: int, generator: torch.Generator) -> None:
    """FID's trace by eigenvalues, with R at hand, against scipy's matrix square root."""
    first, second = covariance(width, generator), covariance(width, generator)
    values, vectors = torch.linalg.eigh(second)
    root = vectors * values.clamp(min=0.0).sqrt()
    ours, trace = timed(lambda: float(trace_of_root(root.T @ first @ root)), repeats=3)
    product = (first @ second).numpy()
    theirs, expected = timed(lambda: float(np.trace(scipy.linalg.sqrtm(product)).real))
    print(f"\ntrace of (S1 S2)^(1/2), {width} dimensions, float64")
    print(f"  {'scipy sqrtm':<34}{theirs:9.2f} s   {expected:.9f}")
    print(f"  {'eigvalsh(R S1 R), R cached':<34}{ours:9.2f} s   {trace:.9f}")
    print(f"  {'ratio (target >= 5)':<34}{theirs / ours:9.1f}")
    print(f"  {'relative difference':<34}{abs(trace - expected) / abs(expected):9.1e}")


def spread_out(features: Features, count: int, generator: torch.Generator) -> Features:
    """``count`` rows in general position with the statistics of the timed features."""

    def rows(values: Tensor) -> Tensor:
        chosen = torch.randint(len(values), (count,), generator=generator)
        noise = torch.randn((count, values.shape[1]), generator=generator) * values.std()
        return values[chosen] + 0.3 * noise

    return Features(rows(features.features), rows(features.logits))


def compare_costs(images: int, reference_images: int, timed_images: int) -> None:
    """All metrics together against the features that they are computed from."""
    generator = torch.Generator().manual_seed(0)
    extractor = make_features("lite0", device="cpu")
    shape = (timed_images, 3, 32, 32)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    extractor(pixels[: extractor.batch_size])  # first calls allocate and choose kernels
    seconds, some = timed(lambda: extractor(pixels))
    features_cost = seconds * images / timed_images
    generated = some if timed_images == images else spread_out(some, images, generator)
    real = spread_out(some, reference_images, generator).features
    reference_cost, reference = timed(
        lambda: ReferenceStatistics.from_features(real, num_generated=images)
    )
    protocol = Protocol("noise", "train", images, extractor.protocol_name)
    harness = MetricHarness(extractor, reference, num_images=images, protocol=protocol)
    scores_cost, _ = timed(lambda: harness.score(generated))
    how = "measured" if timed_images == images else f"extrapolated from {timed_images} images"
    print(
        f"\nall metrics, {images} generated images against {reference_images}, Lite0, 1280-d, CPU"
    )
    print(f"  {'features':<34}{features_cost:9.2f} s   ({how})")
    for name in harness.metrics:
        alone = MetricHarness(
            extractor, reference, num_images=images, metrics=(name,), protocol=protocol
        )
        cost, _ = timed(lambda scorer=alone: scorer.score(generated))  # type: ignore[misc]
        print(f"  {name + ' alone':<34}{cost:9.2f} s")
    print(f"  {'all scores':<34}{scores_cost:9.2f} s")
    print(f"  {'reference statistics (once)':<34}{reference_cost:9.2f} s")
    total = features_cost + scores_cost
    print(f"  {'features and scores / features':<34}{total / features_cost:9.3f}   (target <= 1.2)")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--reference", type=int, default=10_000)
    parser.add_argument("--timed", type=int, default=1_000, help="images timed for the features")
    parser.add_argument("--width", type=int, default=2048, help="dimensions of the FID trace")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} thread(s)")
    compare_costs(arguments.images, arguments.reference, min(arguments.timed, arguments.images))
    compare_traces(arguments.width, torch.Generator().manual_seed(0))


if __name__ == "__main__":
    main()
