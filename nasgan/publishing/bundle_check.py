"""Whether a published bundle is what was published, and its tables say what its records say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nasgan.errors import ConfigError, MissingDependencyError, quoted
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records, selection_text
from nasgan.leaderboard.leaderboard import Leaderboard
from nasgan.leaderboard.summaries import RunSummary
from nasgan.publishing.bundle import (
    BUNDLE_FILE,
    CHECKSUM_FILE,
    CONFIG_FILE,
    RANKS_FILE,
    RUNS_FOLDER,
    TABLE_FILES,
    read_manifest,
)
from nasgan.publishing.contradictions import record_faults
from nasgan.publishing.table_file import read_table
from nasgan.publishing.verification import Verification, compare_table, need_metric
from nasgan.reading import digest_of, read_json, read_text, walk
from nasgan.runs.record import RunRecord
from nasgan.schema import OpenPart, Part, Text, check

__all__ = ["verify_bundle"]


class _Place(Part):
    run_id: Text
    folder: Text


class _Manifest(OpenPart):
    protocol: Text
    ranked_by: Text
    selection: dict[str, list[Any]]  # looked at where it is used
    runs: list[_Place]


# Without these there would be nothing to compare the records with.
_NEEDED = (BUNDLE_FILE, *TABLE_FILES)
# A plain sentence: it begins as text at the margin, and holds no part of a table and no HTML.
_SENTENCE = re.compile(r"[^\W\d_][^|<]*")
_SHOWN = 100
_CHECKSUM_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


def verify_bundle(folder: str | Path) -> Verification:
    """Check every file of a bundle against its checksum, and its tables against its records.

    Raises:
        ConfigError: ``folder`` is no bundle.
        MissingDependencyError: it cannot be told, since a metric is unknown here.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    differences = list(_file_differences(folder))
    if any(path.is_symlink() for path in _entries(folder)):
        # They may lead anywhere on this machine, and to files without end.
        return Verification(0, 0, 0, tuple(differences))
    remarks: list[str] = []
    tables: list[Verification] = []
    try:
        check(_Manifest, manifest, BUNDLE_FILE)
        records, problems = find_records([folder / RUNS_FOLDER])
        differences += [str(problem) for problem in problems]
        differences += _run_differences(folder, records, manifest)
        need_metric(manifest["ranked_by"], records)
        board = build_leaderboard(
            records,
            protocol=manifest["protocol"],
            rank_by=manifest["ranked_by"],
            where=manifest["selection"],
        )
        for problem in (*record_faults(records), *board.problems):
            (differences if problem.is_grave else remarks).append(str(problem))
        if board.selection:
            remarks.append(f"only runs of the selection {selection_text(board.selection)}")
        for name in ("leaderboard.csv", "leaderboard.json"):
            if (folder / name).is_file():
                tables.append(_compared(folder / name, board, records))
                differences += [f"{name}: {text}" for text in tables[-1].differences]
                remarks += tables[-1].remarks
        differences += _text_differences(folder, board, remarks)
        differences += _config_differences(folder, records)
    except ConfigError as error:
        return Verification(0, 0, 0, (*differences, f"{folder}: {error}"))
    except MissingDependencyError as error:
        if not differences:
            raise
        return Verification(0, 0, 0, (*differences, str(error)))
    return Verification(
        max((table.num_rows for table in tables), default=0),
        sum(table.num_cells for table in tables),
        len(records),
        tuple(dict.fromkeys(differences)),
        tuple(dict.fromkeys(remarks)),
    )


def _run_differences(
    folder: Path, records: list[RunSummary], manifest: Mapping[str, Any]
) -> Iterator[str]:
    """Runs that are not where the manifest says."""
    named = sorted((run["run_id"], run["folder"]) for run in manifest["runs"])
    found = sorted(
        (run.run_id, run.path.parent.relative_to(folder).as_posix())
        for run in records
        if run.path is not None
    )
    if [name for name, _ in named] != [name for name, _ in found]:
        yield f"{BUNDLE_FILE}: the runs are not those in {RUNS_FOLDER}/"
        return
    for (name, place), (_, own) in zip(named, found, strict=True):
        if place != own:
            yield f"{BUNDLE_FILE}: run {name} is said to be in {place}, and is in {own}"


def _compared(path: Path, board: Leaderboard, records: list[RunSummary]) -> Verification:
    """A table of the bundle against the board that the manifest asks for."""
    table = read_table(path)
    pairs = {
        "protocol": (table.protocol, board.protocol),
        "ranking metric": (table.ranked_by, board.ranked_by),
        "selection": (table.selection, selection_text(board.selection)),
    }
    odd = [
        f"the {what} is {found or 'none'}, and {BUNDLE_FILE} says {wanted or 'none'}"
        for what, (found, wanted) in pairs.items()
        if found != wanted
    ]
    if odd:
        # Its other cells follow from this one.
        return Verification(len(table.lines), 0, 0, tuple(odd))
    found = compare_table(table, board, records)
    if table.head and table.head.get("problems") != board.to_json()["problems"]:
        odd = ["problems: not what the records give"]
    return replace(found, differences=(*found.differences, *odd))


