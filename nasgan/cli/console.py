"""What the command line prints: results to the output stream, messages to the error stream."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from nasgan.streams import put

__all__ = [
    "ConsoleHandler",
    "ShortFormatter",
    "Without",
    "complain",
    "heading",
    "log_shown",
    "say",
    "table",
]


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
    handler.addFilter(Without("py.warnings"))
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
