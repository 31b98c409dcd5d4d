"""Files of tensors and plain values: written atomically, verified on reading, never executed.

A file's name ends in the first digits of its content's SHA-256, so that a truncated or damaged file
is recognised before anything is read from it.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nasgan import atomic
from nasgan.errors import CheckpointError, ConfigError, PluginError, plugin_name
from nasgan.reading import read_bytes

__all__ = ["Checkpoints", "load_state", "not_plain", "plugin_state", "save_state"]

_log = logging.getLogger(__name__)
_SUFFIX = ".pt"
_DIGITS = 12
# Exactly these: what inherits from them is an object of its own, which is never read again.
_MAPPINGS = (dict, OrderedDict)
_LISTS = (list, tuple, torch.Size)
_VALUES = (type(None), bool, int, float, str, Tensor, nn.Parameter)


class _Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...


def not_plain(value: object, where: str) -> str:
    """What in ``value`` a file of plain values cannot give back; empty if there is nothing.

    Args:
        value: to be saved.
        where: what the answer calls it, e.g. ``"state_dict()"``.

    Returns:
        The place of the first such value, its type, and what to keep instead.
    """
    if type(value) in _MAPPINGS:
        assert isinstance(value, dict)
        wrong = [key for key in value if type(key) not in (str, int)]
        if wrong:
            return f"{where} has the key {wrong[0]!r}: use texts or ints"
        parts = (not_plain(item, f"{where}[{key!r}]") for key, item in value.items())
        return next(filter(None, parts), "")
    if type(value) in _LISTS:
        assert isinstance(value, tuple | list)
        parts = (not_plain(item, f"{where}[{k}]") for k, item in enumerate(value))
        return next(filter(None, parts), "")
    if type(value) in _VALUES:
        return ""
    return (
        f"{where} is a {type(value).__module__}.{type(value).__name__}: keep plain numbers, "
        f"texts, lists, dicts and tensors only (an Architecture or Evaluation as `to_json()`)"
    )


def plugin_state(plugin: _Stateful, kind: str) -> dict[str, Any]:
    """The ``state_dict()`` of a plugin, from which it can be continued.

    Args:
        plugin: a strategy, an evaluator, an evaluation under way.
        kind: which of them, in words.

    Raises:
        PluginError: something in it could not be read again; names the plugin and the place.
    """
    state = plugin.state_dict()
    if complaint := not_plain(state, "state_dict()"):
        raise PluginError(f"{kind} {plugin_name(plugin)}: {complaint}")
    return state


def save_state(folder: Path, stem: str, state: Any) -> Path:
    """Write ``state`` (dicts, lists, numbers, texts, tensors) to ``folder/stem.<digest>.pt``.

    Raises:
        CheckpointError: it holds something else, which `load_state` would refuse.
        StorageError: the file could not be written; nothing is left behind.
    """
    if complaint := not_plain(state, "state"):
        raise CheckpointError(f"{folder / stem}: not written, as it could not be read: {complaint}")
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    path = folder / f"{stem}.{_digest(content)}{_SUFFIX}"
    atomic.write_file(path, content)
    return path


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote; tensors come on the CPU.

    Raises:
        CheckpointError: the file is missing, truncated, damaged, or holds more than plain values.
    """
    try:
        content = read_bytes(path)
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


# The newest few of a run or of an attempt, with fall-back to the one before

_NAME = re.compile(r"resume-(\d{8})\.[0-9a-f]+\.pt")
_ASIDE = "unusable-"


class Checkpoints:
    """The files ``resume-<number>.<digest>.pt`` of a run's folder.

    Args:
        folder: the run's ``checkpoints`` folder.
        keep: how many of the newest are kept; at least 2, so that there is one to fall back to.
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        if keep < 2:
            raise ConfigError(f"checkpoint.keep must be at least 2, got {keep}")
        self._folder = folder
        self._keep = keep

    def save(self, state: Any) -> Path:
        """Write ``state`` as the newest checkpoint, then remove the oldest beyond ``keep``.

        Raises:
            StorageError: it could not be written; the earlier checkpoints are intact.
        """
        files = self._files()
        number = 1 + max(files, default=0)
        path = save_state(self._folder, f"resume-{number:08d}", state)
        for old in sorted(files)[: -self._keep + 1]:
            files[old].unlink(missing_ok=True)
        return path

    def __bool__(self) -> bool:
        return bool(self._files())

    def load_newest(self) -> Any | None:
        """The first of `newest_first`; None if there is none."""
        return next((state for _, state in self.newest_first()), None)

    def newest_first(self) -> Iterator[tuple[Path, Any]]:
        """The checkpoints that are whole, with their tensors on the CPU.

        A damaged one is passed over with a warning and set aside.
        """
        files = self._files()
        for number in sorted(files, reverse=True):
            try:
                state = load_state(files[number])
            except CheckpointError as error:
                # Whoever writes here may have removed it as too old.
                if files[number].exists():
                    self.set_aside(files[number], str(error))
            else:
                yield files[number], state

    def set_aside(self, path: Path, reason: str) -> None:
        """Rename a checkpoint that cannot be used: it counts as none, and is never removed.

        Raises:
            StorageError: it cannot be renamed.
        """
        kept = path.with_name(f"{_ASIDE}{path.name}")
        try:
            path.replace(kept)
        except OSError as error:
            raise atomic.storage_error(kept, error) from error
        _log.warning(
            "%s; falling back to the checkpoint before it, and keeping it as %s", reason, kept.name
        )

    def clear(self) -> None:
        """Remove all that could be used, when the run has ended."""
        for path in self._files().values():
            path.unlink(missing_ok=True)

    def _files(self) -> dict[int, Path]:
        if not self._folder.is_dir():
            return {}
        matches = ((_NAME.fullmatch(path.name), path) for path in self._folder.iterdir())
        return {int(match.group(1)): path for match, path in matches if match}
