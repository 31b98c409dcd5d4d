"""What a step reports, and how it is shown: a live bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from nasgan.runs.loggers import run_log
from nasgan.streams import put

__all__ = [
    "JobReport",
    "ProgressView",
    "progress_view",
    "tell",
]

_LINE_SECONDS = 5.0


class ProgressView(Protocol):
    """Shows reports."""

    def show(self, report: JobReport) -> None:
        """Show the newest report."""

    def say(self, text: str) -> None:
        """Show a line that stays."""


def tell(view: ProgressView, text: str) -> None:
    """Show a line that stays, and put it into the run's log."""
    view.say(text)
    run_log.info("%s", text)


class _Silent:
    def show(self, report: JobReport) -> None:
        """Nothing is shown."""

    def say(self, text: str) -> None:
        """Nothing is shown."""


class _Lines:
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


class _Bar:
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
        yield _Silent()
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
