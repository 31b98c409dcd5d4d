"""A sweep as one thing: what became of each job, told while it runs and in a table at its end.

Jobs run in this process or, with a parallel launcher, in others and on other machines. What they
have in common is the folder of results, so that is where each leaves a note of how it ended.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from nasgan import atomic
from nasgan.cli.console import heading, table
from nasgan.errors import ConfigError, RunDirectoryError, StorageError, shortened
from nasgan.metrics.protocol import display_name
from nasgan.reading import read_json
from nasgan.runs.folder import RunLock
from nasgan.runs.record import RECORD_FILE, RunRecord
from nasgan.runs.status import STATUS_FILE, Status
from nasgan.schema import Count, Many, Text, made_of, model

__all__ = ["JobNote", "SweepLog", "complaint", "share_of_devices", "summary"]

_POLL_SECONDS = 0.5
_LEFTOVER_SECONDS = 60.0
_SETTLE_SECONDS = 10.0
_TAKEN = "devices"
_LONGEST_REASON = 120
_NOTE_FILE = re.compile(r"([0-9]{1,9})\.json")
_MOST_NOTE_BYTES = 1_000_000
_PREFIX = ".sweep-"
_WORDS = {
    "completed": "completed",
    "already_completed": "finished before",
    "failed": "FAILED",
    "refused": "REFUSED",
    "running": "UNFINISHED",
    "not_begun": "not begun",
}


@model("note", where="note")
class JobNote:
    """What is known of one job of a sweep.

    Attributes:
        number: the job's, from 0.
        overrides: its settings, as on the command line.
        folder: its results.
        state: a job that was killed leaves ``"running"`` behind; one that is ``"not_begun"``
            leaves nothing; one that is ``"refused"`` cannot run as asked.
        reason: of a failure or refusal.
        is_parallel: whether it runs beside others, where nobody sees what it prints.
    """

    number: Count
    overrides: Many[Text]
    folder: str
    state: Literal["running", "completed", "already_completed", "failed", "refused", "not_begun"]
    reason: str = ""
    is_parallel: bool = False

    @property
    def settings(self) -> dict[str, str]:
        """The overrides by name."""
        pairs = (text.lstrip("+").partition("=") for text in self.overrides)
        return {key: value for key, _, value in pairs}


class SweepLog:
    """The notes of one sweep. Launchers send it to other processes as part of the job.

    Args:
        folder: of the notes, seen by all processes of the sweep.
        name: of the sweep, for loggers that group its runs.

    Attributes:
        pid: the process that has made it, the sweep's own.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.pid = os.getpid()

    @classmethod
    def new(cls, root: Path, name: str) -> SweepLog:
        """The log of a sweep whose results go into ``root``."""
        return cls(root.absolute() / f"{_PREFIX}{secrets.token_hex(4)}", name)

    def write(self, note: JobNote) -> None:
        """Leave or replace a job's note.

        Raises:
            StorageError: the folder cannot be written.
        """
        atomic.write_json(self._file(note.number), asdict(note))

    def read(self, known: Container[int] = ()) -> list[JobNote]:
        """The notes there are, by number; without the ``known`` ones."""
        found = (_NOTE_FILE.fullmatch(path.name) for path in self.folder.glob("*.json"))
        numbers = [int(match[1]) for match in found if match is not None]
        paths = [self._file(number) for number in numbers if number not in known]
        notes = [note for path in paths if (note := _note(path)) is not None]
        return sorted(notes, key=lambda note: note.number)

    def state_of(self, number: int) -> str:
        """The state of a job; ``"running"`` if its note is gone."""
        note = _note(self._file(number))
        return "running" if note is None else note.state

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Meanwhile, show at once how each job ends that runs out of sight.

        The folder is held as a sign that its sweep goes on; those of killed sweeps are removed.
        """
        self._remove_leftovers()
        stop = threading.Event()
        seen: set[int] = set()

        def watch() -> None:
            while not stop.wait(_POLL_SECONDS):
                self._show_news(seen)

        watcher = threading.Thread(target=watch, name="sweep", daemon=True)
        watcher.start()
        try:
            with RunLock(self.folder):
                yield
        finally:
            stop.set()
            watcher.join()
            self._show_news(seen)

    def settle(self) -> None:
        """Have every run whose process is gone say that it was interrupted, at the sweep's end.

        Launchers kill what they have started, and leave it no time for last words. What goes on, in
        a queue, is left alone.
        """
        end = time.monotonic() + _SETTLE_SECONDS
        left = [Path(note.folder) for note in self.read() if note.state == "running"]
        while left:
            left = [folder for folder in left if not _is_settled(folder)]
            if not left or time.monotonic() > end:
                return
            time.sleep(_POLL_SECONDS)

    def remove(self) -> None:
        """Remove the notes; what they say is in the records of the runs."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number}.json"

    def _remove_leftovers(self) -> None:
        for folder in self.folder.parent.glob(f"{_PREFIX}*"):
            with suppress(OSError, RunDirectoryError):
                # A sweep that starts now has its folder a moment before it holds it.
                if time.time() - folder.stat().st_mtime > _LEFTOVER_SECONDS:
                    with RunLock(folder):
                        shutil.rmtree(folder)

    def _show_news(self, seen: set[int]) -> None:
        for note in self.read(seen):
            if note.state == "running":
                continue
            seen.add(note.number)
            if not note.is_parallel:
                continue
            what = (
                f"{_WORDS[note.state]}: {shortened(note.reason)}"
                if note.reason
                else _WORDS[note.state]
            )
            sys.stderr.write(f"\t#{note.number} {what} ({note.folder})\n")
            sys.stderr.flush()


