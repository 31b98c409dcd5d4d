"""Whether a leaderboard says what the run records say: recomputed, and compared cell by cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasgan.errors import ConfigError, MissingDependencyError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.columns import KEY_COLUMNS
from nasgan.leaderboard.finding import read_selection
from nasgan.leaderboard.leaderboard import GROUPS, Leaderboard
from nasgan.leaderboard.rows import metric_names
from nasgan.leaderboard.summaries import Problem, RunSummary
from nasgan.metrics.table import METRICS
from nasgan.publishing.contradictions import record_faults
from nasgan.publishing.table_file import (
    NO_HEAD,
    Line,
    TableFile,
    equal_values,
    is_published,
    read_table,
)
from nasgan.schema import Part, check

__all__ = ["Verification", "compare_table", "need_metric", "verify_table"]

# A row of the file whose names were edited is still taken for the one it was, if so much is equal.
_ALIKE = 0.5
# Beyond this many pairs to look at, the records are simply others.
_MOST_PAIRS = 10_000

# Of a row that differs in more, so many cells are shown with their values, and so many named.
_SHOWN_CELLS = 3
_NAMED_CELLS = 6

_INSTALL = "install the package that brings it"


class _Problem(Part):
    source: str
    message: str


Change = tuple[str, Any, Any]
"""A name, its value in the file, and the one from the records."""


@dataclass(frozen=True)
class Verification:
    """What came of a comparison.

    Attributes:
        num_rows: rows of the file.
        num_cells: cells that were compared.
        num_runs: records that the rows were recomputed from.
        differences: what does not match, in words; empty if all does. What became of runs and
            rows comes first, then one line for each row with other cells.
        remarks: what a reader has to know besides.
    """

    num_rows: int
    num_cells: int
    num_runs: int
    differences: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def verify_table(
    path: str | Path, records: Sequence[RunSummary], *, check_records: bool = True
) -> Verification:
    """Recompute a leaderboard from ``records`` and compare it with the file.

    Protocol, ranking metric and filters are those that the file names. The order of rows and
    columns does not matter, nor how a number is written.

    Args:
        path: a CSV or JSON file that `Leaderboard.write` wrote.
        records: of `nasgan.leaderboard.finding.find_records`.
        check_records: whether to look for contradictions within the records, too.

    Raises:
        ConfigError: the file cannot be read, is no leaderboard, or is of a protocol that no record
            has.
        MissingDependencyError: it cannot be told, since a metric is unknown here.
    """
    table = read_table(Path(path))
    runs = [run for run in records if run.protocol == table.protocol]
    if not runs:
        raise ConfigError(
            f"none of the {len(records)} records is of the protocol {table.protocol!r} that the "
            "file names; say where its runs are (runs=FOLDER)"
        )
    need_metric(table.ranked_by, runs)
    try:
        board = _recomputed(table, runs)
    except ConfigError as error:
        return Verification(len(table.lines), 0, len(records), (str(error),))
    counted = {name for row in board.rows for name in row["run_ids"]}
    faults = record_faults([run for run in runs if run.run_id in counted]) if check_records else []
    own = {f"{problem.source}: {problem.message}" for problem in board.problems}
    told = [text for text in _told(table) if text not in own]
    return compare_table(
        table,
        board,
        runs,
        problems=[*board.problems, *faults],
        remarks=[
            *([f"only runs of the selection {table.selection}"] if table.selection else []),
            *(f"the file tells what the records here do not: {text}" for text in told),
        ],
    )


def compare_table(
    table: TableFile,
    board: Leaderboard,
    runs: Sequence[RunSummary],
    *,
    problems: Sequence[Problem] = (),
    remarks: Sequence[str] = (),
) -> Verification:
    """Compare a file with the leaderboard of ``runs``.

    Args:
        table: the file.
        board: what it has to say.
        runs: that ``board`` was made of.
        problems: grave ones are differences, the others remarks.
        remarks: further ones.

    Raises:
        MissingDependencyError: a metric is unknown here, and the file has other columns.
    """
    unknown = [name for name in metric_names(board.rows) if name not in METRICS]
    if unknown and set(table.columns) != set(board.columns):
        need_metric(unknown[0], runs)
    whole, cells, compared = _compare(table, board, {run.run_id: run for run in runs})
    if table.head:
        wanted = board.to_json()
        whole += _head_differences(table.head, wanted)
        for name, value in wanted.items():
            if name in table.head and name != "problems":
                cells += _value_differences(name, list(_changes(table.head[name], value)))
    return Verification(
        len(table.lines),
        compared,
        len({name for row in board.rows for name in row["run_ids"]}),
        (*whole, *(str(problem) for problem in problems if problem.is_grave), *cells),
        (
            *remarks,
            *(str(problem) for problem in problems if not problem.is_grave),
            *(
                f"metric {name} is unknown here, and so which way it points: {_INSTALL}"
                for name in unknown
            ),
        ),
    )


def need_metric(name: str, runs: Sequence[RunSummary]) -> None:
    """Refuse to rank by a metric that ``runs`` have, and that no installed package explains.

    Raises:
        MissingDependencyError: it is so.
    """
    if name in METRICS:
        return
    having = [
        run
        for run in runs
        if name in (run.metrics or ()) or any(name in r.metrics for r in run.random_architectures)
    ]
    if having:
        raise MissingDependencyError(
            f"it cannot be told: metric {name} is unknown here; {_INSTALL}, then verify again "
            f"(the runs were made with {having[0].versions or 'unknown packages'})"
        )


def _head_differences(head: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Keys beside the rows that are missing or made up, and problems that are none."""
    needed = [name for name in wanted if name not in NO_HEAD]
    found = [f"key {name} is missing" for name in needed if name not in head]
    found += [f"key {name} is none of a leaderboard" for name in head if name not in needed]
    try:
        check(list[_Problem], head.get("problems", []), "problems")
    except ConfigError as error:
        found.append(str(error))
    return found


