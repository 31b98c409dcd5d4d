"""The rows of a table while it is made: one line a training, in one file a shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasgan.errors import TableError
from nasgan.runs.history import History, finite, read_history

__all__ = ["Point", "Row", "RowFile", "read_rows", "rows_files"]

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
    parameters: Mapping[str, int] = field(default_factory=dict)
    macs: Mapping[str, int] = field(default_factory=dict)
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
    def from_json(cls, data: Mapping[str, Any], *, source: str) -> Row:
        """Read what `to_json` wrote; ``source`` names the origin in messages.

        Raises:
            TableError: something is missing or of a wrong kind.
        """
        values = {key: value for key, value in data.items() if key != "index"}
        try:
            values["options"] = tuple(int(index) for index in values["options"])
            values["curve"] = tuple(
                Point(int(step), float(seconds), {str(k): _number(v) for k, v in metrics.items()})
                for step, seconds, metrics in values["curve"]
            )
            row = cls(**values)
            if not isinstance(row.architecture, str) or not isinstance(row.failure, str):
                raise TypeError("architecture and failure must be texts")
            if not all(type(n) is int for n in (row.seed, row.steps, row.images)):
                raise TypeError("seed, steps and images must be whole numbers")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TableError(f"{source}: not a row of a table: {error}") from error
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


def read_rows(folder: Path) -> list[Row]:
    """The rows of all shards in ``folder``, the first of each training.

    Raises:
        RunDirectoryError: a file is damaged before its last line.
        TableError: a line is no row.
    """
    rows: dict[tuple[str, int], Row] = {}
    for path in rows_files(folder):
        for number, line in enumerate(read_history(path), 1):
            row = Row.from_json(line, source=f"{path}, line {number}")
            rows.setdefault(row.key, row)
    return list(rows.values())


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
