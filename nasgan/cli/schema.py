"""What a composed configuration must look like, without the classes that its nodes name.

Needs no torch; `nasgan.engine` checks the nodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from nasgan.cli.key_values import READING_VERBS
from nasgan.errors import ConfigError
from nasgan.metrics.table import objective_info
from nasgan.nodes import check_values
from nasgan.run_settings import (
    CheckpointSettings,
    Count,
    FinalSettings,
    Positive,
    TrainingLength,
    TrainingSettings,
)

__all__ = ["check_config", "settings_class", "strip_foreign"]

# An experiment may hold settings for a search and for a training; each verb takes its own.
_FOREIGN: Mapping[str, frozenset[str]] = {
    "search": frozenset({"architecture", "design", "training"}),
    "train": frozenset({"budget", "design", "evaluator", "executor", "final", "strategy"}),
    "tabulate": frozenset({"architecture", "budget", "evaluator", "final", "logger", "strategy"}),
}


@dataclass(frozen=True)
class _Computing:
    conditional: bool
    device: str
    progress: bool
    deterministic: bool
    checkpoint: CheckpointSettings
    search_space: dict[str, Any]
    dataset: dict[str, Any]
    trainer: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class _RunSettings(_Computing):
    seed: Count
    threads: Positive | None
    output_root: str
    run_dir: str | None
    objective: str | list[str]
    retry_failed: bool
    tuning_budget: str | None
    experiment: str | None
    logger: dict[str, Any]


@dataclass(frozen=True)
class _Search(_RunSettings):
    strategy: dict[str, Any]
    evaluator: dict[str, Any]
    executor: dict[str, Any]
    budget: dict[str, Any]
    final: FinalSettings


@dataclass(frozen=True)
class _Train(_RunSettings):
    architecture: str | list[Any] | dict[str, Any]
    training: TrainingSettings


@dataclass(frozen=True)
class _Tabulate(_Computing):
    out: str
    design: dict[str, Any]
    training: TrainingLength
    shard: str
    executor: dict[str, Any]
    objective: str
    licence: str


@dataclass(frozen=True)
class _Evaluate:
    run: str
    num_images: Annotated[int, Ge(2)] | None
    seed: Count
    device: str
    threads: Positive | None
    progress: bool
    metrics: dict[str, Any]
    dataset: dict[str, Any]


@dataclass(frozen=True)
class _Sample:
    run: str
    num: Positive
    seed: Count
    out: str | None
    classes: list[int] | None
    columns: Positive | None
    device: str
    threads: Positive | None


_SCHEMAS: Mapping[str, type] = {
    "search": _Search,
    "train": _Train,
    "tabulate": _Tabulate,
    "evaluate": _Evaluate,
    "sample": _Sample,
    **READING_VERBS,
}


def settings_class(verb: str) -> type:
    """The class whose fields are the settings of ``verb``: of those that read results a `Part`."""
    return _SCHEMAS[verb]


def strip_foreign(verb: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` without what an experiment holds for other verbs."""
    foreign = _FOREIGN.get(verb, frozenset())
    return {key: value for key, value in config.items() if key not in foreign}


def check_config(verb: str, config: Mapping[str, Any]) -> None:
    """Check the settings outside the nodes that name a class: their names, types and ranges.

    In all of them numbers are finite: records hold no others.

    Raises:
        ConfigError: naming the setting.
    """
    for name, value in config.items():
        _refuse_not_finite(value, name)
    check_values(config, _SCHEMAS[verb])
    objective = config.get("objective") or []
    for name in [objective] if isinstance(objective, str) else objective:
        objective_info(name)


def _refuse_not_finite(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for name, item in value.items():
            _refuse_not_finite(item, f"{where}.{name}")
    elif isinstance(value, list):
        for item in value:
            _refuse_not_finite(item, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} must be a finite number, or null where it may be; got {value}")
