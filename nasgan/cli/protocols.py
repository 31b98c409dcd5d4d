"""The protocols that configurations lead to."""

from __future__ import annotations

from collections.abc import Iterator

from nasgan.cli.compose import compose
from nasgan.cli.configs import options
from nasgan.errors import ConfigError
from nasgan.metrics.protocol import Protocol

__all__ = ["default_protocols"]

# Data sets whose name says what they are; files and folders add a checksum.
_PUBLISHED = ("digits", "cifar10", "stl10")


def default_protocols() -> Iterator[tuple[str, str]]:
    """``(protocol id, how to get it)`` for the published data sets and every choice of metrics."""
    for dataset in (option.name for option in options("dataset")):
        if dataset not in _PUBLISHED:
            continue
        own = compose("search", [f"dataset={dataset}"])["metrics"]
        for metrics in (option.name for option in options("metrics")):
            if metrics == "auto":
                continue
            node = compose("search", [f"dataset={dataset}", f"metrics={metrics}"])["metrics"]
            features = str(node["features"]["name"])
            protocol = Protocol(dataset, "train", node["num_images"], features)
            how = f"dataset={dataset}" if node == own else f"dataset={dataset} metrics={metrics}"
            yield protocol.id, how
