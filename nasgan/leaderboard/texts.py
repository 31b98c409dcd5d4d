"""Texts: numbers as a person reads them, and cells of CSV and Markdown.

Tables are safe to open in a spreadsheet and to paste into a page.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from nasgan.errors import ConfigError

__all__ = [
    "Cell",
    "csv_line",
    "duration",
    "escape_markdown",
    "in_unit",
    "interval_text",
    "markdown_code",
    "markdown_lines",
    "original_text",
    "read_csv",
    "safe_cell",
    "short_number",
    "shown",
    "with_spread",
]

_LEAST_PLAIN = 1e-4


def short_number(value: float | None) -> str:
    """At most four digits, or a whole number."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def interval_text(low: float | None, high: float | None) -> str:
    """The ends of an interval."""
    return f"{short_number(low)} to {short_number(high)}"


def shown(value: float, digits: int = 3) -> str:
    """A number as a person writes it: few digits, k and M and G for large ones."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    power, unit = _unit(value, digits)
    if abs(value) < _LEAST_PLAIN:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value / power)) + 1e-12))
    text = f"{value / power:.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{unit}"


def with_spread(mean: float, spread: float) -> str:
    """``mean ± spread``, both in one unit and with as many decimals as the spread deserves."""
    largest = max(abs(mean), abs(spread))
    if not spread or not math.isfinite(largest) or largest < _LEAST_PLAIN:
        return f"{shown(mean, 4)} ± {shown(spread, 2)}"
    power, unit = _unit(largest, 4)
    # Four digits are enough of the mean, however small the spread.
    finest = 3 - math.floor(math.log10(largest / power) + 1e-12)
    wanted = 1 - math.floor(math.log10(abs(spread) / power) + 1e-12)
    decimals = max(0, min(finest, wanted))
    return f"{mean / power:.{decimals}f}{unit} ± {spread / power:.{decimals}f}{unit}"


def _unit(value: float, digits: int) -> tuple[float, str]:
    """What to divide by, and its letter."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit * (1 - 0.5 * 10**-digits):
            return (1e3 if unit == "k" else limit), unit
    return 1.0, ""


def duration(seconds: float | None) -> str:
    """A time in at most two units."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{shown(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _two(minutes, "min", rest, "s")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return _two(hours, "h", minutes, "min")
    days, hours = divmod(hours, 24)
    return _two(days, "d", hours, "h")


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large} {unit} {small} {smaller}" if small else f"{large} {unit}"


def in_unit(value: float | None, unit: str) -> str:
    """An amount of a cost."""
    if value is None:
        return ""
    return duration(value) if unit == "device_seconds" else shown(value)


# Cells of CSV and Markdown

Cell: TypeAlias = str | int | float | None

# A spreadsheet takes a text that begins with one of these for a formula (CWE-1236).
_FORMULA_SIGNS = "=+-@＝＋－＠"
_FORMULA_STARTS = (*_FORMULA_SIGNS, "\t", "\r", "\n")
_CONTROL_TO_SPACE = dict.fromkeys([*range(32), 127], " ")
_SEPARATORS = frozenset(',;"')
# Where numbers have decimal commas, spreadsheets split at semicolons, within quotes of other cells
# too: what follows one begins a cell there.
_AFTER_SEMICOLON = re.compile(rf"(;[\s\"]*)(?=['{re.escape(_FORMULA_SIGNS)}])")
_UNDO_AFTER_SEMICOLON = re.compile(r"(;[\s\"]*)'")


def csv_line(cells: Iterable[Cell]) -> str:
    """One line of CSV."""
    texts = [safe_cell(cell) for cell in cells]
    quoted = ['"' + t.replace('"', '""') + '"' if _SEPARATORS & set(t) else t for t in texts]
    return ",".join(quoted) + "\n"


def safe_cell(value: Cell) -> str:
    """A cell's text; one that a spreadsheet would take for a formula gets an apostrophe before.

    So does one that begins with an apostrophe, so that `original_text` can undo it; and so does
    what follows a semicolon.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        # One row stays one line, whatever a record holds.
        line = _encodable(value).translate(_CONTROL_TO_SPACE)
        is_formula = value.startswith(_FORMULA_STARTS) or line.lstrip().startswith(_FORMULA_STARTS)
        line = _AFTER_SEMICOLON.sub(r"\1'", line)
        return f"'{line}" if is_formula or line.startswith("'") else line
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def original_text(cell: str) -> str:
    """The text that `safe_cell` made ``cell`` of, but for control characters (now spaces)."""
    return _UNDO_AFTER_SEMICOLON.sub(r"\1", cell.removeprefix("'"))


def read_csv(text: str, *, source: str) -> tuple[list[str], list[dict[str, str]]]:
    """The column names and the rows of a CSV, each cell as its `original_text`.

    Raises:
        ConfigError: a row has another number of cells than the header, two columns have one name,
            or a cell is a formula.
    """
    # The names of thousands of runs are one cell; the reader's limit is for all of the process.
    limit = csv.field_size_limit(max(len(text), csv.field_size_limit()))
    try:
        lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    except csv.Error as error:
        raise ConfigError(f"{source}: not a CSV file: {error}") from error
    finally:
        csv.field_size_limit(limit)
    header = [original_text(name) for name in lines[0]] if lines else []
    if len(set(header)) < len(header):
        raise ConfigError(f"{source}: two columns have the same name")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        if len(line) != len(header):
            raise ConfigError(
                f"{source}: row {number} has {len(line)} cells, the header has {len(header)}"
            )
        for name, cell in zip(header, line, strict=True):
            if _is_formula(cell):
                raise ConfigError(
                    f"{source}: row {number}, column {name}: {cell[:40]!r} is a formula to a "
                    "spreadsheet; nasgan writes an apostrophe before it, so something else has "
                    "changed the file"
                )
        rows.append(dict(zip(header, map(original_text, line), strict=True)))
    return header, rows


def _is_formula(cell: str) -> bool:
    if not cell.lstrip().startswith(_FORMULA_STARTS):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


def markdown_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape_markdown(text: str) -> str:
    """``text`` such that it stays in its table cell and is shown as it is."""
    text = " ".join(_encodable(text).split())
    text = text.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for character in "|`*_[]":
        text = text.replace(character, f"\\{character}")
    return text


def markdown_code(text: str) -> str:
    """``text`` as Markdown shows code; it cannot end this itself."""
    return f"`{' '.join(_encodable(text).split()).replace('`', chr(39))}`"


def _encodable(text: str) -> str:
    """``text`` with what UTF-8 cannot say (bytes of odd file names) in plain letters."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
