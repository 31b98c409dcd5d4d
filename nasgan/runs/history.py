"""The anytime history of a run: ``history.jsonl``, one JSON object per line, append-only."""

from __future__ import annotations

import json
import logging
import math
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasgan import atomic
from nasgan.errors import CheckpointError, ConfigError, RunDirectoryError
from nasgan.reading import parse_json, read_bytes

__all__ = ["HISTORY_FILE", "History", "finite", "read_history"]

HISTORY_FILE = "history.jsonl"
_MAX_FILE_BYTES = 4 * 10**9

logger = logging.getLogger(__name__)


def finite(value: Any) -> Any:
    """``value`` with each NaN and infinity in it turned to None, the only way JSON can tell.

    Mappings, lists and tuples are copied; everything else is handed through.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


class History:
    """Writes the history of a run. One writer at a time (see `nasgan.runs.folder.RunLock`).

    A last line that a crash tore is cut off by the next `append`.

    Args:
        path: the file; made by the first `append`.

    Raises:
        RunDirectoryError: the file cannot be read, or is damaged before its last line.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        lines, self._offset = _scan(self.path)
        self._count = len(lines)

    @property
    def offset(self) -> int:
        """Bytes of all whole lines: what a checkpoint stores for `truncate`."""
        return self._offset

    def __len__(self) -> int:
        return self._count

    def append(self, line: Mapping[str, Any]) -> int:
        """Write ``line`` and flush it to disk; adds its ``"index"``, which counts from 0.

        Returns:
            The index.

        Raises:
            ConfigError: ``line`` is not JSON data, or has an index of its own.
            StorageError: the disk is full; the lines before it stay readable.
        """
        if "index" in line:
            raise ConfigError("a history line must not bring its own 'index'")
        try:
            content = json.dumps(
                {"index": self._count, **line}, allow_nan=False, separators=(",", ":")
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"history line {self._count} is not JSON data: {error}; pass it through finite() "
                "if it may hold NaN"
            ) from error
        self._cut(self._offset)
        atomic.append_line(self.path, content)
        self._offset += len(content.encode("utf-8")) + 1
        self._count += 1
        return self._count - 1

    def truncate(self, offset: int) -> None:
        """Go back to the length ``offset``, which an earlier `offset` gave; for resuming.

        Raises:
            CheckpointError: the file never had such a length.
            StorageError: the file cannot be changed.
        """
        kept = self._kept(offset)
        if kept is None:
            raise CheckpointError(
                f"{self.path}: cannot go back to {offset} bytes: it holds {self._offset} bytes of "
                "whole lines, so the checkpoint belongs to another history"
            )
        self._cut(offset)
        self._offset = offset
        self._count = kept.count(b"\n")

    def reaches(self, offset: int) -> bool:
        """Whether `truncate` can go back to ``offset``."""
        return self._kept(offset) is not None

    def _kept(self, offset: int) -> bytes | None:
        """The lines up to ``offset``; None where no line ends there."""
        kept = _content(self.path)[: max(0, min(offset, self._offset))]
        is_end = not kept or kept.endswith(b"\n")
        return kept if offset >= 0 and len(kept) == offset and is_end else None

    def _cut(self, size: int) -> None:
        try:
            if not self.path.exists() or self.path.stat().st_size == size:
                return
            with self.path.open("r+b") as stream:
                stream.truncate(size)
                os.fsync(stream.fileno())
        except OSError as error:
            raise atomic.storage_error(self.path, error) from error


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """All whole lines of a history file; a last line that was torn is skipped with a warning.

    Raises:
        RunDirectoryError: the file cannot be read, or is damaged before its last line.
    """
    path = Path(path)
    if not path.exists():
        raise RunDirectoryError(f"{path}: there is no such history")
    return _scan(path)[0]


def _scan(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of ``path`` and the bytes they take; none if it does not exist."""
    data = _content(path)
    lines: list[dict[str, Any]] = []
    offset = 0
    while offset < len(data):
        end = data.find(b"\n", offset)
        line = _parse(data[offset:end], index=len(lines)) if end >= 0 else None
        if line is None:
            if 0 <= end < len(data) - 1:
                number = len(lines) + 1
                raise RunDirectoryError(
                    f"{path}: line {number} is damaged (expected a JSON object with "
                    f'"index": {len(lines)}); delete it and the lines after it to go on from an '
                    f"earlier checkpoint: sed -i '{number},$d' {shlex.quote(str(path))}"
                )
            logger.warning("%s: skipped line %d, which a crash tore", path, len(lines) + 1)
            break
        lines.append(line)
        offset = end + 1
    return lines, offset


def _parse(raw: bytes, *, index: int) -> dict[str, Any] | None:
    try:
        line = parse_json(raw)
    except ValueError:
        return None
    number = line.get("index") if isinstance(line, dict) else None
    return line if type(number) is int and number == index else None


def _content(path: Path) -> bytes:
    """All of the file; nothing if it does not exist."""
    try:
        return read_bytes(path, most=_MAX_FILE_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise RunDirectoryError(f"{path}: cannot read this history: {error.strerror}") from error
