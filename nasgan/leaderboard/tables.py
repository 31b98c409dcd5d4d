"""Rows as CSV and Markdown, safe to open in a spreadsheet and to paste into a page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from nasgan.errors import ConfigError

__all__ = [
    "Cell",
    "csv_line",
    "escape_markdown",
    "markdown_code",
    "markdown_lines",
    "original_text",
    "read_csv",
    "safe_cell",
]

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
