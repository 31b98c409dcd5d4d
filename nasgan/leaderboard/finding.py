"""What is in results folders: run records, and files of simulated searches. Imports no torch."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nasgan.errors import ConfigError, RunDirectoryError
from nasgan.leaderboard.summaries import Problem, RunSummary
from nasgan.reading import walk
from nasgan.runs.record import RECORD_FILE, RunRecord
from nasgan.runs.simulations import SEARCHES_FILE, SimulationFile
from nasgan.runs.status import STATUS_FILE, Status

__all__ = ["find_records"]


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
