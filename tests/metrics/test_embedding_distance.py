"""CMMD against its formula in float64."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from nasgan.metrics import Features, ReferenceStatistics
from nasgan.metrics.cache import TensorCache
from nasgan.metrics.images import MetricError
from nasgan.metrics.scores import pairs
from nasgan.metrics.scores.embedding_distance import embedding_distance, mean_kernel
from nasgan.metrics.table import METRICS


def embeddings(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((count, 6), generator=generator) + 0.3 * seed


def kernel_mean(x: np.ndarray, y: np.ndarray) -> float:
    """Pair by pair, of vectors of length 1."""
    x, y = ((v / np.linalg.norm(v, axis=1, keepdims=True)) for v in (x, y))
    return float(np.mean([math.exp(-((a - b) ** 2).sum() / 200) for a in x for b in y]))


def expected(generated: torch.Tensor, real: torch.Tensor) -> float:
    x, y = generated.double().numpy(), real.double().numpy()
    return 1000 * (kernel_mean(x, x) + kernel_mean(y, y) - 2 * kernel_mean(x, y))


@pytest.mark.parametrize("tile", [4, 1024])
def test_it_is_the_discrepancy_under_a_kernel_of_width_ten(
    monkeypatch: pytest.MonkeyPatch, tile: int
) -> None:
    monkeypatch.setattr(pairs, "_CPU_TILE", tile)
    generated, real = embeddings(11, 1), embeddings(9, 2)
    found = embedding_distance(generated, real, mean_kernel(real))
    assert found == pytest.approx(expected(generated, real), rel=1e-9)
    assert found > 0


def test_equal_sets_are_at_no_distance_and_lengths_do_not_count() -> None:
    real = embeddings(9, 2)
    assert embedding_distance(real, real, mean_kernel(real)) == pytest.approx(0, abs=1e-9)
    assert embedding_distance(5 * real, real, mean_kernel(real)) == pytest.approx(0, abs=1e-9)


def test_features_that_are_not_finite_are_refused() -> None:
    real = embeddings(9, 2)
    with pytest.raises(MetricError, match="hold NaN or infinity"):
        embedding_distance(real * math.nan, real, mean_kernel(real))


def test_the_metric_reads_the_real_half_from_the_reference(tmp_path: Path) -> None:
    generated, real = embeddings(11, 1), embeddings(9, 2)
    plain = ReferenceStatistics.from_features(real, num_generated=11, metrics=("cmmd",))
    info = METRICS["cmmd"]
    assert (info.label, info.direction) == ("CMMD", "min")
    assert info.compute is not None
    found = info.compute(Features(generated, torch.empty(11, 0)), plain)
    assert found == pytest.approx(expected(generated, real), rel=1e-9)
    cache, origin = TensorCache(tmp_path), {"checksum": "x"}
    first, second = (
        ReferenceStatistics(real, plain.frechet, 11, cache=cache, origin=origin) for _ in range(2)
    )
    assert torch.equal(first.embedding_kernel, second.embedding_kernel)
    assert len(list(tmp_path.glob("embeddings-*"))) == 1
