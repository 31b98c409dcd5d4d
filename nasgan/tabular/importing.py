"""Tables of others: from spreadsheets, by a mapping of their columns that the user writes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nasgan.architecture import Architecture
from nasgan.errors import MissingDependencyError, TableError, nearest_names, quoted
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.table import metric_info
from nasgan.schema import Many, Shape, Text, made_of, model, whole
from nasgan.tabular.build import assembled
from nasgan.tabular.manifest import Manifest
from nasgan.tabular.rows import MOST_SECONDS, MOST_STEPS, Point, Row
from nasgan.tabular.table_file import write_table_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns", "import_table"]

_OPTIONAL = frozenset({"licence", "join", "seconds", "parameters", "failure"})
_MOST_OPTIONS = 255
_NO_SCORE = "no score"
_MOST_SHOWN = 3
# Cells are read as float64, which tells larger whole numbers no longer apart.
_MOST_PARAMETERS = 2**53


@model("the mapping")
class Columns:
    """Which column of the spreadsheets holds what.

    Attributes:
        name: of the table.
        search_space: a name for the space of its architectures.
        protocol: id of the protocol of its scores, see `nasgan.metrics.protocol.Protocol`.
        files: one spreadsheet, or two that are joined: ``.csv`` or ``.xlsx``, from the folder of
            the mapping.
        decisions: by the name of each decision its column; the options are what stands in it.
        metrics: by the name of each metric its column.
        steps: generator steps of the trainings, or the column that holds them.
        join: the column that two spreadsheets share.
        seconds: the column of a training's seconds.
        parameters: the column of the generator's number of parameters.
        failure: the column in which a text says why a training broke down.
        licence: of the numbers.
    """

    name: Text
    search_space: Text
    protocol: Text
    files: Many[Text]
    decisions: Annotated[Mapping[str, str], Shape(dict[str, Text])]
    metrics: Annotated[Mapping[str, str], Shape(dict[str, Text])]
    steps: Annotated[int, whole(least=1)] | Text
    join: Text | None = None
    seconds: Text | None = None
    parameters: Text | None = None
    failure: Text | None = None
    licence: str = field(default="not stated")

    def wanted(self) -> Iterator[tuple[str, str]]:
        """The setting and the column of all that is read."""
        yield from ((f"decisions.{name}", column) for name, column in self.decisions.items())
        yield from ((f"metrics.{name}", column) for name, column in self.metrics.items())
        others = {name: getattr(self, name) for name in ("seconds", "parameters", "failure")}
        if isinstance(self.steps, str):
            others["steps"] = self.steps
        yield from ((name, column) for name, column in others.items() if column is not None)


def import_table(
    mapping: Mapping[str, Any], out: Path, *, source: Path, told: Callable[[str], object]
) -> int:
    """Write a table of spreadsheets; each of their rows is a training.

    Trainings of one architecture become its seeds, in the order of the rows. A row without any
    score is a training that broke down.

    Args:
        mapping: see `Columns`.
        out: the table's file.
        source: of the mapping: files are named from its folder.
        told: takes a sentence on rows that are left out, as they have no partner to be joined with.

    Returns:
        The number of trainings.

    Raises:
        ConfigError: the mapping lacks something, or a metric or the protocol is unknown.
        TableError: a spreadsheet is missing, damaged, or has no such column or number; two
            cannot be joined; nothing has a score.
        MissingDependencyError: to read it takes a package that is not installed.
    """
    columns = made_of(Columns, dict(mapping), newer=_OPTIONAL)
    Protocol.parse(columns.protocol)
    if isinstance(columns.steps, int) and columns.steps > MOST_STEPS:
        raise TableError(f"{source}: steps must be at most {MOST_STEPS}, got {columns.steps}")
    for metric in columns.metrics:
        metric_info(metric)
    lines = _lines(columns, source, told)
    options = {name: _options(lines, name, column) for name, column in columns.decisions.items()}
    rows = list(_rows(lines, columns, options))
    if not rows:
        raise TableError(f"{source}: the spreadsheets hold no row")
    if not any(row.curve for row in rows):
        raise TableError(f"{source}: no row has a score in {', '.join(columns.metrics.values())}")
    settings = {
        "search_space": {"name": columns.search_space, "version": 1, "settings": None},
        "protocol": columns.protocol,
        "metrics": list(columns.metrics),
    }
    design = {"kind": "imported", "files": [Path(name).name for name in columns.files]}
    manifest = Manifest(settings, options, (design,), None, (), columns.licence)
    write_table_file(out, *assembled([manifest], rows, name=columns.name))
    return len(rows)


@dataclass(frozen=True)
class _Line:
    """A row of a spreadsheet, or two that are joined.

    Attributes:
        cells: by column its text; by the number of each file the row there, the header is row 1.
        files: their names.
        file_of: by column the number of the file that has it.
    """

    cells: Mapping[Any, Any]
    files: Sequence[str]
    file_of: Mapping[str, int]

    def text(self, column: str | None) -> str:
        """What stands in a column; nothing in none."""
        return "" if column is None else str(self.cells[column]).strip()

    def where(self, column: str | None) -> str:
        """The cell, for messages."""
        number = self.file_of[str(column)]
        return f"{self.files[number]}: row {self.cells[number]}, column {quoted(column)}"


def _lines(columns: Columns, source: Path, told: Callable[[str], object]) -> list[_Line]:
    """The rows of all files."""
    if not 1 <= len(columns.files) <= 2 or (len(columns.files) == 2) != bool(columns.join):
        raise TableError(
            f"{source}: files must name one spreadsheet, or two with the column that both have as "
            "join"
        )
    if len({*columns.files}) != len(columns.files):
        raise TableError(f"{columns.files[0]}: two different spreadsheets are joined, not one")
    frames = {name: _read(source.parent / Path(name).expanduser()) for name in columns.files}
    file_of, join = _file_of(frames, columns), columns.join
    for number, (name, frame) in enumerate(frames.items()):
        read = [each for each in frame.columns if each == join or file_of.get(each) == number]
        frames[name] = frame[read].copy()
        frames[name][number] = range(2, len(frame) + 2)
    whole = next(iter(frames.values())) if join is None else _joined(frames, join, told)
    return [_Line(cells, columns.files, file_of) for cells in whole.to_dict("records")]


def _file_of(frames: Mapping[str, pd.DataFrame], columns: Columns) -> dict[str, int]:
    """By column that is read the number of the file that has it.

    Raises:
        TableError: none has it; or both have, and it is not what they are joined by.
    """
    for name, frame in frames.items() if columns.join is not None else ():
        _need(frame.columns, str(columns.join), "join", name)
    known = list(dict.fromkeys(each for frame in frames.values() for each in frame.columns))
    found: dict[str, int] = {}
    for setting, column in columns.wanted():
        _need(known, column, setting, " and ".join(frames))
        has = [number for number, frame in enumerate(frames.values()) if column in frame.columns]
        if len(has) > 1 and column != columns.join:
            raise TableError(
                f"{' and '.join(frames)}: both have a column {quoted(column)} ({setting} of the "
                "mapping), which may differ; rename it in one of them"
            )
        found[column] = has[0]
    return found


def _joined(
    frames: Mapping[str, pd.DataFrame], join: str, told: Callable[[str], object]
) -> pd.DataFrame:
    """The rows of two spreadsheets that have the same value in ``join``, as one.

    Raises:
        TableError: it names the rows of neither, so that rows would multiply, or of none.
    """
    for name, frame in frames.items():
        frame[join] = frame[join].str.strip()
        if "" in set(frame[join]):
            number = list(frame[join]).index("") + 2
            raise TableError(f"{name}: row {number}, column {quoted(join)}: nothing to join by")
    (one, first), (other, second) = frames.items()
    twice = [set(frame.loc[frame[join].duplicated(), join]) for frame in (first, second)]
    if all(twice):
        raise TableError(
            f"{one} and {other}: both have {quoted(join)} more than once ({_some(twice[0])}; "
            f"{_some(twice[1])}), so it does not say which rows belong together; in one of them "
            "each value must stand once"
        )
    for name, own, others in ((one, first, second), (other, second, first)):
        alone = set(own[join]) - set(others[join])
        if alone:
            told(
                f"{name}: no row of the other spreadsheet has {quoted(join)} {_some(alone)}: such "
                "rows are left out"
            )
    return first.merge(second, on=join)


def _some(values: set[str]) -> str:
    shown = ", ".join(map(quoted, sorted(values)[:_MOST_SHOWN]))
    more = len(values) - _MOST_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _read(path: Path) -> pd.DataFrame:
    """The rows of a file as texts, under its header."""
    import pandas as pd

    kind = path.suffix.lower()
    if kind not in (".csv", ".xlsx"):
        raise TableError(f"{path}: a spreadsheet is a .csv or .xlsx file")
    try:
        # pandas renames columns that are headed alike, and takes one too many for an index.
        found: pd.DataFrame = (
            pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
            if kind == ".csv"
            else pd.read_excel(
                path, header=None, dtype=str, keep_default_na=False, engine="openpyxl"
            )
        )
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: pandas reads .xlsx with openpyxl: pip install openpyxl, or save it as .csv"
        ) from error
    except Exception as error:  # whatever openpyxl meets in a damaged file
        reason = getattr(error, "strerror", None) or error
        raise TableError(f"{path}: cannot be read as a spreadsheet: {reason}") from error
    return _headed(found.fillna(""), path)


def _headed(cells: pd.DataFrame, path: Path) -> pd.DataFrame:
    """``cells`` with the first row as the header; columns without one are left out."""
    names = [str(name).strip() for name in cells.iloc[0]] if len(cells) else []
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise TableError(f"{path}: several columns are headed {_some(twice)}; rename all but one")
    rows = cells.iloc[1:].set_axis(names, axis="columns").reset_index(drop=True)
    return rows[[name for name in names if name]].copy()


def _need(known: Collection[str], column: str, setting: str, where: str) -> None:
    if column not in known:
        near = nearest_names(column, known)
        hint = f" Did you mean {quoted(near[0])}?" if near else ""
        raise TableError(
            f"{where}: there is no column {quoted(column)} ({setting} of the mapping).{hint} There "
            f"are {', '.join(map(quoted, known))}"
        )


def _options(lines: Sequence[_Line], decision: str, column: str) -> list[str]:
    for line in lines:
        if not line.text(column):
            raise TableError(f"{line.where(column)}: {decision} has no option")
    found = sorted({line.text(column) for line in lines})
    if len(found) > _MOST_OPTIONS:
        raise TableError(f"column {quoted(column)}: {len(found)} options are no decision's")
    return found


def _rows(
    lines: Sequence[_Line], columns: Columns, options: Mapping[str, list[str]]
) -> Iterator[Row]:
    seeds: Counter[str] = Counter()
    for line in lines:
        chosen = {name: line.text(column) for name, column in columns.decisions.items()}
        architecture = Architecture(columns.search_space, 1, tuple(chosen.items())).id
        scores = {m: _number(line, column) for m, column in columns.metrics.items()}
        steps = columns.steps
        if isinstance(steps, str):
            steps = _whole(line, steps, least=1, most=MOST_STEPS)
        seconds = _number(line, columns.seconds, least=0, most=MOST_SECONDS) or 0.0
        size = _whole(line, columns.parameters, most=_MOST_PARAMETERS, empty=0)
        failure = line.text(columns.failure)
        known = {name: score for name, score in scores.items() if score is not None}
        yield Row(
            architecture=architecture,
            options=tuple(options[name].index(option) for name, option in chosen.items()),
            seed=seeds[architecture],
            curve=(Point(steps, seconds, known),) if known else (),
            steps=steps,
            images=0,
            seconds=seconds,
            device_seconds=seconds,
            parameters={"generator": size, "discriminator": 0},
            macs={"generator": 0, "discriminator": 0},
            failure=failure or ("" if known else _NO_SCORE),
        )
        seeds[architecture] += 1


def _whole(
    line: _Line,
    column: str | None,
    *,
    most: int,
    least: int = 0,
    empty: int | None = None,
) -> int:
    """The whole number in a cell; ``empty`` for one that holds none, which None refuses."""
    value = _number(line, column, least=least, most=most)
    value = empty if value is None else value
    if value is None or value != int(value):
        raise TableError(
            f"{line.where(column)}: must be a whole number of at least {least}, got "
            f"{quoted(line.text(column))}"
        )
    return int(value)


def _number(
    line: _Line,
    column: str | None,
    *,
    least: float = -math.inf,
    most: float = math.inf,
) -> float | None:
    """What stands in a cell; None for an empty one, and for one that says that it is none."""
    text = line.text(column)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise TableError(f"{line.where(column)}: {quoted(text)} is no number") from error
    if not math.isfinite(value):
        return None
    if not least <= value <= most:
        raise TableError(
            f"{line.where(column)}: must be from {least:g} to {most:g}, got {quoted(text)}"
        )
    return value