def _told(table: TableFile) -> list[str]:
    """The problems that a JSON file tells, where they are some."""
    problems = table.head.get("problems")
    try:
        check(list[_Problem], problems, "problems")
    except ConfigError:
        return []
    return [f"{problem['source']}: {problem['message']}" for problem in problems or ()]


def _recomputed(table: TableFile, runs: Sequence[RunSummary]) -> Leaderboard:
    groups = table.head.get("group_by")
    is_known = isinstance(groups, list) and all(name in list(GROUPS) for name in groups)
    return build_leaderboard(
        runs,
        protocol=table.protocol,
        rank_by=table.ranked_by,
        where=read_selection(table.selection),
        group_by=groups if groups and is_known else (),
        published=any(is_published(line) for line in table.lines),
    )


def _compare(
    table: TableFile, board: Leaderboard, known: Mapping[str, RunSummary]
) -> tuple[list[str], list[str], int]:
    """What became of runs, rows and columns; cells that differ; how many were compared."""
    named, expected = board.columns, board.cells
    shared = [name for name in named if name in table.columns]
    pairs, added, missing = _matched(table, expected, shared)
    cells: list[str] = []
    # A run stands in several rows: beside its own in that of the average random architecture.
    places: dict[str, list[str]] = {}
    for number, line, wanted in pairs:
        place = _place(number, wanted)
        changes = _cell_changes(table, line, wanted, shared)
        of_runs = []
        if any(name == "run_ids" for name, *_ in changes):
            of_runs = _run_differences(line, wanted, known)
        for change in of_runs:
            places.setdefault(change, []).append(place)
        cells += _cell_differences(place, changes, follows=bool(of_runs))
    found = [f"{text}: {', '.join(where)}" for text, where in places.items()]
    keys = {_key(line) for line in expected}
    for number, line in added:
        why = "is there twice" if _key(line) in keys else "is not among the records: added"
        found.append(f"{_place(number, line)}: the row {why}")
    for wanted in missing:
        runs = f" (runs {wanted['run_ids']})" if wanted["run_ids"] else ""
        found.append(f"{_title(wanted)}: the row is missing in the file{runs}")
    found += [f"column {name} is missing" for name in named if name not in table.columns]
    found += [
        f"column {name} is none of a leaderboard" for name in table.columns if name not in named
    ]
    return found, cells, len(pairs) * len(shared)


