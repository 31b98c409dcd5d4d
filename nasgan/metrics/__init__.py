"""Metrics of generated images: features once, every score from them, each under a protocol.

Importing this package, `nasgan.metrics.table` or `nasgan.metrics.protocol` does not import torch;
the names below that need it are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nasgan.metrics.extractor import FeatureExtractor, Features, is_available, make_features
    from nasgan.metrics.harness import MetricHarness, build_harness
    from nasgan.metrics.images import GeneratedImages, MetricError, to_uint8
    from nasgan.metrics.protocol import Protocol, display_name
    from nasgan.metrics.reference import ReferenceStatistics
    from nasgan.metrics.table import METRICS, MetricInfo, MetricSettings, Scores

__all__ = [
    "METRICS",
    "FeatureExtractor",
    "Features",
    "GeneratedImages",
    "MetricError",
    "MetricHarness",
    "MetricInfo",
    "MetricSettings",
    "Protocol",
    "ReferenceStatistics",
    "Scores",
    "build_harness",
    "display_name",
    "is_available",
    "make_features",
    "to_uint8",
]

_HOMES = {
    "METRICS": "table",
    "FeatureExtractor": "extractor",
    "Features": "extractor",
    "GeneratedImages": "images",
    "MetricError": "images",
    "MetricHarness": "harness",
    "MetricInfo": "table",
    "MetricSettings": "table",
    "Protocol": "protocol",
    "ReferenceStatistics": "reference",
    "Scores": "table",
    "build_harness": "harness",
    "display_name": "protocol",
    "is_available": "extractor",
    "make_features": "extractor",
    "to_uint8": "images",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
