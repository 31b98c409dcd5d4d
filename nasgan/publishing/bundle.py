"""Results to publish: records, histories, tables and report in one folder that can be verified."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from operator import attrgetter
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from nasgan import atomic
from nasgan.errors import ConfigError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records, select_runs, selection_of
from nasgan.leaderboard.leaderboard import Leaderboard
from nasgan.leaderboard.rows import Task
from nasgan.leaderboard.summaries import Problem, RunSummary, grouped
from nasgan.metrics.protocol import TABLE_PROTOCOL
from nasgan.publishing.contradictions import record_faults
from nasgan.reading import digest_of, load_json, open_file
from nasgan.report.chapters import collect
from nasgan.report.checklist import checklist
from nasgan.report.page import render_page, rendered
from nasgan.run_settings import with_places
from nasgan.runs.environment import installed_version
from nasgan.runs.history import HISTORY_FILE
from nasgan.runs.record import RECORD_FILE, RunRecord
from nasgan.runs.simulations import SEARCHES_FILE, SimulationFile

__all__ = [
    "BUNDLE_FILE",
    "CHECKSUM_FILE",
    "CONFIG_FILE",
    "RANKS_FILE",
    "RUNS_FOLDER",
    "TABLE_FILES",
    "Bundle",
    "publish",
    "read_manifest",
]

BUNDLE_FILE = "bundle.json"
CHECKSUM_FILE = "SHA256SUMS"
RUNS_FOLDER = "runs"
CONFIG_FILE = "config.json"
RANKS_FILE = "leaderboard-ranks.csv"
TABLE_FILES = ("leaderboard.csv", "leaderboard.md", "leaderboard.json")

FORMAT = "nasgan-bundle"
VERSION = 1

# File systems take names of 255 bytes, and some programs whole paths of not many more.
_LONGEST_NAME = 120
_MOST_NAMED = 10
_GRID = Path("samples", "final.png")
_WORDS = re.compile(r"[^\s'\"`()\[\]<>,:;=]+")
# Where a run was kept: no part of its hash, and nobody else's business.
_PLACES: Mapping[str, Any] = {"output_root": "outputs", "run_dir": None}


@dataclass(frozen=True)
class Bundle:
    """A published folder.

    Attributes:
        folder: where it is.
        board: its leaderboard.
        num_runs: how many runs it holds.
        digest: SHA-256 of its list of checksums: whoever has it can tell any other bundle apart.
        remarks: what its author should look at before handing it on.
    """

    folder: Path
    board: Leaderboard
    num_runs: int
    digest: str
    remarks: tuple[str, ...]


def publish(
    roots: Sequence[str | Path],
    to: str | Path,
    *,
    title: str = "",
    protocol: str | None = None,
    rank_by: str | None = None,
    where: Mapping[str, Any] | None = None,
) -> Bundle:
    """Put the finished runs below ``roots`` and what is made of them into the new folder ``to``.

    The same records give the same bytes. The folder is either there whole or not at all.

    Args:
        roots: folders that hold runs, or record files.
        to: must not exist.
        title: heads the README.
        protocol: as for `build_leaderboard`, as the next two.
        rank_by: as above.
        where: as above; runs that are filtered out are not in the bundle.

    Raises:
        ConfigError: ``to`` exists, there are no such runs, or records contradict themselves or
            each other, so that verifying would refuse what is published.
        StorageError: it cannot be written.
    """
    to = Path(to)
    if to.exists() or to.is_symlink():
        raise ConfigError(f"{to} exists already; choose another folder with to=")
    found, problems = find_records(roots)
    if not found:
        raise ConfigError(
            f"no finished runs in {', '.join(map(str, roots))}; make one (nasgan search) or say "
            "where they are (runs=FOLDER)"
        )
    board = build_leaderboard(found, protocol=protocol, rank_by=rank_by, where=where)
    runs = _chosen(found, board)
    faults = record_faults(runs)
    _refuse_grave([*board.problems, *faults])
    remarks = [f"not in the bundle: {problem}" for problem in problems]
    # Of copies of one run the bundle holds one, and says so no more.
    remarks += [str(problem) for problem in (*board.problems, *faults)]
    with atomic.new_folder(to) as staging:
        listed = []
        for name, held in sorted(_folders(runs).items()):
            write = _write_simulated if held[0].is_simulated else _write_run
            remarks += write(held, staging / RUNS_FOLDER / name)
            listed += [{"run_id": run.run_id, "folder": f"{RUNS_FOLDER}/{name}"} for run in held]
        board = _write_results(staging, board, title, listed)
        digest = _write_checksums(staging)
    return Bundle(to, board, len(runs), digest, tuple(dict.fromkeys(remarks)))


def _refuse_grave(problems: Sequence[Problem]) -> None:
    """Refuse what makes the table arbitrary: which of two contents counts, what was edited."""
    grave = [str(problem) for problem in problems if problem.is_grave]
    if grave:
        more = f"\n  and {len(grave) - _MOST_NAMED} more" if len(grave) > _MOST_NAMED else ""
        listed = "".join(f"\n  {text}" for text in grave[:_MOST_NAMED])
        raise ConfigError(
            f"nothing was published, since these records cannot be trusted:{listed}{more}\n"
            "Restore the originals, or keep the wrong ones out of the folders in runs=, then "
            "publish again"
        )


def _chosen(found: Sequence[RunSummary], board: Leaderboard) -> list[RunSummary]:
    """The selected runs of the board's protocol, each id once: also those it does not count."""
    ours = [run for run in found if run.protocol == board.protocol]
    chosen = select_runs(ours, selection_of(board.selection))
    latest = {run.run_id: run for run in sorted(chosen, key=_worth)}
    return [latest[name] for name in sorted(latest)]


