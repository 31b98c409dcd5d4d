"""Tensors cached on disk under a content key: never trusted further than their digest."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nasgan.atomic import write_file
from nasgan.errors import StorageError
from nasgan.metrics.extractor import state_digest

__all__ = ["TensorCache", "cache_key", "default_cache_dir"]

_LOG = logging.getLogger(__name__)


def default_cache_dir() -> Path:
    """``$NASGAN_CACHE``, else ``~/.cache/nasgan``."""
    chosen = os.environ.get("NASGAN_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "nasgan"


def cache_key(parts: Mapping[str, object]) -> str:
    """SHA-256 of everything that the cached tensors depend on; JSON values only."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class TensorCache:
    """One folder of safetensors files.

    Files are written whole or not at all, and several processes may compute and write the same
    entry at once: each writes the same content, the last one stays.

    Args:
        folder: made when something is first written; ``None`` keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(
        self, kind: str, key: str, names: set[str], compute: Callable[[], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The entry's tensors, from the file if it is sound, else computed and stored.

        Args:
            kind: start of the file name, for people: ``"reference"``.
            key: `cache_key` of what the tensors depend on.
            names: the tensors that the entry must hold, no more and no fewer.
            compute: makes them.

        Returns:
            CPU tensors if read from the file, else what ``compute`` gave.
        """
        if self._folder is None:
            return compute()
        path = self._folder / f"{kind}-{key}.safetensors"
        cached = _read(path, key, names)
        if cached is not None:
            return cached
        tensors = compute()
        try:
            stored = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
            write_file(path, save(stored, {"key": key, "digest": state_digest(stored)}))
        except StorageError as error:
            # The result is at hand: a cache that cannot be written costs time, not the run.
            _LOG.warning("not cached, it will be computed again next time: %s", error)
        return tensors


def _read(path: Path, key: str, names: set[str]) -> dict[str, Tensor] | None:
    """The file's tensors, or ``None`` where there is no file or none to be trusted."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt", device="cpu") as stored:
            metadata = stored.metadata() or {}
            found = list(stored.keys())
            tensors: dict[str, Tensor] = {
                name: torch.as_tensor(stored.get_tensor(name)) for name in found
            }
    except (OSError, SafetensorError, ValueError) as error:
        _LOG.warning("cached statistics %s are damaged (%s); computing them again", path, error)
        return None
    if metadata.get("key") != key or set(tensors) != names:
        _LOG.warning("cached statistics %s belong to something else; computing them again", path)
        return None
    if metadata.get("digest") != state_digest(tensors):
        _LOG.warning("cached statistics %s fail their checksum; computing them again", path)
        return None
    return tensors
