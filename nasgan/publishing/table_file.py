"""A leaderboard as a CSV or JSON file says it, read for a comparison."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasgan.errors import ConfigError, quoted
from nasgan.leaderboard.columns import KEY_COLUMNS
from nasgan.leaderboard.leaderboard import FORMAT, VERSION
from nasgan.leaderboard.rows import FROM_RECORDS
from nasgan.leaderboard.texts import original_text, read_csv, safe_cell
from nasgan.reading import parse_json, read_text

__all__ = ["NO_HEAD", "Line", "TableFile", "equal_values", "is_published", "read_table"]

_MAX_BYTES = 200_000_000
NO_HEAD = ("format", "version", "rows")
"""Keys of a JSON leaderboard that are compared in ways of their own."""

Line = Mapping[str, Any]
"""A row of the file: cells by column."""


@dataclass(frozen=True)
class TableFile:
    """A leaderboard as a file says it.

    Attributes:
        lines: its rows, cells by column.
        columns: the names of the columns.
        protocol: that the rows name.
        ranked_by: the metric of the ranks.
        selection: the filters, in one line.
        equal: whether a cell of the file and a recomputed one say the same.
        head: what is no row, as in `Leaderboard.to_json`; empty for a CSV.
    """

    lines: Sequence[Line]
    columns: Sequence[str]
    protocol: str
    ranked_by: str
    selection: str
    equal: Callable[[Any, Any], bool]
    head: Mapping[str, Any]


def read_table(path: Path) -> TableFile:
    """Read what `nasgan.leaderboard.leaderboard.Leaderboard.write` wrote.

    Raises:
        ConfigError: the file cannot be read, or is no leaderboard.
    """
    if path.suffix.lower() not in (".csv", ".json"):
        raise ConfigError(f"{path}: a .csv or .json leaderboard can be verified, or a bundle")
    try:
        text = read_text(path, most=_MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text in UTF-8") from error
    return _read_json(text, path) if path.suffix.lower() == ".json" else _read_csv(text, path)


def _read_csv(text: str, path: Path) -> TableFile:
    first = text.partition("\n")[0]
    if "," not in first and ";" in first:
        raise ConfigError(
            f"{path}: its columns are separated by ';' where a leaderboard has ','; save it with "
            "commas, or verify the .json"
        )
    header, lines = read_csv(text, source=str(path))
    return _table(lines, header, _equal_texts, {}, path)


def _read_json(text: str, path: Path) -> TableFile:
    try:
        data = parse_json(text)
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ConfigError(f'{path}: not a leaderboard (no "format": "{FORMAT}")')
    if data.get("version") != VERSION:
        raise ConfigError(
            f"{path}: version {quoted(data.get('version'))} is not the {VERSION} that this "
            "nasgan reads"
        )
    lines = data.get("rows")
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise ConfigError(f"{path}: rows must be a list of objects")
    if any(isinstance(cell, dict | list) for line in lines for cell in line.values()):
        raise ConfigError(f"{path}: cells must be texts, numbers or null")
    header = list(dict.fromkeys(name for line in lines for name in line))
    lines = [{name: line.get(name) for name in header} for line in lines]
    head = {name: value for name, value in data.items() if name not in NO_HEAD}
    return _table(lines, header, equal_values, head, path)


def _table(
    lines: Sequence[Line],
    header: Sequence[str],
    equal: Callable[[Any, Any], bool],
    head: Mapping[str, Any],
    path: Path,
) -> TableFile:
    needed = (*KEY_COLUMNS, "ranked_by", "selection", "run_ids")
    missing = [name for name in needed if name not in header]
    if missing and "average_rank" in header:
        raise ConfigError(
            f"{path}: these are ranks over tasks; verify the leaderboard that they were made with: "
            "its .json holds them, too"
        )
    if missing:
        raise ConfigError(
            f"{path}: not a leaderboard of this version of nasgan: it lacks the columns "
            f"{', '.join(missing)}"
        )
    own = [line for line in lines if not is_published(line)]
    if not own:
        raise ConfigError(f"{path}: there are no rows that were made of run records")
    named = {name: _majority(own, name) for name in ("protocol", "ranked_by", "selection")}
    return TableFile(lines, header, **named, equal=equal, head=head)


def _majority(lines: Sequence[Line], name: str) -> str:
    """What most rows say; the odd one is a difference, and no reason to stop."""
    return str(Counter(str(line[name]) for line in lines).most_common(1)[0][0])


def is_published(line: Line) -> bool:
    """Whether a row is a paper's, and not that of a strategy of such a name."""
    named = str(line["strategy"]).startswith("published: ")
    return named and line["source"] != FROM_RECORDS


def _equal_texts(found: Any, wanted: Any) -> bool:
    """Whether a cell of a CSV says ``wanted``: programs that edit tables rewrite numbers."""
    if isinstance(wanted, str) or wanted is None:
        return bool(found == original_text(safe_cell(wanted)))
    try:
        # Python reads 1_0 and digits of other scripts as numbers, a spreadsheet as texts.
        is_plain = found.isascii() and "_" not in found
        number = float(found) if is_plain else math.nan
    except ValueError:
        return False
    return math.isfinite(number) and number == float(safe_cell(wanted))


def equal_values(found: Any, wanted: Any) -> bool:
    """Whether two values of JSON data are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(found, bool) or isinstance(wanted, bool) or found is None or wanted is None:
        return found is wanted
    is_number = isinstance(wanted, int | float)
    return isinstance(found, int | float) == is_number and bool(found == wanted)