def _matched(
    table: TableFile, expected: Sequence[Line], columns: Sequence[str]
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


def _likeness(table: TableFile, line: Line, wanted: Line) -> int:
    return sum(name in line and table.equal(line[name], value) for name, value in wanted.items())


def _cell_changes(
    table: TableFile, line: Line, wanted: Line, columns: Sequence[str]
) -> list[Change]:
    """The cells that differ, those that say most about the row first."""
    telling = ("rank", "n_seeds", f"{table.ranked_by}_mean")
    changed = [name for name in columns if not table.equal(line[name], wanted[name])]
    changed.sort(key=lambda name: name not in telling)
    return [(name, line[name], wanted[name]) for name in changed]


def _cell_differences(place: str, changes: Sequence[Change], *, follows: bool) -> list[str]:
    """The changes of a row in one line; what ``follows`` from other runs is no fault of its own."""
    if len(changes) < 2:
        return [
            f"{place}, column {name}: {_shown(found)} in the file, {_shown(wanted)} from the "
            "records"
            for name, found, wanted in changes
        ]
    if follows:
        changes = [change for change in changes if change[0] != "run_ids"]
    what = "1 column differs" if len(changes) == 1 else f"{len(changes)} columns differ"
    why = ", as its runs do" if follows else ""
    return [f"{place}: {what}{why} (file / records): {_listed(changes)}"]


def _value_differences(name: str, changes: Sequence[Change]) -> list[str]:
    """The changes of JSON data that is no table: a line each, or one for many."""
    single = [change for change in changes if not isinstance(change[1] or change[2], list | dict)]
    parts = [f"{name}{change[0]}" for change in changes if change not in single]
    texts = [f"{', '.join(parts)}: not what the records give"] if parts else []
    if len(single) > _SHOWN_CELLS:
        many = f"{name}: {len(single)} values differ (file / records): {_listed(single)}"
        return [*texts, many]
    return texts + [
        f"{name}{place}: {_shown(found)} in the file, {_shown(wanted)} from the records"
        for place, found, wanted in single
    ]


def _listed(changes: Sequence[Change]) -> str:
    """The first changes with both values, and the others by name, or how many there are."""
    parts = []
    for name, found, wanted in changes[:_SHOWN_CELLS]:
        own, right = _short(found), _short(wanted)
        if own == right:
            own, right = _shown(found), _shown(wanted)
        parts.append(f"{name.lstrip('.')} {own} / {right}")
    rest = [name.lstrip(".") for name, *_ in changes[_SHOWN_CELLS:]]
    if len(rest) > _NAMED_CELLS:
        return f"{', '.join(parts)} and {len(rest)} more"
    return ", ".join([*parts, *rest])


def _run_differences(line: Line, wanted: Line, known: Mapping[str, RunSummary]) -> list[str]:
    """What became of the runs of a row, by their ids."""
    own = [name for name in str(line["run_ids"]).split("; ") if name]
    right = [name for name in str(wanted["run_ids"]).split("; ") if name]
    found = [f"run {name} is named {n} times" for name, n in Counter(own).items() if n > 1]
    for name in sorted(set(right) - set(own)):
        seed = f" (seed {known[name].seed})" if name in known else ""
        found.append(f"run {name}{seed} is among the records, but was removed")
    for name in sorted(set(own) - set(right)):
        if name in known:
            found.append(f"run {name} (seed {known[name].seed}) does not belong here")
        else:
            found.append(f"run {name} has no record (it was removed, or the run is made up)")
    return found


def _changes(found: Any, wanted: Any, place: str = "") -> Iterator[Change]:
    """Where JSON data that is no table differs."""
    if isinstance(found, Mapping) and isinstance(wanted, dict) and found.keys() == wanted.keys():
        for key in wanted:
            yield from _changes(found[key], wanted[key], f"{place}.{key}")
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for i, (own, right) in enumerate(zip(found, wanted, strict=True)):
            yield from _changes(own, right, f"{place}[{i}]")
    elif not equal_values(found, wanted):
        yield place, found, wanted


def _key(line: Line) -> tuple[str, ...]:
    return tuple(_text(name, line[name]) for name in KEY_COLUMNS)


def _text(name: str, value: Any) -> str:
    """A cell as text, equal for a number and for what programs make of it in a CSV."""
    words = "" if value is None else str(value)
    return words.removesuffix(".0") if name == "num_classes" else words


def _title(line: Line) -> str:
    parts = [line["strategy"], line["search_space"], line["architecture"], line["dataset"]]
    classes = _text("num_classes", line["num_classes"])
    parts += [f"{classes} classes"] if classes not in ("0", "") else []
    return " · ".join(str(part) for part in parts if part)


def _place(number: int, line: Line) -> str:
    return f"row {number} ({_title(line)})"


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _short(value: Any) -> str:
    text = _shown(f"{value:.6g}" if isinstance(value, float) else value)
    return text if len(text) <= 24 else f"{text[:21]}..."
