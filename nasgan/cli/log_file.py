"""The log in a run's folder, as a file that may become full."""

from __future__ import annotations

import logging
from contextlib import suppress

__all__ = ["LogFile"]


class LogFile(logging.FileHandler):
    """A file that is done without where it cannot be written: a full disk, one for reading only.

    The run ends then by itself, at the first file that it needs, with an error of its own.
    """

    def __init__(self, filename: str, mode: str = "a", encoding: str | None = None) -> None:
        super().__init__(filename, mode, encoding, delay=True)

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
