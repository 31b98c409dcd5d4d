"""Which runs there are in results folders, and which of them are chosen. Imports no torch."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasgan.errors import ConfigError, RunDirectoryError, UnknownNameError, quoted
from nasgan.leaderboard.summaries import Problem, RunSummary
from nasgan.reading import parse_json, walk
from nasgan.runs.record import RECORD_FILE, RunRecord
from nasgan.runs.simulations import SEARCHES_FILE, SimulationFile
from nasgan.runs.status import STATUS_FILE, Status

__all__ = [
    "FILTERS",
    "Selection",
    "find_records",
    "read_selection",
    "select_runs",
    "selection_of",
    "selection_text",
]


def find_records(roots: Sequence[str | Path]) -> tuple[list[RunSummary], list[Problem]]:
    """Read all records below ``roots``, sorted by path.

    Args:
        roots: folders, searched through links and all depths, or record files.

    Returns:
        Summaries of the records, and what could not be counted: unreadable records and folders,
        damaged lines of simulated searches, and runs that have a status but no record yet.

    Raises:
        ConfigError: a root does not exist.
    """
    records: list[RunSummary] = []
    problems: list[Problem] = []
    simulated: dict[str, Path] = {}
    for path in sorted(iter_record_files(roots, problems)):
        try:
            if path.name == SEARCHES_FILE:
                records += _simulated(path, simulated, problems)
            else:
                records.append(RunSummary.of(RunRecord.read(path), path))
        except ConfigError as error:
            problems.append(Problem(str(path), str(error).removeprefix(f"{path}: ")))
    return records, problems


def _simulated(path: Path, known: dict[str, Path], problems: list[Problem]) -> list[RunSummary]:
    """The searches of a file, unless another one holds the ``known`` same."""
    file = SimulationFile.open(path)
    first = known.setdefault(file.identity, path)
    if first != path:
        problems.append(Problem(str(path), f"holds the searches of {first}: they count once"))
        return []

    def told(sentence: str) -> None:
        problems.append(Problem(str(path), sentence))

    return [RunSummary.of(record, path, is_simulated=True) for _, record in file.read(told)]


def iter_record_files(
    roots: Iterable[str | Path], problems: list[Problem] | None = None
) -> Iterator[Path]:
    """The record files below ``roots``, each once however many links and roots lead to it.

    Args:
        roots: folders or record files.
        problems: takes up folders that cannot be read and runs without a record.

    Raises:
        ConfigError: a root does not exist.
    """
    problems = [] if problems is None else problems
    visited: set[str] = set()
    for root in map(Path, roots):
        try:
            is_file, is_folder = root.is_file(), root.is_dir()
        except OSError as error:
            raise ConfigError(f"{root}: cannot be looked at: {error.strerror}") from error
        if is_file:
            if _first_visit(root, visited):
                yield root
            continue
        if not is_folder:
            raise ConfigError(f"{root}: there is no such results folder; give one with runs=")
        yield from _walk(root, visited, problems)


def _walk(root: Path, visited: set[str], problems: list[Problem]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        problems.append(Problem(str(error.filename), f"cannot be read: {error.strerror}"))

    for folder, subfolders, files in walk(root, unreadable, through_links=True):
        # A link to a folder above, or a second link to the same one, ends here.
        if not _first_visit(folder, visited):
            subfolders.clear()
            continue
        for path in (folder / name for name in (RECORD_FILE, SEARCHES_FILE) if name in files):
            fault = _fault(path)
            if fault:
                problems.append(Problem(str(path), fault))
            elif _first_visit(path, visited):
                yield path
        if STATUS_FILE in files and RECORD_FILE not in files:
            problems.append(Problem(str(folder), _unfinished(Path(folder, STATUS_FILE))))


def _fault(path: Path) -> str:
    """Why a file that is listed cannot be read; empty if it may be."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is a link that leads nowhere"
    except OSError as error:  # of a folder that may be listed, but not entered
        return f"cannot be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "is no plain file"  # a pipe would never end


def _first_visit(path: Path, visited: set[str]) -> bool:
    # By where it is. The number of its inode may meanwhile be another record's: one that is
    # replaced while others are read leaves its own to the next file that is written.
    place = os.path.realpath(path)
    if place in visited:
        return False
    visited.add(place)
    return True


def _unfinished(path: Path) -> str:
    try:
        state: str = Status.read(path).state
    except RunDirectoryError:
        state = "unreadable"
    return f"has no record yet (its last status is {state!r}), so it is not counted"


# Which are chosen; the leaderboard says it

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


def selection_of(where: Mapping[str, Any] | None, runs: Iterable[RunSummary] = ()) -> Selection:
    """Filters with a value or a list of values each; None for a filter that keeps all.

    Args:
        where: values by filter.
        runs: that the beginning of a configuration's hash may stand for one of.

    Raises:
        ConfigError: a filter is unknown, a value is of a wrong type, or several configurations
            among ``runs`` have a hash that begins so.
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
    if "config_hash" in found:
        found["config_hash"] = _whole_hashes(found["config_hash"], runs)
    return found


def _whole_hashes(values: Iterable[str], runs: Iterable[RunSummary]) -> tuple[str, ...]:
    """Hashes of configurations of ``runs`` in place of their beginnings."""
    known, whole = sorted({run.config_hash for run in runs}), set()
    for value in values:
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
    return tuple(sorted(whole))


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