def _file_differences(folder: Path) -> Iterator[str]:
    """Files that were edited, added or removed since the checksums were made."""
    path = folder / CHECKSUM_FILE
    if not path.is_file():
        yield f"{CHECKSUM_FILE} is missing"
        return
    listed: dict[str, str] = {}
    for number, line in enumerate(read_text(path, errors="replace").splitlines(), start=1):
        match = _CHECKSUM_LINE.fullmatch(line)
        if match is None or match[2] in listed:
            yield f"{CHECKSUM_FILE}: line {number} cannot be used"
        else:
            listed[match[2]] = match[1]
    there = {}
    for found in _entries(folder):
        name = found.relative_to(folder).as_posix()
        if found.is_symlink():
            yield f"{name}: is a link, which no bundle holds"
        elif found.is_file() and name != CHECKSUM_FILE:
            there[name] = found
        elif not found.is_file() and not found.is_dir():
            yield f"{name}: is no plain file"
    for name, found in there.items():
        if name not in listed:
            yield f"{name}: was added after publication"
        elif why := _why_not(found, listed[name]):
            yield f"{name}: {why}"
    for name in sorted({*listed, *_NEEDED} - there.keys()):
        yield f"{name}: is missing"


def _entries(folder: Path) -> list[Path]:
    """All that is in a bundle.

    Raises:
        ConfigError: a folder cannot be listed, or they are nested too deeply.
    """

    def refuse(error: OSError) -> None:
        raise ConfigError(f"{folder}: {quoted(error.filename)} cannot be read: {error.strerror}")

    return sorted(
        inside / name
        for inside, subfolders, files in walk(folder, refuse)
        for name in (*subfolders, *files)
    )


def _why_not(path: Path, checksum: str) -> str:
    """Why a file is not the published one; empty if it is."""
    try:
        return "" if digest_of(path) == checksum else "was edited after publication"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _text_differences(folder: Path, board: Leaderboard, remarks: list[str]) -> Iterator[str]:
    """What the Markdown page and the ranks say otherwise; ``remarks`` takes odd sentences."""
    texts = {"leaderboard.md": board.to_markdown()}
    if board.comparison is not None:
        texts[RANKS_FILE] = board.ranks_csv()
    elif (folder / RANKS_FILE).exists():
        yield f"{RANKS_FILE}: the records give no ranks over tasks"
    for name, wanted in texts.items():
        path = folder / name
        if not path.is_file():
            yield f"{name}: is missing"
            continue
        found = read_text(path, errors="replace")
        is_markdown = path.suffix == ".md"
        for change in _line_differences(found, wanted, is_markdown=is_markdown):
            yield f"{name}: {change}"
        if is_markdown:
            remarks += [f"{name}: {odd}" for odd in _odd_sentences(found, wanted)]


def _config_differences(folder: Path, records: list[RunSummary]) -> Iterator[str]:
    """Configurations beside the records, for people to read, that say something else."""
    for run in records:
        if run.path is None or run.is_simulated:
            continue
        path = run.path.with_name(CONFIG_FILE)
        try:
            found = read_json(path)
        except (OSError, ValueError):
            found = None
        if found != RunRecord.read(run.path).config:
            name = path.relative_to(folder).as_posix()
            yield f"{name}: is not the configuration in the record"


def _line_differences(found: str, wanted: str, *, is_markdown: bool) -> Iterator[str]:
    """Where a text says other data than ``wanted``, however its lines end."""
    # A bundle has to verify for as long as it is kept, and later versions of nasgan may put the
    # sentences of a Markdown page in other words: these are told (`_odd_sentences`). All else is
    # held to the letter, blank lines included, so nothing is slipped in, hidden or taken apart.
    own, right = (_data_lines(text) if is_markdown else _numbered(text) for text in (found, wanted))
    odd = [
        line[0] if line else 0
        for line, other in zip_longest(own, right)
        if line is None or other is None or line[1] != other[1]
    ]
    if odd and not odd[0]:
        yield f"it ends too early: {len(own)} lines of data, {len(right)} of the records"
    elif odd:
        more = f", nor are {len(odd) - 1} more" if len(odd) > 1 else ""
        yield f"line {odd[0]} is not what the records give{more}"


def _odd_sentences(found: str, wanted: str) -> Iterator[str]:
    """Sentences of a Markdown page that are only in ``found``, or only in ``wanted``."""
    own, right = ([line for _, line in _numbered(text)] for text in (found, wanted))
    for number, line in _numbered(found):
        if _SENTENCE.fullmatch(line) and line not in right:
            yield f"line {number} is no sentence of this nasgan: {line[:_SHOWN]!r}"
    for line in right:
        if _SENTENCE.fullmatch(line) and line not in own:
            yield f"lacks the sentence {line[:_SHOWN]!r}"


def _numbered(text: str) -> list[tuple[int, str]]:
    return list(enumerate(text.splitlines(), start=1))


def _data_lines(text: str) -> list[tuple[int, str]]:
    """The lines without sentences; of blank lines in a row, one."""
    lines: list[tuple[int, str]] = []
    for number, line in _numbered(text):
        kept = "" if _SENTENCE.fullmatch(line) else line
        if kept or (lines and lines[-1][1]):
            lines.append((number, kept))
    return lines[:-1] if lines and not lines[-1][1] else lines
