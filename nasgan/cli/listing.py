"""``nasgan list``: what there is to choose from. Nothing is imported to list it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from nasgan.cli.config_folders import read_yaml
from nasgan.cli.config_options import ConfigOption, left_out, options
from nasgan.cli.console import heading, say, table
from nasgan.errors import UnknownNameError
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.table import COMPUTED_METRICS
from nasgan.metrics.table import METRICS as METRIC_TABLE
from nasgan.registry import (
    ARCHITECTURES,
    AUGMENTATIONS,
    EVALUATORS,
    EXTRACTORS,
    LOSSES,
    METRICS,
    SEARCH_SPACES,
    STRATEGIES,
    plugins,
)
from nasgan.tabular import shipped_tables

__all__ = ["SECTIONS", "run"]

# Data sets whose name says what they are; the identity of files and folders has a checksum.
_PUBLISHED = ("cifar10", "digits", "stl10")
_BETTER = {"min": "less", "max": "more"}
_Rows: TypeAlias = list[tuple[str, ...]]


def run(arguments: Sequence[str]) -> int:
    """List the sections named in ``arguments``, or all.

    Raises:
        UnknownNameError: there is no such section.
    """
    parser = argparse.ArgumentParser(
        prog="nasgan list", description="List what there is to choose from."
    )
    names = ", ".join(SECTIONS)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{names}; none: all")
    chosen = parser.parse_args(list(arguments)).sections or list(SECTIONS)
    for name in chosen:
        if name not in SECTIONS:
            raise UnknownNameError("section", name, SECTIONS)
    for i, name in enumerate(chosen):
        usage, rows = SECTIONS[name]
        found = rows() or [("(none)",)]
        say(*([""] if i else []), f"{heading(name)}  ({usage})", *table(found))
    return 0


def _selectable(group: str, entry_points: str) -> _Rows:
    """The options of a configuration group, and entry points that no option selects."""
    rows = _option_rows(group)
    known = {name for name, *_ in rows}
    for plugin in plugins(entry_points):
        if plugin.name not in known:
            note = f"no configuration {group}/{plugin.name}.yaml; from Python only"
            rows.append((plugin.name, f"{note}{_by(plugin.distribution)}"))
    return sorted(rows)


def _strategies() -> _Rows:
    return _selectable("strategy", STRATEGIES)


def _spaces() -> _Rows:
    return _selectable("search_space", SEARCH_SPACES)


def _datasets() -> _Rows:
    return _option_rows("dataset")


def _evaluators() -> _Rows:
    return _selectable("evaluator", EVALUATORS)


def _tables() -> _Rows:
    return [(name, f"nasgan table info {name}") for name in shipped_tables()]


def _experiments() -> _Rows:
    return _option_rows("experiment")


def _architectures() -> _Rows:
    return [
        (plugin.name, f"{_module_folder(plugin.value)}{_by(plugin.distribution)}")
        for plugin in plugins(ARCHITECTURES)
    ]


def _module_folder(value: str) -> str:
    """``autogan`` of ``nasgan_search_spaces.autogan.published:AUTOGAN_A``: usually the space."""
    return value.partition(":")[0].split(".")[-2:][0]


def _registered(group: str) -> Callable[[], _Rows]:
    """What only entry points bring, by where it is defined."""
    return lambda: [
        (plugin.name, f"{plugin.value}{_by(plugin.distribution)}") for plugin in plugins(group)
    ]


def _metrics() -> _Rows:
    own: _Rows = [
        (name, f"{METRIC_TABLE[name].label}, {_BETTER[METRIC_TABLE[name].direction]} is better")
        for name in COMPUTED_METRICS
    ]
    return own + [row for row in _registered(METRICS)() if row[0] not in COMPUTED_METRICS]


def _protocols() -> _Rows:
    """The protocols that configurations of published data sets lead to, and how to get them."""
    from nasgan.cli.compose import compose

    choices = {option.name: read_yaml(option.path) for option in options("metrics")}
    nodes: dict[str, Any] = {
        name: node
        for name, node in choices.items()
        # Where the model can be chosen, ids hold the checksum of its weights.
        if "_target_" in node and "model" not in node["features"]
    }
    rows: _Rows = []
    for dataset in _PUBLISHED:
        default = _protocol(dataset, compose("search", [f"dataset={dataset}"])["metrics"])
        others = {name: _protocol(dataset, node) for name, node in nodes.items()}
        rows.append((default, f"dataset={dataset}"))
        rows += [
            (protocol, f"dataset={dataset} metrics={name}")
            for name, protocol in others.items()
            if protocol != default
        ]
    return rows


def _protocol(dataset: str, metrics: Mapping[str, Any]) -> str:
    return Protocol(dataset, "train", metrics["num_images"], str(metrics["features"]["name"])).id


def _option_rows(group: str) -> _Rows:
    rows = [(option.name, _description(option)) for option in _visible(options(group))]
    rows += [(name, f"left out: {reason}") for name, reason in left_out(group).items()]
    return sorted(rows)


def _visible(found: Iterable[ConfigOption]) -> Iterable[ConfigOption]:
    return (option for option in found if not option.is_stand_in)


def _description(option: ConfigOption) -> str:
    return option.summary + _by(option.owner)


def _by(distribution: str) -> str:
    return "" if distribution == "nasgan" else f"  [{distribution}]"


SECTIONS: Mapping[str, tuple[str, Callable[[], _Rows]]] = {
    "strategies": ("nasgan search strategy=NAME", _strategies),
    "spaces": ("nasgan search search_space=NAME", _spaces),
    "evaluators": ("nasgan search evaluator=NAME", _evaluators),
    "tables": ("nasgan simulate table=NAME; or the path of a table's file", _tables),
    "datasets": ("dataset=NAME", _datasets),
    "architectures": ("nasgan train architecture=NAME", _architectures),
    "metrics": ("metrics.metrics=[NAME,...] objective=NAME", _metrics),
    "features": ("metrics.features.name=NAME", _registered(EXTRACTORS)),
    "losses": ("trainer.loss=NAME", _registered(LOSSES)),
    "augmentations": ("trainer.augmentation=NAME", _registered(AUGMENTATIONS)),
    "protocols": ("nasgan leaderboard protocol=ID", _protocols),
    "experiments": ("nasgan search +experiment=NAME", _experiments),
}
"""Name -> (how to use what is listed, the rows)."""
