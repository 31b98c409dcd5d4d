"""The rows of a table while it is made: one line a training, in one file a shard."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nasgan.errors import TableError, quoted
from nasgan.runs.history import History, finite, read_history

__all__ = [
    "MOST_SECONDS",
    "MOST_STEPS",
    "NETWORKS",
    "Point",
    "Row",
    "RowFile",
    "read_rows",
    "rows_files",
]

NETWORKS = ("generator", "discriminator")

# What the arrays of a table hold.
MOST_STEPS = 2**31 - 1
MOST_SECONDS = 1e38
_MOST_SEED = 2**31 - 1
_MOST_COUNTED = 2**63 - 1

_PREFIX = "rows-"


@dataclass(frozen=True)
class Point:
    """The scores at one moment of a training.

    Attributes:
        step: generator steps trained.
        seconds: spent up to here, this and earlier scores included; see `Row.seconds`.
        metrics: the scores; None where one is not finite.
    """

    step: int
    seconds: float
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class Row:
    """One training, however it ended.

    Attributes:
        architecture: id of the architecture.
        options: index of the option of each decision, in the order of the table's decisions.
        seed: index of the seed.
        curve: every score that was made, also of a training that broke down later.
        steps: generator steps trained.
        images: that passed through a network, in training and scoring.
        seconds: of the device: on a CPU the processor time of the process, which others beside it
            do not stretch; else the wall-clock time.
        device_seconds: wall-clock time, as runs record it.
        parameters: of ``generator`` and ``discriminator``.
        macs: multiply-adds of one image, by network.
        failure: why the training broke down; empty if it did not.
    """

    architecture: str
    options: tuple[int, ...]
    seed: int
    curve: tuple[Point, ...]
    steps: int
    images: int
    seconds: float
    device_seconds: float
    parameters: Mapping[str, int]
    macs: Mapping[str, int]
    failure: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What no two rows of a table share: the architecture's id and the seed."""
        return self.architecture, self.seed

    def to_json(self) -> dict[str, Any]:
        """The row as JSON data, whose curve is a list of ``[step, seconds, metrics]``."""
        row = dict(vars(self))
        row["options"] = list(self.options)
        row["curve"] = [
            [point.step, round(point.seconds, 3), finite(point.metrics)] for point in self.curve
        ]
        row["seconds"] = round(self.seconds, 3)
        row["device_seconds"] = round(self.device_seconds, 3)
        return row

    @classmethod
    def from_json(
        cls,
        data: Mapping[str, Any],
        *,
        source: str,
        decisions: Mapping[str, Sequence[str]] | None = None,
    ) -> Row:
        """Read what `to_json` wrote.

        Args:
            data: the row.
            source: names the origin in messages.
            decisions: the options of each decision; None: not known.

        Raises:
            TableError: something is missing, of a wrong kind, more than a table holds, or an option
                that its decision does not have.
        """
        values = {key: value for key, value in data.items() if key != "index"}
        try:
            row = cls(**{**values, **{key: read(values[key], key) for key, read in _READ.items()}})
            if decisions is not None:
                _check_options(row.options, decisions)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise TableError(f"{source}: not a row of a table: {reason}") from error
        return row


class RowFile:
    """The rows of one shard, appended by one process; a line that a crash tore is dropped.

    Args:
        folder: of the table.
        shard: its name, ``"3of16"``.

    Raises:
        RunDirectoryError: the file is damaged before its last line.
    """

    def __init__(self, folder: Path, shard: str) -> None:
        self._lines = History(folder / f"{_PREFIX}{shard}.jsonl")

    def append(self, row: Row) -> None:
        """Write ``row`` and flush it to disk.

        Raises:
            StorageError: the disk is full; the rows before it stay readable.
        """
        self._lines.append(row.to_json())


def rows_files(folder: Path) -> list[Path]:
    """The files of all shards in a folder."""
    return sorted(folder.glob(f"{_PREFIX}*of*.jsonl"))


def read_rows(folder: Path, decisions: Mapping[str, Sequence[str]] | None = None) -> list[Row]:
    """The rows of all shards in ``folder``, the first of each training.

    Args:
        folder: of the table.
        decisions: the options of each of its decisions; None: not known.

    Raises:
        RunDirectoryError: a file is damaged before its last line.
        TableError: a line is no row; names file and line.
    """
    rows: dict[tuple[str, int], Row] = {}
    for path in rows_files(folder):
        for number, line in enumerate(read_history(path), 1):
            row = Row.from_json(line, source=f"{path}, line {number}", decisions=decisions)
            rows.setdefault(row.key, row)
    return list(rows.values())


# Reading a row


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text, got {quoted(value)}")
    return value


def _whole(value: Any, name: str, most: int = _MOST_COUNTED) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} must be a whole number from 0 to {most}, got {quoted(value)}")
    return value


def _number(value: Any, name: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number, got {quoted(value)}")
    return float(value)


def _seconds(value: Any, name: str) -> float:
    if not 0 <= _number(value, name) <= MOST_SECONDS:
        raise ValueError(f"{name} must be from 0 to {MOST_SECONDS:g}, got {quoted(value)}")
    return float(value)


def _options(value: Any, name: str) -> tuple[int, ...]:
    return tuple(_whole(index, name) for index in value)


def _point(step: Any, seconds: Any, metrics: Any) -> Point:
    scores = {k: None if v is None else _number(v, k) for k, v in metrics.items()}
    return Point(_whole(step, "a step", MOST_STEPS), _seconds(seconds, "seconds"), scores)


def _sizes(value: Any, name: str) -> dict[str, int]:
    return {network: _whole(value[network], f"{name} of the {network}") for network in NETWORKS}


_READ: Mapping[str, Callable[[Any, str], Any]] = {
    "architecture": _text,
    "options": _options,
    "seed": partial(_whole, most=_MOST_SEED),
    "curve": lambda value, _: tuple(_point(*point) for point in value),
    "steps": partial(_whole, most=MOST_STEPS),
    "images": _whole,
    "seconds": _seconds,
    "device_seconds": _seconds,
    "parameters": _sizes,
    "macs": _sizes,
    "failure": _text,
}


def _check_options(options: Sequence[int], decisions: Mapping[str, Sequence[str]]) -> None:
    if len(options) != len(decisions):
        raise ValueError(f"it has {len(options)} options for {len(decisions)} decisions")
    for index, (name, known) in zip(options, decisions.items(), strict=True):
        if index >= len(known):
            raise ValueError(f"{name} has {len(known)} options, none of them number {index}")
