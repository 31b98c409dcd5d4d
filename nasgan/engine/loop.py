"""The loop that drives a job to its end: progress, history, checkpoints, resume; what it shows."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from nasgan.atomic import put
from nasgan.contracts import Ledger
from nasgan.engine.run_directory import RunDirectory
from nasgan.errors import CheckpointError, RunDirectoryError, StorageError, shortened
from nasgan.run_settings import CheckpointSettings, flat
from nasgan.runs.history import HISTORY_FILE, History, finite, read_history
from nasgan.runs.loggers import RunLogger, run_log
from nasgan.runs.status import STATUS_FILE, Status
from nasgan.state_files import Checkpoints

__all__ = [
    "Job",
    "JobReport",
    "ProgressView",
    "RunLoop",
    "progress_view",
    "tell",
]

_log = logging.getLogger(__name__)
_STATUS_SECONDS = 2.0
_LINE_SECONDS = 5.0
_PRECIOUS_SECONDS = 1.0
_KEYS = {"run_id", "job", "history_offset", "timers"}
_ANEW = (
    "this run was begun before and left no checkpoint that can be used, so it BEGINS ANEW, and "
    "what it had computed is computed again"
)


@dataclass(frozen=True)
class JobReport:
    """What one step of a job did.

    Attributes:
        phase: what the time is booked under: ``"search"``, ``"final"``.
        message: for the progress line.
        progress: fraction of the phase that is done, in [0, 1], if it can be told.
        lines: for the history.
        precious: whether a resumption from before this step would repeat much more than the step.
    """

    phase: str
    message: str
    progress: float | None = None
    lines: tuple[dict[str, Any], ...] = field(default_factory=tuple)
    precious: bool = False


class Job(Protocol):
    """A search or a training; all it changes is in its state."""

    ledger: Ledger

    @property
    def phase(self) -> str:
        """Of the step that comes next: ``"search"``, ``"final"``."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""

    def step(self) -> JobReport:
        """Do one piece of work, seconds long."""

    def state_dict(self) -> dict[str, Any]:
        """Everything from which `load_state_dict` continues exactly."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""


class RunLoop:
    """Drives ``job`` in its run's folder.

    Args:
        job: what to do.
        directory: the run's folder, held by this process.
        settings: of the checkpoints.
        view: shows progress.
        logger: outside logger.
        run_id: the run's; a checkpoint of another run is refused.
    """

    def __init__(
        self,
        job: Job,
        directory: RunDirectory,
        settings: CheckpointSettings,
        view: ProgressView,
        logger: RunLogger,
        *,
        run_id: str,
    ) -> None:
        self.timers: dict[str, float] = {}
        self._job = job
        self._directory = directory
        self._settings = settings
        self._view = view
        self._logger = logger
        self._run_id = run_id
        self._checkpoints = Checkpoints(directory.checkpoints, keep=settings.keep)
        self._history = History(directory.path / HISTORY_FILE)
        self._status = Status(phase="start", message="starting")
        self._status_written = float("-inf")

    def resume(self) -> bool:
        """Continue from the newest checkpoint that is whole and fits; False where there is none.

        A run that had begun, and finds none, says that it begins anew.

        The logger is told again what the history keeps: a kill may have cost it the last lines, and
        it may have been told of some that the history does not keep.

        Raises:
            CheckpointError: it is another run's.
        """
        began = len(self._history) > 0 or bool(self._checkpoints)
        state = self._newest_that_fits()
        if state is None:
            if began:
                _log.warning("%s: %s", self._directory.path, _ANEW)
            self._history.truncate(0)
            return False
        self._job.load_state_dict(state["job"])
        self._history.truncate(state["history_offset"])
        self.timers = dict(state["timers"])
        self._status = self._status.updated_with(phase=self._job.phase)
        if len(self._history):
            for line in read_history(self._history.path):
                self._logger.log(_numbers(line), line["index"])
        return True

    def _newest_that_fits(self) -> dict[str, Any] | None:
        """The newest checkpoint whose history is there; those that do not fit are set aside."""
        for path, state in self._checkpoints.newest_first():
            if not isinstance(state, dict) or not state.keys() >= _KEYS:
                self._checkpoints.set_aside(path, f"{path}: not the checkpoint of a run")
            elif state["run_id"] != self._run_id:
                raise CheckpointError(
                    f"{self._directory.checkpoints} holds checkpoints of another run "
                    f"({state['run_id']}). If {self._directory.identity.name} was lost, this puts "
                    f"it back: {self._restoring(state['run_id'])}. Delete the checkpoints to "
                    "start anew"
                )
            elif not self._history.reaches(state["history_offset"]):
                reason = f"{path}: {self._history.path.name} has lost lines that were saved before"
                self._checkpoints.set_aside(path, reason)
            else:
                return state
        return None

    def _restoring(self, run_id: str) -> str:
        """The command that makes this the folder of the run of its checkpoints."""
        try:
            started = Status.read(self._directory.path / STATUS_FILE).started
        except RunDirectoryError:
            started = self._status.started
        content = json.dumps({"run_id": str(run_id), "started": started})
        return f"echo {shlex.quote(content)} > {shlex.quote(str(self._directory.identity))}"

    def run(self) -> None:
        """Step until the job is finished; a checkpoint holds the end.

        Raises:
            StorageError: a file could not be written; the last checkpoint is whole.
        """
        saved = time.monotonic()
        interval = self._settings.every_seconds
        while not self._job.finished:
            self._enter(self._job.phase)
            started = time.monotonic()
            report = self._job.step()
            now = time.monotonic()
            self.timers[report.phase] = self.timers.get(report.phase, 0.0) + now - started
            self._publish(report)
            if report.precious:
                interval = min(interval, _PRECIOUS_SECONDS)
            if now - saved >= interval:
                self._save()
                saved, interval = time.monotonic(), self._settings.every_seconds
        self._save()

    def _enter(self, phase: str) -> None:
        if phase != self._status.phase:
            run_log.info("phase %s begins", phase)
            # Held also where no write follows: a short run ends before its second one.
            self._status = self._status.updated_with(phase=phase)

    def _publish(self, report: JobReport) -> None:
        for line in report.lines:
            kept = finite(line)
            index = self._history.append(kept)
            self._logger.log(_numbers(kept), index)
        self._view.show(report)
        self._enter(report.phase)
        self.write_status("running", report.message, progress=report.progress, throttled=True)

    def write_status(
        self,
        state: Any,
        message: str,
        *,
        progress: float | None = None,
        throttled: bool = False,
    ) -> None:
        """Tell watchers what the run is doing; ``throttled``: at most every two seconds."""
        now = time.monotonic()
        if throttled and now - self._status_written < _STATUS_SECONDS:
            return
        self._status_written = now
        self._status = self._status.updated_with(state=state, message=message, progress=progress)
        self._status.write(self._directory.path / STATUS_FILE)

    @contextmanager
    def status_of_failure(self) -> Iterator[None]:
        """Record in ``status.json`` how a run was stopped, and let the error through."""
        try:
            yield
        except KeyboardInterrupt:
            run_log.info("interrupted; the same command resumes")
            self._last_words("interrupted", "interrupted; the same command resumes")
            raise
        except BaseException as error:
            self._last_words("failed", shortened(f"{type(error).__name__}: {error}", 1_000))
            raise

    def _last_words(self, state: Any, message: str) -> None:
        try:
            self.write_status(state, message)
        except StorageError as error:
            # The disk may be full: the first error is the one to report.
            _log.warning("%s", error)
        self._logger.finish(state)

    def _save(self) -> None:
        self._checkpoints.save(
            {
                "run_id": self._run_id,
                "job": self._job.state_dict(),
                "history_offset": self._history.offset,
                "timers": self.timers,
            }
        )


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a history line under flat names, for loggers.

    ``search/loss_generator``, ``search/evaluation/score``, ``final/checkpoint/metrics/fid``,
    ``final/spent/images``: what is of different kinds makes curves of its own.
    """
    phase, kind = line["phase"], line["kind"]
    names = {"values": phase, "spent": f"{phase}/spent"}
    named = {
        names.get(key, f"{phase}/{kind}/{key}"): value
        for key, value in line.items()
        if key not in ("index", "architecture")
    }
    return {
        name: float(value)
        for name, value in flat(named, "/").items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


class ProgressView:
    """Shows reports; this one nothing."""

    def show(self, report: JobReport) -> None:
        """Show the newest report."""

    def say(self, text: str) -> None:
        """Show a line that stays."""


def tell(view: ProgressView, text: str) -> None:
    """Show a line that stays, and put it into the run's log."""
    view.say(text)
    run_log.info("%s", text)


class _Lines(ProgressView):
    """One line every few seconds: for files, pipes and notebooks."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()

    def show(self, report: JobReport) -> None:
        now = time.monotonic()
        if now - self._last >= _LINE_SECONDS:
            self._last = now
            share = "" if report.progress is None else f"{100 * report.progress:3.0f} % "
            self.say(f"{report.phase:6} {share}{report.message}")

    def say(self, text: str) -> None:
        elapsed = time.monotonic() - self._started
        put(sys.stderr, f"[{elapsed:6.1f} s] {text}\n")


class _Bar(ProgressView):
    """A live bar; lines that stay are printed above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=1.0, phase="")

    def show(self, report: JobReport) -> None:
        self._progress.update(
            self._task,
            completed=report.progress or 0.0,
            description=report.message,
            phase=report.phase,
        )

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


@contextmanager
def progress_view(enabled: bool) -> Iterator[ProgressView]:
    """The view that suits standard error.

    Args:
        enabled: False shows nothing.
    """
    if not enabled:
        yield ProgressView()
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.fields[phase]:6}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as progress:
        yield _Bar(progress)
