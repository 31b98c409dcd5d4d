"""What the command line prints: results to the output stream, messages to the error stream."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

from nasgan.atomic import is_full, put, reason_of
from nasgan.errors import (
    NasganError,
    PluginFailedError,
    ReplicaLostError,
    StorageError,
    TrainingDiverged,
    shortened,
)

__all__ = [
    "ConsoleHandler",
    "LogFile",
    "ShortFormatter",
    "Without",
    "complain",
    "heading",
    "is_refusal",
    "log_shown",
    "log_warnings",
    "named",
    "say",
    "table",
]


_WARNINGS = "py.warnings"  # as `logging.captureWarnings` calls it; the terminal leaves it out

# What moves a terminal's cursor or hides text; bold and its end, which `heading` makes, may stay.
_CONTROLS = re.compile(r"(?!\x1b\[[01]m)[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def say(*lines: str) -> None:
    """Print result lines; what records of others hold cannot drive the terminal."""
    put(sys.stdout, "".join(_shown(line.rstrip(), sys.stdout) + "\n" for line in lines))


def complain(message: str) -> None:
    """Print one error message."""
    label = _styled("error:", "bold red", sys.stderr)
    put(sys.stderr, f"{label} {_shown(message, sys.stderr)}\n")


def heading(text: str) -> str:
    """``text`` as a heading: bold on a terminal."""
    return _styled(text, "bold", sys.stdout)


def table(rows: Iterable[Sequence[str]], *, indent: str = "  ") -> list[str]:
    """The rows as lines of aligned columns; the last column is as wide as it is."""
    rows = [tuple(row) for row in rows]
    count = max((len(row) for row in rows), default=0)
    widths = [max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(count)]
    return [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        for row in rows
    ]


def _shown(text: str, stream: TextIO) -> str:
    """``text`` as ``stream`` can show it, control characters in plain letters."""
    plain = _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return plain.encode(encoding, "backslashreplace").decode(encoding)


def _styled(text: str, style: str, stream: TextIO) -> str:
    if not stream.isatty():
        return text
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    with console.capture() as capture:
        console.print(f"[{style}]{text}[/]", end="")
    return capture.get()


class ShortFormatter(logging.Formatter):
    """The message alone; warnings and errors say what they are."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for ``record``."""
        text = super().format(record)
        return text if record.levelno <= logging.INFO else f"{record.levelname.lower()}: {text}"


class Without(logging.Filter):
    """Lets everything pass but what comes from the logger ``name`` and those below it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` comes from elsewhere."""
        return not super().filter(record)


class ConsoleHandler(logging.Handler):
    """Writes to whatever is the error stream now: a progress bar may have replaced it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record`` as one line."""
        try:
            put(sys.stderr, _shown(self.format(record), sys.stderr) + "\n")
        except Exception:  # as every handler: logging must not stop the work
            self.handleError(record)


@contextmanager
def log_shown() -> Iterator[None]:
    """Meanwhile, the log is shown on the terminal; Python's warnings, which are in it, are not."""
    handler, root = ConsoleHandler(), logging.getLogger()
    handler.setFormatter(ShortFormatter())
    handler.addFilter(Without(_WARNINGS))
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def log_warnings() -> None:
    """Send Python's warnings to the log: they are for those who write libraries, not for users."""
    logger = logging.getLogger(_WARNINGS)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else it would write to the terminal itself
    warnings.showwarning = _log_warning


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    text = warnings.formatwarning(message, category, filename, lineno, line)
    logging.getLogger(_WARNINGS).warning("%s", text.strip())


class LogFile(logging.FileHandler):
    """A file that is done without where it cannot be written: a full disk, one for reading only.

    The run ends then by itself, at the first file that it needs, with an error of its own.
    """

    def __init__(self, filename: str, mode: str = "a", encoding: str | None = None) -> None:
        super().__init__(filename, mode, encoding, delay=True)
        with suppress(OSError):
            self.stream = self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record``, where the file can be opened."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop ``record``; the next one tries the file anew."""
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):
                # What waits to be written would fail again at the interpreter's end.
                stream.close()


def is_refusal(error: BaseException) -> bool:
    """Whether the input or the folder is at fault; a run that failed is none."""
    if isinstance(error, StorageError):
        return error.errno is not None and not is_full(error)
    failed = (PluginFailedError, ReplicaLostError, TrainingDiverged)
    return isinstance(error, NasganError) and not isinstance(error, failed)


def named(error: Exception) -> Exception:
    """``error``, or one in words where it is the operating system's about a file or folder."""
    if isinstance(error, OSError) and not isinstance(error, NasganError) and error.filename:
        path = shortened(os.fsdecode(error.filename))
        return StorageError(error.errno, f"{path} cannot be used: {reason_of(error)}")
    return error
