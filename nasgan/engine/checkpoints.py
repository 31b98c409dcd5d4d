"""The checkpoints of a run: the newest few, verified, with fall-back to the one before."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from nasgan.errors import CheckpointError, ConfigError
from nasgan.state_files import load_state, save_state

__all__ = ["Checkpoints"]

_log = logging.getLogger(__name__)
_NAME = re.compile(r"resume-(\d{8})\.[0-9a-f]+\.pt")


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

    def load_newest(self) -> Any | None:
        """The newest checkpoint that is whole, with its tensors on the CPU; None if there is none.

        A damaged one is passed over with a warning and removed, so that it never counts as one of
        those kept.
        """
        files = self._files()
        for number in sorted(files, reverse=True):
            try:
                return load_state(files[number])
            except CheckpointError as error:
                _log.warning("%s; falling back to the checkpoint before it", error)
                files[number].unlink(missing_ok=True)
        return None

    def clear(self) -> None:
        """Remove all, when the run has ended."""
        for path in self._files().values():
            path.unlink(missing_ok=True)

    def _files(self) -> dict[int, Path]:
        if not self._folder.is_dir():
            return {}
        matches = ((_NAME.fullmatch(path.name), path) for path in self._folder.iterdir())
        return {int(match.group(1)): path for match, path in matches if match}