def _is_settled(folder: Path) -> bool:
    """Whether the run there has ended and its status says so; it is written if it does not."""
    file = folder / STATUS_FILE
    try:
        with RunLock(folder):
            status = Status.read(file)
            if status.state == "running":
                message = "interrupted; the same command resumes"
                status.updated_with(state="interrupted", message=message).write(file)
    except RunDirectoryError:
        # It runs, or has not begun.
        return not file.exists()
    except (ConfigError, OSError):
        return True
    return True


def _note(path: Path) -> JobNote | None:
    # Between the listing and the reading a note may be replaced on a network's disk.
    with suppress(OSError, ValueError):
        return made_of(JobNote, read_json(path, most=_MOST_NOTE_BYTES))
    return None


def summary(
    notes: Sequence[JobNote],
    *,
    is_whole: bool = True,
    planned: Sequence[tuple[str, ...]] = (),
) -> list[str]:
    """Lines of a table: for each job what sets it apart, how it ended, its score or the reason.

    Args:
        notes: of the jobs that were begun.
        is_whole: whether these are all jobs of the sweep.
        planned: the overrides of all jobs, by number; empty if they are not known.
    """
    if not notes:
        return []
    begun = len(notes)
    if not is_whole:
        notes = sorted([*notes, *_not_begun(notes, planned)], key=lambda note: note.number)
    records = {note.number: _record(note) for note in notes}
    swept = _swept(notes)
    scores = {_score(record)[0] for record in records.values()} - {""}
    header = scores.pop() if len(scores) == 1 else "score"
    rows = [("#", *swept, "status", header, "")]
    for note in notes:
        record = records[note.number]
        name, score = _score(record)
        shown = f"{name} {score}" if name not in ("", header) else score
        settings = note.settings
        rows.append(
            (
                str(note.number),
                *(_shortened(settings.get(key, "")) for key in swept),
                _WORDS[note.state],
                shown if note.state in ("completed", "already_completed") else "-",
                _shortened(note.reason),
            )
        )
    counts = [
        f"{sum(note.state == state for note in notes)} {word}"
        for state, word in _WORDS.items()
        if any(note.state == state for note in notes)
    ]
    jobs = f"{len(notes)} job{'s' if len(notes) != 1 else ''}"
    of_all = f"{begun} of {jobs}" if len(notes) > begun else jobs
    title = f"Sweep of {jobs}" if is_whole else f"Sweep stopped with {of_all} begun"
    return [heading(f"{title}: {', '.join(counts)}"), *table(rows)]


