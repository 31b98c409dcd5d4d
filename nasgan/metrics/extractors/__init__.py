"""The feature extractors, one module each; made by name in `nasgan.metrics.features`."""

from __future__ import annotations
