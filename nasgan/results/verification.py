"""Whether a leaderboard says what the run records say: recomputed, and compared cell by cell."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasgan.errors import ConfigError
from nasgan.metrics.table import METRICS
from nasgan.results.board import FORMAT, VERSION, Leaderboard
from nasgan.results.checks import refuse_constant
from nasgan.results.collection import Problem, RunSummary
from nasgan.results.columns import KEY_COLUMNS, metric_names
from nasgan.results.leaderboard import build_leaderboard
from nasgan.results.proxy import is_of_its_points
from nasgan.results.record import RunRecord, hash_config
from nasgan.results.selection import read_selection
from nasgan.results.tables import original_text, read_csv, safe_cell

__all__ = ["Verification", "record_faults", "verify_table"]

_MAX_BYTES = 200_000_000
# A row of the file whose names were edited is still taken for the one it was, if so much is equal.
_ALIKE = 0.5
# Beyond this many pairs to look at, the records are simply others.
_MOST_PAIRS = 10_000

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Verification:
    """What came of a comparison.

    Attributes:
        num_rows: rows of the file.
        num_cells: cells that were compared.
        num_runs: records that the rows were recomputed from.
        differences: what does not match, in words; empty if all does.
        remarks: what a reader has to know besides.
    """

    num_rows: int
    num_cells: int
    num_runs: int
    differences: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Table:
    """A leaderboard as a file says it.

    Attributes:
        lines: its rows, cells by column.
        columns: the names of the columns.
        protocol: that the rows name.
        ranked_by: the metric of the ranks.
        selection: the filters, in one line.
        equal: whether a cell of the file and a recomputed one say the same.
        head: what is no row, as in `Leaderboard.to_json`.
    """

    lines: Sequence[Line]
    columns: Sequence[str]
    protocol: str
    ranked_by: str
    selection: str
    equal: Callable[[Any, Any], bool]
    head: Mapping[str, Any]


def verify_table(
    path: str | Path, records: Sequence[RunSummary], *, check_records: bool = True
) -> Verification:
    """Recompute a leaderboard from ``records`` and compare it with the file.

    Protocol, ranking metric and filters are those that the file names. The order of rows and
    columns does not matter, nor how a number is written.

    Args:
        path: a CSV or JSON file that `Leaderboard.write` wrote.
        records: of `nasgan.results.collection.find_records`.
        check_records: whether to look for contradictions within the records, too.

    Raises:
        ConfigError: the file cannot be read, or is no leaderboard.
    """
    path = Path(path)
    table = _read(path)
    try:
        board = _recomputed(table, records)
    except ConfigError as error:
        return Verification(len(table.lines), 0, len(records), (str(error),))
    known = {run.run_id: run for run in records}
    differences, compared = _compare(table, board, known)
    if table.head:
        data = board.to_json()
        differences += _compare_values(table.head, {name: data[name] for name in table.head})
    problems = list(board.problems)
    counted = {name for row in board.rows for name in row.provenance.run_ids}
    if check_records:
        problems += record_faults([run for run in records if run.run_id in counted])
    return Verification(
        len(table.lines),
        compared,
        len(counted),
        (*differences, *(str(problem) for problem in problems if problem.is_grave)),
        (
            *([f"only runs of the selection {table.selection}"] if table.selection else []),
            *(str(problem) for problem in problems if not problem.is_grave),
            *(
                f"metric {name} is unknown here, and so which way it points: install the package "
                "that brings it"
                for name in metric_names(board.rows)
                if name not in METRICS
            ),
        ),
    )


def record_faults(runs: Iterable[RunSummary]) -> list[Problem]:
    """Records that contradict themselves: somebody edited them, or they are damaged."""
    faults = []
    for run in runs:
        if run.path is None:
            continue
        record = RunRecord.read(run.path)
        scores = [finalist["metrics"] for finalist in record.finalists]
        wrong = []
        if record.config.get("seed", record.seed) != record.seed:
            wrong.append("the seed is not that of its configuration")
        if hash_config(record.config) != record.config_hash:
            wrong.append("the configuration does not match its hash (config_hash)")
        if record.metrics and scores and record.metrics not in scores:
            wrong.append("the metrics are not those of one of its finalists")
        if record.proxy_correlation and not is_of_its_points(record.proxy_correlation):
            wrong.append("the proxy correlation is not that of its points")
        faults += [Problem(str(run.path), message, is_grave=True) for message in wrong]
    return faults


def _recomputed(table: _Table, records: Sequence[RunSummary]) -> Leaderboard:
    runs = [run for run in records if run.protocol == table.protocol]
    if not runs:
        raise ConfigError(
            f"none of the {len(records)} records is of the protocol {table.protocol!r} that the "
            "file names; say where its runs are (runs=FOLDER)"
        )
    return build_leaderboard(
        runs,
        protocol=table.protocol,
        rank_by=table.ranked_by,
        where=read_selection(table.selection),
        published=any(_is_published(line) for line in table.lines),
    )


def _compare(
    table: _Table, board: Leaderboard, known: Mapping[str, RunSummary]
) -> tuple[list[str], int]:
    named = board.columns()
    expected = [
        {name: column.cell(row) for name, column in named.items()} for row in board.all_rows
    ]
    differences = [f"column {name} is missing" for name in named if name not in table.columns]
    differences += [
        f"column {name} is none of a leaderboard" for name in table.columns if name not in named
    ]
    shared = [name for name in named if name in table.columns]
    pairs, added, missing = _matched(table, expected, shared)
    for number, line, wanted in pairs:
        differences += _cell_differences(table, number, line, wanted, shared, known)
    keys = {_key(line) for line in expected}
    for number, line in added:
        why = "is there twice" if _key(line) in keys else "is not among the records: added"
        differences.append(f"{_place(number, line)}: the row {why}")
    for wanted in missing:
        runs = f" (runs {wanted['run_ids']})" if wanted["run_ids"] else ""
        differences.append(f"{_title(wanted)}: the row is missing in the file{runs}")
    return differences, len(pairs) * len(shared)


def _matched(
    table: _Table, expected: Sequence[Line], columns: Sequence[str]
) -> tuple[list[tuple[int, Line, Line]], list[tuple[int, Line]], list[Line]]:
    """Rows of the file with their number and the recomputed row; rows left over on either side."""
    by_key: dict[tuple[str, ...], list[Line]] = {}
    for line in expected:
        by_key.setdefault(_key(line), []).append(line)
    pairs: list[tuple[int, Line, Line]] = []
    left: list[tuple[int, Line]] = []
    # In a spreadsheet, the header is row 1.
    for number, line in enumerate(table.lines, start=2):
        of_key = by_key.get(_key(line))
        if of_key:
            pairs.append((number, line, of_key.pop(0)))
        else:
            left.append((number, line))
    missing = [line for lines in by_key.values() for line in lines]
    added = []
    if len(left) * len(missing) > _MOST_PAIRS:
        return pairs, left, missing
    for number, line in left:
        best = max(missing, key=lambda wanted: _likeness(table, line, wanted), default=None)
        if best is not None and _likeness(table, line, best) >= _ALIKE * len(columns):
            missing.remove(best)
            pairs.append((number, line, best))
        else:
            added.append((number, line))
    return pairs, added, missing


def _likeness(table: _Table, line: Line, wanted: Line) -> int:
    return sum(name in line and table.equal(line[name], value) for name, value in wanted.items())


def _cell_differences(
    table: _Table,
    number: int,
    line: Line,
    wanted: Line,
    columns: Sequence[str],
    known: Mapping[str, RunSummary],
) -> list[str]:
    place = _place(number, wanted)
    found = []
    if "run_ids" in columns and not table.equal(line["run_ids"], wanted["run_ids"]):
        found += [f"{place}: {text}" for text in _run_differences(line, wanted, known)]
    for name in columns:
        if not table.equal(line[name], wanted[name]):
            found.append(
                f"{place}, column {name}: {_shown(line[name])} in the file, "
                f"{_shown(wanted[name])} from the records"
            )
    return found


def _run_differences(line: Line, wanted: Line, known: Mapping[str, RunSummary]) -> list[str]:
    """What became of the runs of a row, by their ids."""
    own = [name for name in str(line["run_ids"]).split("; ") if name]
    right = [name for name in str(wanted["run_ids"]).split("; ") if name]
    found = [f"run {name} is named {n} times" for name, n in Counter(own).items() if n > 1]
    for name in sorted(set(right) - set(own)):
        seed = f" (seed {known[name].seed})" if name in known else ""
        found.append(f"run {name}{seed} is among the records, but was removed from the row")
    for name in sorted(set(own) - set(right)):
        if name in known:
            found.append(f"run {name} (seed {known[name].seed}) does not belong to this row")
        else:
            found.append(f"run {name} has no record: its seed was removed, or the run is made up")
    return found


def _compare_values(found: Any, wanted: Any, place: str = "") -> list[str]:
    """Differences of JSON data that is no table."""
    if isinstance(found, Mapping) and isinstance(wanted, dict) and found.keys() == wanted.keys():
        parts = [
            _compare_values(found[key], wanted[key], f"{place}.{key}" if place else key)
            for key in wanted
        ]
        return [text for part in parts for text in part]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        parts = [
            _compare_values(a, b, f"{place}[{i}]")
            for i, (a, b) in enumerate(zip(found, wanted, strict=True))
        ]
        return [text for part in parts for text in part]
    if _equal_values(found, wanted):
        return []
    return [f"{place}: {_shown(found)} in the file, {_shown(wanted)} from the records"]


# Reading


def _read(path: Path) -> _Table:
    if path.suffix.lower() not in (".csv", ".json"):
        raise ConfigError(f"{path}: a .csv or .json leaderboard can be verified, or a bundle")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path}: too large for a leaderboard")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text in UTF-8") from error
    return _read_json(text, path) if path.suffix.lower() == ".json" else _read_csv(text, path)


def _read_csv(text: str, path: Path) -> _Table:
    header, lines = read_csv(text, source=str(path))
    return _table(lines, header, _equal_texts, {}, path)


def _read_json(text: str, path: Path) -> _Table:
    try:
        data = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ConfigError(f'{path}: not a leaderboard (no "format": "{FORMAT}")')
    if data.get("version") != VERSION:
        raise ConfigError(
            f"{path}: version {data.get('version')!r} is not the {VERSION} that this nasgan reads"
        )
    lines = data.get("rows")
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise ConfigError(f"{path}: rows must be a list of objects")
    if any(isinstance(cell, dict | list) for line in lines for cell in line.values()):
        raise ConfigError(f"{path}: cells must be texts, numbers or null")
    header = list(dict.fromkeys(name for line in lines for name in line))
    lines = [{name: line.get(name) for name in header} for line in lines]
    head = {name: data.get(name) for name in ("protocol", "ranked_by", "selection", "comparison")}
    return _table(lines, header, _equal_values, head, path)


def _table(
    lines: Sequence[Line],
    header: Sequence[str],
    equal: Callable[[Any, Any], bool],
    head: Mapping[str, Any],
    path: Path,
) -> _Table:
    needed = (*KEY_COLUMNS, "ranked_by", "selection", "run_ids")
    missing = [name for name in needed if name not in header]
    if missing:
        raise ConfigError(
            f"{path}: not a leaderboard of this version of nasgan: it lacks the columns "
            f"{', '.join(missing)}"
        )
    own = [line for line in lines if not _is_published(line)]
    if not own:
        raise ConfigError(f"{path}: there are no rows that were made of run records")
    named = {name: _majority(own, name) for name in ("protocol", "ranked_by", "selection")}
    return _Table(lines, header, **named, equal=equal, head=head)


def _majority(lines: Sequence[Line], name: str) -> str:
    """What most rows say; the odd one is a difference, and no reason to stop."""
    return str(Counter(str(line[name]) for line in lines).most_common(1)[0][0])


def _is_published(line: Line) -> bool:
    return str(line["strategy"]).startswith("published: ")


def _key(line: Line) -> tuple[str, ...]:
    return tuple(_text(line[name]) for name in KEY_COLUMNS)


def _text(value: Any) -> str:
    """A cell as text, equal for a number and for what CSV says of it."""
    return "" if value is None else str(value)


def _title(line: Line) -> str:
    parts = [line["strategy"], line["search_space"], line["architecture"], line["dataset"]]
    classes = str(line["num_classes"])
    parts += [f"{classes} classes"] if classes not in ("0", "") else []
    return " · ".join(str(part) for part in parts if part)


def _place(number: int, line: Line) -> str:
    return f"row {number} ({_title(line)})"


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _equal_texts(found: Any, wanted: Any) -> bool:
    """Whether a cell of a CSV says ``wanted``: programs that edit tables rewrite numbers."""
    if isinstance(wanted, str) or wanted is None:
        return bool(found == original_text(safe_cell(wanted)))
    try:
        # Python reads 1_0 as ten, a spreadsheet as a text.
        number = math.nan if "_" in found else float(found)
    except ValueError:
        return False
    return math.isfinite(number) and number == float(safe_cell(wanted))


def _equal_values(found: Any, wanted: Any) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool) or found is None or wanted is None:
        return found is wanted
    is_number = isinstance(wanted, int | float)
    return isinstance(found, int | float) == is_number and bool(found == wanted)