def _worth(run: RunSummary) -> tuple[str, str, bool]:
    """What is last counts, and of copies the one that has its history beside it."""
    assert run.path is not None, "found on disk"
    return run.ended, run.started, run.path.with_name(HISTORY_FILE).is_file()


def _folders(runs: Sequence[RunSummary]) -> dict[str, list[RunSummary]]:
    """The runs of each folder, named after what they are: one, or the searches of one file."""
    folders: dict[str, list[RunSummary]] = {}
    simulated = (run for run in runs if run.is_simulated)
    for held in grouped(simulated, attrgetter("path")).values():
        first = held[0]
        stem = _slug(f"simulated-{first.protocol.removeprefix(TABLE_PROTOCOL)}")[:_LONGEST_NAME]
        folders[f"{stem}/{_slug(first.run_id.rpartition('-')[2])[:8]}"] = held
    for run in runs:
        if run.is_simulated:
            continue
        method = run.architecture if run.kind == "train" else run.strategy
        parts = [method, run.search_space, run.dataset]
        parts += ["conditional"] if run.num_classes else []
        parts += [run.config_hash[:8]]
        setting = "-".join(map(_slug, parts))
        if len(setting) > _LONGEST_NAME:
            digest = hashlib.sha256(setting.encode()).hexdigest()
            setting = f"{setting[: _LONGEST_NAME - 13]}-{digest[:12]}"
        stem = f"{setting}/seed{run.seed}"
        name = f"{stem}-{_slug(run.run_id)[:8]}"
        while name in folders:
            name += "-again"
        folders[name] = [run]
    return folders


def _write_simulated(runs: Sequence[RunSummary], folder: Path) -> list[str]:
    """Write the searches of one file that are published; the remarks on them."""
    path = runs[0].path
    assert path is not None, "found on disk"
    file, chosen = SimulationFile.open(path), {run.run_id for run in runs}
    # What is damaged was told when it was found.
    kept = [search for search, run in file.read(lambda told: None) if run.run_id in chosen]
    SimulationFile(folder / SEARCHES_FILE, file.made).write(kept)
    return [
        f"the searches of {file.made['table']}: {where} names the place {value}"
        for where, value in _places(file.made["strategies"], "strategies")
    ]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "none"


