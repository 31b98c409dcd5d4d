"""What the command line prints: results to the output stream, messages to the error stream."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

__all__ = ["ConsoleHandler", "ShortFormatter", "complain", "heading", "say", "table"]


def say(*lines: str) -> None:
    """Print result lines."""
    for line in lines:
        sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()


def complain(message: str) -> None:
    """Print one error message."""
    sys.stderr.write(f"{_styled('error:', 'bold red', sys.stderr)} {message}\n")
    sys.stderr.flush()


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


class ConsoleHandler(logging.Handler):
    """Writes to whatever is the error stream now: a progress bar may have replaced it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record`` as one line."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # as every handler: logging must not stop the work
            self.handleError(record)
