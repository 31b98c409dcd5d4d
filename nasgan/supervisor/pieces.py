"""A piece of work, and how it is done in another process: a text of JSON in, a text of JSON out."""

from __future__ import annotations

import importlib
import json
import logging
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from nasgan import errors
from nasgan.errors import NasganError

__all__ = [
    "BusyError",
    "Message",
    "Piece",
    "PieceError",
    "answered",
    "do",
    "error_from",
    "report_progress",
]

Message: TypeAlias = Mapping[str, Any]

# A short piece writes no file.
_FIRST_SIGN_SECONDS = 1.0
_SIGN_SECONDS = 5.0

# Their messages say it all; others are made from more than a message.
_REBUILT = (
    errors.ArchitectureError,
    errors.CheckpointError,
    errors.ConfigError,
    errors.DatasetError,
    errors.MissingDependencyError,
    errors.PluginError,
    errors.RunDirectoryError,
    errors.StorageError,
    errors.TableError,
)

_progress = 0


@dataclass(frozen=True)
class Piece:
    """What is to be done. Its result depends on the order alone, not on who does it or how often.

    Attributes:
        key: its name, unique under one supervisor; part of a file's name.
        title: what messages call it.
        work: ``"module:function"``, called in the other process as ``function(order)``; gives JSON
            data. It may raise `PieceError` and `BusyError`.
        order: JSON data; the place where it is done adds its ``device`` and ``threads``.
        timeout: seconds that an attempt may take; None: no limit.
    """

    key: str
    title: str
    work: str
    order: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None


class PieceError(Exception):
    """Raised ``from`` an unexpected error, to say more of it.

    Args:
        cost: what the attempt spent, as JSON data.
        starting: it failed before the piece was begun: no fault of the piece.
    """

    def __init__(self, cost: Any = None, *, starting: bool = False) -> None:
        super().__init__()
        self.cost = cost
        self.starting = starting


class BusyError(Exception):
    """Somebody else is doing this very piece; ask again."""


def report_progress(amount: int) -> None:
    """Tell how far the piece under way in this process has come; a number that grows."""
    global _progress  # noqa: PLW0603 - one piece at a time in a process
    _progress = amount


def do(text: str) -> str:
    """Do a piece in this process.

    Args:
        text: ``{"work", "order", "life", "log_level"}``.

    Returns:
        A message as JSON text, told apart by ``"kind"``: ``done``: ``{"result"}``; ``failed``, an
        unexpected error: ``{"reason", "trace", "cost", "starting"}``; ``refused``, one that nasgan
        raises on purpose: ``{"error", "message"}``; ``later``. Each brings ``log``, the records for
        the log of who has asked.
    """
    asked = json.loads(text)
    records: list[list[Any]] = []
    _Collector(records).install(asked["log_level"])
    with _signs_of_life(asked["life"]):
        message = answered(asked["work"], asked["order"])
    return json.dumps({**message, "log": records})


def answered(work: str, order: Mapping[str, Any]) -> Message:
    """The message that doing ``order`` ends with, as of `do`, without a log."""
    try:
        module, _, name = work.partition(":")
        return {"kind": "done", "result": getattr(importlib.import_module(module), name)(order)}
    except NasganError as error:
        return {"kind": "refused", "error": type(error).__name__, "message": str(error)}
    except BusyError:
        return {"kind": "later"}
    except PieceError as told:
        return _failed(told.__cause__ or told, told.cost, starting=told.starting)
    except Exception as error:
        return _failed(error)


def _failed(error: BaseException, cost: Any = None, *, starting: bool = False) -> Message:
    return {
        "kind": "failed",
        "reason": f"{type(error).__name__}: {error}",
        "trace": "".join(traceback.format_exception(error)),
        "cost": cost,
        "starting": starting,
    }


@contextmanager
def _signs_of_life(file: str | None) -> Iterator[None]:
    """Write to ``file`` now and then, by a thread: how often, and how far the piece has come."""
    report_progress(0)
    if file is None:
        yield
        return
    over = threading.Event()
    writer = threading.Thread(target=_write_signs, args=(Path(file), over), daemon=True)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()
        with suppress(OSError):
            Path(file).unlink(missing_ok=True)


def _write_signs(file: Path, over: threading.Event) -> None:
    count, pause = 0, _FIRST_SIGN_SECONDS
    while not over.wait(pause):
        count, pause = count + 1, _SIGN_SECONDS
        # Without it the piece counts as dead in the end; the work itself says what is wrong.
        with suppress(OSError):
            file.write_text(f"{count} {_progress}")


class _Collector(logging.Handler):
    """Keeps each record as JSON data, ``[logger, level, text]``."""

    def __init__(self, records: list[list[Any]]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._records.append([record.name, record.levelno, self.format(record)])
        except Exception:  # as every handler: logging must not stop the work
            self.handleError(record)

    def install(self, level: int) -> None:
        """Make this the process's only handler, for records from ``level`` on and warnings."""
        root = logging.getLogger()
        root.handlers[:] = [self]
        root.setLevel(level)
        logging.captureWarnings(True)


def error_from(message: Message) -> NasganError:
    """The error behind a message ``refused``."""
    for kind in _REBUILT:
        if kind.__name__ == message["error"]:
            return kind(message["message"])
    return NasganError(message["message"])
