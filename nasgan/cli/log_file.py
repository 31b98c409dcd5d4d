"""The log in a run's folder, as a file that may become full."""

from __future__ import annotations

import logging
import warnings
from contextlib import suppress
from typing import TextIO

__all__ = ["LogFile", "log_warnings"]

_WARNINGS = "py.warnings"  # as `logging.captureWarnings` calls it; the terminal leaves it out


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
