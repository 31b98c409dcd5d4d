"""Which runs a leaderboard is made of, said in the leaderboard itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nasgan.errors import ConfigError, UnknownNameError, quoted
from nasgan.leaderboard.summaries import RunSummary
from nasgan.reading import parse_json

__all__ = [
    "FILTERS",
    "Selection",
    "read_selection",
    "resolve_selection",
    "select_runs",
    "selection_of",
    "selection_text",
]

Selection = Mapping[str, tuple[Any, ...]]
"""By filter the values that are kept; a filter that is not named keeps all."""

FILTERS: Mapping[str, type] = {
    "strategy": str,
    "search_space": str,
    "num_classes": int,
    "conditional": bool,
    "architecture": str,
    "dataset": str,
    "budget": str,
    "experiment": str,
    "config_hash": str,
    "seed": int,
}
"""What runs can be chosen by: attributes of `RunSummary`, and their types."""

MIN_PREFIX = 6
"""Characters of a configuration's hash that can stand for it: as many as reports show."""


def selection_of(where: Mapping[str, Any] | None) -> Selection:
    """Filters with a value or a list of values each; None for a filter that keeps all.

    Raises:
        ConfigError: a filter is unknown, or a value is of a wrong type.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for name, given in sorted((where or {}).items()):
        if name not in FILTERS:
            raise UnknownNameError("filter of runs", name, FILTERS)
        if given is None:
            continue
        values = list(given) if isinstance(given, list | tuple) else [given]
        kind = FILTERS[name]
        # A hash of digits only comes from the command line as a number.
        values = [str(v) if kind is str and type(v) is int else v for v in values]
        if not values or any(type(value) is not kind for value in values):
            hint = "; a text that reads as a number needs quotes" if kind is str else ""
            raise ConfigError(
                f"where.{name} must be {kind.__name__} or a list of it, got {quoted(given)}{hint}"
            )
        found[name] = tuple(sorted(set(values)))
    return found


def resolve_selection(selection: Selection, runs: Sequence[RunSummary]) -> Selection:
    """``selection`` with whole hashes in place of their beginnings.

    Raises:
        ConfigError: several configurations among ``runs`` have a hash that begins so.
    """
    if "config_hash" not in selection:
        return selection
    known = sorted({run.config_hash for run in runs})
    whole = set()
    for value in selection["config_hash"]:
        found = [value] if value in known else [name for name in known if name.startswith(value)]
        if found not in ([], [value]) and len(value) < MIN_PREFIX:
            raise ConfigError(
                f"where.config_hash={value}: give at least {MIN_PREFIX} characters of the hash"
            )
        if len(found) > 1:
            raise ConfigError(
                f"where.config_hash={value}: {len(found)} configurations begin so "
                f"({', '.join(found)}); give more characters"
            )
        whole.add(found[0] if found else value)
    return {**selection, "config_hash": tuple(sorted(whole))}


def select_runs(
    runs: Sequence[RunSummary], selection: Selection, *, among: str = "these runs"
) -> list[RunSummary]:
    """The ``runs`` that have one of the values for each filter.

    Raises:
        UnknownNameError: no run has a value that is asked for.
    """
    for name, values in selection.items():
        known = {str(getattr(run, name)) for run in runs}
        for value in values:
            if runs and str(value) not in known:
                shown = [text or "''" for text in known]
                raise UnknownNameError(f"value of where.{name} among {among}:", value, shown)
    return [
        run
        for run in runs
        if all(getattr(run, name) in values for name, values in selection.items())
    ]


def selection_text(selection: Selection) -> str:
    """One line that `read_selection` reads; empty if all runs are kept."""
    if not selection:
        return ""
    return json.dumps({name: list(values) for name, values in selection.items()}, sort_keys=True)


def read_selection(text: str) -> Selection:
    """Read what `selection_text` wrote.

    Raises:
        ConfigError: it is something else.
    """
    if not text:
        return {}
    try:
        data = parse_json(text)
    except ValueError as error:
        raise ConfigError(f"selection must be JSON, got {quoted(text)}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"selection must be a JSON object, got {quoted(text)}")
    return selection_of(data)
