"""Files of tensors and plain values: written atomically, verified on reading, never executed.

A file's name ends in the first digits of its content's SHA-256, so that a truncated or damaged file
is recognised before anything is read from it.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from nasgan import atomic
from nasgan.errors import CheckpointError

__all__ = ["load_state", "save_state"]

_SUFFIX = ".pt"
_DIGITS = 12


def save_state(folder: Path, stem: str, state: Any) -> Path:
    """Write ``state`` (dicts, lists, numbers, texts, tensors) to ``folder/stem.<digest>.pt``.

    Raises:
        StorageError: the file could not be written; nothing is left behind.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    path = folder / f"{stem}.{_digest(content)}{_SUFFIX}"
    atomic.write_bytes(path, content)
    return path


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote; tensors come on the CPU.

    Raises:
        CheckpointError: the file is missing, truncated, damaged, or holds more than plain values.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read this checkpoint: {error.strerror}") from error
    if path.name != f"{path.name.split('.')[0]}.{_digest(content)}{_SUFFIX}":
        raise CheckpointError(f"{path}: this checkpoint is truncated or damaged")
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # on foreign content torch also lets IndexError, KeyError, ... out
        raise CheckpointError(f"{path}: not a checkpoint that nasgan wrote: {error}") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
