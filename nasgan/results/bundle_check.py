"""Whether a published bundle is what was published, and its tables say what its records say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nasgan.errors import ConfigError
from nasgan.results.bundle import (
    BUNDLE_FILE,
    CHECKSUM_FILE,
    CONFIG_FILE,
    RANKS_FILE,
    RUNS_FOLDER,
    TABLE_FILES,
    file_checksum,
    read_manifest,
)
from nasgan.results.checks import instance, list_of, mapping_of, text
from nasgan.results.collection import RunSummary, find_records
from nasgan.results.leaderboard import build_leaderboard
from nasgan.results.record import RunRecord
from nasgan.results.verification import Verification, record_faults, verify_table

__all__ = ["verify_bundle"]

_HAS_MANIFEST_SHAPE = instance(
    {
        "protocol": text(),
        "ranked_by": text(),
        "selection": mapping_of(list_of(lambda value, where: None)),  # looked at where it is used
        "runs": list_of(instance({"run_id": text(), "folder": text()})),
    },
    others=True,
)
# Without these there would be nothing to compare the records with.
_NEEDED = (BUNDLE_FILE, *TABLE_FILES)
_CHECKSUM_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


def verify_bundle(folder: str | Path) -> Verification:
    """Check every file of a bundle against its checksum, and its tables against its records.

    Raises:
        ConfigError: ``folder`` is no bundle.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    differences = list(_file_differences(folder))
    if any(path.is_symlink() for path in folder.rglob("*")):
        # They may lead anywhere on this machine, and to files without end.
        return Verification(0, 0, 0, tuple(differences))
    try:
        _HAS_MANIFEST_SHAPE(manifest, BUNDLE_FILE)
        records, problems = find_records([folder / RUNS_FOLDER])
        differences += [str(problem) for problem in problems]
        named = sorted(run["run_id"] for run in manifest["runs"])
        if named != sorted(run.run_id for run in records):
            differences.append(f"{BUNDLE_FILE}: the runs are not those in {RUNS_FOLDER}/")
        differences += [str(fault) for fault in record_faults(records)]
        tables = {
            name: verify_table(folder / name, records, check_records=False)
            for name in ("leaderboard.csv", "leaderboard.json")
            if (folder / name).is_file()
        }
        for name, table in tables.items():
            differences += [f"{name}: {text}" for text in table.differences]
        differences += _text_differences(folder, records, manifest)
        differences += _config_differences(folder, records)
    except ConfigError as error:
        return Verification(0, 0, 0, (*differences, f"{folder}: {error}"))
    return Verification(
        max((table.num_rows for table in tables.values()), default=0),
        sum(table.num_cells for table in tables.values()),
        len(records),
        tuple(dict.fromkeys(differences)),
        tuple(dict.fromkeys(text for table in tables.values() for text in table.remarks)),
    )


def _file_differences(folder: Path) -> Iterator[str]:
    """Files that were edited, added or removed since the checksums were made."""
    path = folder / CHECKSUM_FILE
    if not path.is_file():
        yield f"{CHECKSUM_FILE} is missing"
        return
    listed: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
        match = _CHECKSUM_LINE.fullmatch(line)
        if match is None or match[2] in listed:
            yield f"{CHECKSUM_FILE}: line {number} cannot be used"
        else:
            listed[match[2]] = match[1]
    there = {}
    for found in sorted(folder.rglob("*")):
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


def _why_not(path: Path, checksum: str) -> str:
    """Why a file is not the published one; empty if it is."""
    try:
        return "" if file_checksum(path) == checksum else "was edited after publication"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _text_differences(
    folder: Path, records: list[RunSummary], manifest: Mapping[str, Any]
) -> Iterator[str]:
    """Lines of the Markdown tables and of the ranks that are not what the records give."""
    board = build_leaderboard(
        records,
        protocol=manifest["protocol"],
        rank_by=manifest["ranked_by"],
        where=manifest["selection"],
    )
    texts = {"leaderboard.md": board.to_markdown()}
    if board.comparison is not None:
        texts[RANKS_FILE] = board.ranks_csv()
    elif (folder / RANKS_FILE).exists():
        yield f"{RANKS_FILE}: the records give no ranks over tasks"
    for name, content in texts.items():
        path = folder / name
        if not path.is_file():
            yield f"{name}: is missing"
            continue
        # The sentences around the tables may be those of another version.
        start = "|" if name.endswith(".md") else ""
        wanted = [line for line in content.splitlines() if line.startswith(start)]
        lines = list(enumerate(path.read_text("utf-8", "replace").splitlines(), start=1))
        found = [(number, line) for number, line in lines if line.startswith(start)]
        if len(found) != len(wanted):
            yield f"{name}: {len(found)} lines of tables in the file, {len(wanted)} of the records"
        for (number, line), own in zip(found, wanted, strict=False):
            if line != own:
                yield f"{name}: line {number} is not what the records give"


def _config_differences(folder: Path, records: list[RunSummary]) -> Iterator[str]:
    """Configurations beside the records, for people to read, that say something else."""
    for run in records:
        if run.path is None:
            continue
        path = run.path.with_name(CONFIG_FILE)
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            found = None
        if found != RunRecord.read(run.path).config:
            name = path.relative_to(folder).as_posix()
            yield f"{name}: is not the configuration in the record"
