"""The checkpoints of a run: the newest few, verified, with fall-back to the one before."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nasgan import atomic
from nasgan.errors import CheckpointError, ConfigError
from nasgan.state_files import load_state, save_state

__all__ = ["Checkpoints"]

_log = logging.getLogger(__name__)
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