def complaint(notes: Sequence[JobNote]) -> str:
    """What to do about the jobs that have no result; empty if all of them have one."""
    without = [note for note in notes if note.state in ("failed", "refused", "running")]
    if not without:
        return ""
    refused = sum(note.state == "refused" for note in without)
    recorded = sum(note.state == "failed" and _record(note) is not None for note in without)
    does = ["skips what is finished"]
    if len(without) > refused + recorded:
        does.append("resumes the rest")
    if refused:
        does.append("tries again what was refused, so see to the reasons first")
    retry = "; with retry_failed=true it also runs again what failed" if recorded else ""
    return (
        f"{len(without)} of {len(notes)} runs have no result, see above. The same command "
        f"{', '.join(does[:-1])}{' and ' if does[1:] else ''}{does[-1]}{retry}"
    )


def _not_begun(notes: Sequence[JobNote], planned: Sequence[tuple[str, ...]]) -> list[JobNote]:
    # A plan that does not hold for those begun says nothing of the rest: shuffled values, say.
    if any(
        list(planned[note.number : note.number + 1]) != [tuple(note.overrides)] for note in notes
    ):
        return []
    begun = {note.number for note in notes}
    return [
        JobNote(number, overrides, folder="", state="not_begun")
        for number, overrides in enumerate(planned)
        if number not in begun
    ]


def _swept(notes: Sequence[JobNote]) -> list[str]:
    keys = list(dict.fromkeys(key for note in notes for key in note.settings))
    return [key for key in keys if len({note.settings.get(key) for note in notes}) > 1]


def _record(note: JobNote) -> RunRecord | None:
    path = Path(note.folder, RECORD_FILE)
    try:
        # A job that was refused may have been sent to the folder of another run.
        is_over = note.state not in ("running", "refused", "not_begun")
        return RunRecord.read(path) if is_over else None
    except ConfigError:
        return None


def _score(record: RunRecord | None) -> tuple[str, str]:
    """Name and value of what the run optimised."""
    if record is None or record.metrics is None:
        return "", ""
    metric = record.objective["metric"]
    value = record.metrics.get(metric)
    return display_name(metric, record.protocol), "" if value is None else f"{value:.4g}"


def _shortened(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 3] + "..."


@contextmanager
def share_of_devices(
    number: int, folder: Path | None = None, names: Callable[[], Sequence[str]] | None = None
) -> Iterator[str]:
    """A CUDA device for a job of a sweep, its own while no more jobs run than there are devices.

    Jobs of all sweeps of a user mind each other, by the names of the devices themselves: a process
    that sees some of them only may count them otherwise.

    The search for a free one starts at ``number`` modulo the number of devices; if all are taken,
    that one is shared. Where a queue gives each job its device, the job sees that one alone.

    Args:
        number: the job's, from 0.
        folder: of the user; holds which devices are taken. None: that of the caches.
        names: gives the unique names of the devices; by default torch's.

    Yields:
        ``"cuda:N"``; nothing where there is no choice, with one device or none.
    """
    devices = (names or _cuda_devices)()
    if len(devices) < 2:
        yield ""
        return
    first = number % len(devices)
    taken = _folder_of_user() if folder is None else folder
    with ExitStack() as held:
        for index in (*range(first, len(devices)), *range(first)):
            try:
                held.enter_context(RunLock(taken / devices[index]))
            except RunDirectoryError:
                continue
            except StorageError:
                # Without a place for locks nobody knows what is free.
                break
            yield f"cuda:{index}"
            return
        yield f"cuda:{first}"


def _folder_of_user() -> Path:
    from nasgan.metrics.cache import default_cache_dir

    return default_cache_dir() / _TAKEN


def _cuda_devices() -> list[str]:
    """Their UUIDs, in the order in which this process counts them."""
    import torch

    count = torch.cuda.device_count()
    if count < 2:
        return [str(index) for index in range(count)]
    return [str(torch.cuda.get_device_properties(index).uuid) for index in range(count)]
