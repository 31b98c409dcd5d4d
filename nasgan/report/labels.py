"""Names and amounts as a person reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from nasgan.errors import NasganError
from nasgan.leaderboard.columns import metric_title
from nasgan.leaderboard.rows import Row, Task
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.table import METRICS

__all__ = [
    "ARROWS",
    "UNIT_WORDS",
    "axis_label",
    "direction_of",
    "fidelity_words",
    "images_scored",
    "row_labels",
    "series_of",
    "short_commit",
    "task_labels",
]

UNIT_WORDS: Mapping[str, str] = {
    "device_seconds": "device seconds",
    "generator_steps": "generator steps",
    "images": "images",
    "architectures": "architectures",
}

ARROWS: Mapping[str, str] = {"min": " ↓", "max": " ↑"}
"""Where better lies, by direction."""

_FIDELITIES: Mapping[str, str] = {
    "shared": "with shared weights",
    "scratch": "after a short training from scratch",
    "table": "from a table",
}


def fidelity_words(fidelity: str) -> str:
    """How a search took its scores."""
    return _FIDELITIES.get(fidelity, fidelity)


def axis_label(metric: str, protocol: str) -> str:
    """The same with an arrow to where better lies."""
    arrow = ARROWS.get(direction_of(metric), "")
    return metric_title(metric, protocol) + arrow


def images_scored(protocol: str) -> int | None:
    """How many generated images a score under the protocol is of; None if its id is not known."""
    try:
        return Protocol.parse(protocol).num_images
    except NasganError:
        return None


def direction_of(metric: str, otherwise: str = "") -> str:
    """``"min"`` or ``"max"``, or ``otherwise`` for a metric that is not known."""
    return METRICS[metric].direction if metric in METRICS else otherwise


def series_of(row: Row) -> str:
    """What gets a colour of its own: a strategy, or a trained architecture."""
    return f"train {row['architecture']}" if row["strategy"] == "train" else row["strategy"]


def row_labels(rows: Sequence[Row]) -> list[str]:
    """A name for each row, no two alike: those of equal names get their configuration's hash."""
    plain = [f"{series_of(row)} · {Task.of(row).space}" for row in rows]
    counts = Counter(plain)
    return [
        name if counts[name] == 1 else f"{name} #{row['config_hash'][:6]}"
        for name, row in zip(plain, rows, strict=True)
    ]


def task_labels(rows: Sequence[Row]) -> list[str]:
    """A name for each row, unlike those of its own task."""
    counts = Counter((Task.of(row), series_of(row)) for row in rows)
    return [
        name if counts[Task.of(row), name] == 1 else f"{name} #{row['config_hash'][:6]}"
        for row in rows
        for name in [series_of(row)]
    ]


def short_commit(commit: str) -> str:
    """The first digits of a commit, and whether there were changes beside it."""
    name, plus, dirty = commit.partition("+")
    return name[:10] + plus + dirty