def _write_run(runs: Sequence[RunSummary], folder: Path) -> list[str]:
    """Write what is published of one run; the remarks on it."""
    (run,) = runs
    assert run.path is not None, "found on disk"
    record = RunRecord.read(run.path)
    config = {
        key: _PLACES[key] if key in _PLACES and _is_absolute(value) else value
        for key, value in record.config.items()
    }
    if record.content is not None:
        config = with_places(config, lambda path: Path(path).name)
    replace(record, config=config).write(folder / RECORD_FILE)
    atomic.write_json(folder / CONFIG_FILE, config)
    remarks = [
        f"run {run.run_id}: {where} names the place {value}"
        for where, value in [*_places(config), *_named_places(record.failure)]
    ]
    for name in (Path(HISTORY_FILE), _GRID):
        source = run.path.parent / name
        if not source.is_file() or not source.resolve().is_relative_to(run.path.parent.resolve()):
            if run.status == "completed":
                remarks.append(f"run {run.run_id} has no {name.as_posix()}")
            continue
        with open_file(source) as stream:
            atomic.write_file(folder / name, partial(shutil.copyfileobj, stream))
    return remarks


def _write_results(
    staging: Path, board: Leaderboard, title: str, listed: Sequence[Mapping[str, str]]
) -> Leaderboard:
    """Make tables, report and texts of the runs in the bundle; the leaderboard of these."""
    runs = staging / RUNS_FOLDER
    records, _ = find_records([runs])
    board = build_leaderboard(
        records, protocol=board.protocol, rank_by=board.ranked_by, where=board.selection
    )
    for name in TABLE_FILES:
        board.write(staging / name)
    if board.comparison is not None:
        atomic.write_file(staging / RANKS_FILE, board.ranks_csv())
    collection = collect([runs], protocol=board.protocol, rank_by=board.ranked_by)
    page = render_page(collection)
    # Where the bundle was put together must not show in it.
    for text in {str(staging), escape(str(staging))}:
        page = page.replace(f"{text}/", "")
    atomic.write_file(staging / "report.html", page)
    points = [item for chapter in collection.chapters for item in checklist(chapter)]
    tasks = list(dict.fromkeys(str(Task.of(row)) for row in board.rows))
    texts: dict[str, dict[str, Any]] = {
        "README.md": {
            "title": title or "Results of nasgan",
            "num_runs": len(listed),
            "board": board,
            "tasks": tasks,
        },
        "CHECKLIST.md": {"items": points},
    }
    for name, values in texts.items():
        text = rendered(f"{name}.j2", **values)
        atomic.write_file(staging / name, f"{text.rstrip()}\n")
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "title": title,
        "nasgan": installed_version("nasgan") or "",
        "protocol": board.protocol,
        "ranked_by": board.ranked_by,
        "selection": {name: list(values) for name, values in board.selection.items()},
        "runs": list(listed),
    }
    atomic.write_json(staging / BUNDLE_FILE, manifest)
    return board


def _write_checksums(folder: Path) -> str:
    """Write the list of checksums as ``sha256sum --check`` reads it; its own checksum."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = sorted(path.relative_to(folder).as_posix() for path in paths)
    lines = [f"{digest_of(folder / name)}  {name}\n" for name in files]
    atomic.write_file(folder / CHECKSUM_FILE, "".join(lines))
    return digest_of(folder / CHECKSUM_FILE)


def _places(value: Any, where: str = "config") -> Iterator[tuple[str, str]]:
    """Absolute paths in a configuration, with their keys."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _places(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _places(item, f"{where}[{i}]")
    elif _is_absolute(value):
        yield where, value


def _named_places(failure: str) -> Iterator[tuple[str, str]]:
    for word in _WORDS.findall(failure):
        if len(word) > 1 and _is_absolute(word):
            yield "failure", word


def _is_absolute(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """The manifest of a bundle.

    Raises:
        ConfigError: it is missing, or of no bundle that this version knows.
    """
    path = folder / BUNDLE_FILE
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ConfigError(f"{path}: is no plain file, so this is no published bundle")
    if not path.exists():
        raise ConfigError(f"{folder}: not a published bundle: it has no {BUNDLE_FILE}")
    data = load_json(path, ConfigError, "list of runs")
    if not isinstance(data, dict) or (data.get("format"), data.get("version")) != (FORMAT, VERSION):
        raise ConfigError(f"{path}: not of a bundle of version {VERSION}")
    return data
