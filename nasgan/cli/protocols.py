"""The protocols that configurations lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nasgan.cli.compose import compose
from nasgan.cli.config_options import options
from nasgan.cli.yaml_files import read_yaml
from nasgan.metrics.protocol import Protocol

__all__ = ["default_protocols"]

# Data sets whose name says what they are; the identity of files and folders has a checksum.
_PUBLISHED = ("cifar10", "digits", "stl10")


def default_protocols() -> Iterator[tuple[str, str]]:
    """``(protocol id, how to get it)`` for the published data sets and every choice of metrics.

    Raises:
        ConfigError: a data set's configuration does not compose.
    """
    choices = {option.name: read_yaml(option.path) for option in options("metrics")}
    nodes: dict[str, Any] = {
        name: node
        for name, node in choices.items()
        # Where the model can be chosen, ids hold the checksum of its weights.
        if "_target_" in node and "model" not in node["features"]
    }
    for dataset in _PUBLISHED:
        own = compose("search", [f"dataset={dataset}"])["metrics"]
        default = _protocol(dataset, own).id
        yield default, f"dataset={dataset}"
        for metrics, node in nodes.items():
            protocol = _protocol(dataset, node).id
            if protocol != default:
                yield protocol, f"dataset={dataset} metrics={metrics}"


def _protocol(dataset: str, metrics: Mapping[str, Any]) -> Protocol:
    return Protocol(dataset, "train", metrics["num_images"], str(metrics["features"]["name"]))
