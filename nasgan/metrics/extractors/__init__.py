"""The feature extractors, one module each; made by name in `nasgan.metrics.extractor`."""

from __future__ import annotations
