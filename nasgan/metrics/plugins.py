"""The scores that plugins add, from the features that all metrics share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nasgan.errors import NasganError, PluginError
from nasgan.metrics.extractor import Features
from nasgan.metrics.reference import ReferenceStatistics
from nasgan.metrics.table import METRICS, MetricInfo
from nasgan.randomness import seeded

__all__ = ["plugin_scores"]


def plugin_scores(
    metrics: Sequence[str], features: Features, reference: ReferenceStatistics
) -> dict[str, float]:
    """The scores of those of ``metrics`` that plugins bring, by name.

    Args:
        metrics: names; nasgan's own are left out.
        features: of the generated images.
        reference: of the real ones, on the same device.

    Raises:
        PluginError: a metric fails, gives no number, or changes the features; names it.
    """
    infos = [METRICS[name] for name in metrics]
    return {
        info.name: _score(info, features, reference) for info in infos if info.compute is not None
    }


def _score(info: MetricInfo, features: Features, reference: ReferenceStatistics) -> float:
    assert info.compute is not None
    shared = (features.features, features.logits, reference.features)
    before = [_version(tensor) for tensor in shared]
    try:
        # A metric that draws from the global generators must not move the run's own draws.
        with torch.no_grad(), seeded(0, f"metric {info.name}"):
            score = float(info.compute(features, reference))
    except NasganError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise PluginError(f"metric {info.name!r} failed: {reason}") from error
    if before != [_version(tensor) for tensor in shared]:
        # All scores after this one, and of the evaluations to come, would be of other features.
        raise PluginError(
            f"metric {info.name!r} changes the features, which all metrics share, in place: let it "
            "work on a copy"
        )
    return score


def _version(tensor: Tensor) -> int:
    """Rises whenever the tensor is changed in place; those of inference cannot be."""
    return 0 if tensor.is_inference() else tensor._version
