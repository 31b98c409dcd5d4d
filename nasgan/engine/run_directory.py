"""A run's folder: whose it is, and what is in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from nasgan import atomic
from nasgan.engine.checkpoints import Checkpoints
from nasgan.engine.device import settled
from nasgan.errors import RunDirectoryError, quoted
from nasgan.nodes import with_defaults
from nasgan.reading import digest_of, read_json
from nasgan.run_settings import BESIDE_THE_RESULT, FREE_ON_RESUME, without_places
from nasgan.runs.folder import CONFIG_FILE, IDENTITY_FILE
from nasgan.runs.history import HISTORY_FILE
from nasgan.runs.record import RECORD_FILE, RunRecord

__all__ = ["RunDirectory", "differences"]

_NETWORKS = ("generator", "discriminator")
# A run that has ended is the same run wherever it was done; one under way keeps its bits only where
# it began.
_FREE_AT_THE_END = BESIDE_THE_RESULT - {"seed"}


class RunDirectory:
    """Paths of one run's folder.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints and of the exported networks."""
        return self.path / "checkpoints"

    @property
    def candidates(self) -> Path:
        """Folder of files that evaluations keep until the run ends."""
        return self.checkpoints / "candidates"

    @property
    def samples(self) -> Path:
        """Folder of sample grids."""
        return self.path / "samples"

    @property
    def architecture(self) -> Path:
        """File of the resulting architecture."""
        return self.path / "architecture.json"

    @property
    def record_file(self) -> Path:
        """File of the run record."""
        return self.path / RECORD_FILE

    @property
    def identity(self) -> Path:
        """File of the run's unique name and first start."""
        return self.path / IDENTITY_FILE

    def digests(self) -> dict[str, str]:
        """SHA-256 of the files that a run leaves beside its record, by path in the folder."""
        networks = (self.checkpoints / f"{name}.safetensors" for name in _NETWORKS)
        history = self.path / HISTORY_FILE
        files = (self.architecture, *networks, self.samples / "final.png", history)
        there = [path for path in files if path.exists()]
        return {path.relative_to(self.path).as_posix(): digest_of(path) for path in there}

    def record(self) -> RunRecord | None:
        """The record of a run that has ended; None while there is none."""
        return RunRecord.read(self.record_file) if self.record_file.exists() else None

    def began_with(self) -> dict[str, Any] | None:
        """The settled configuration of the run that has claimed the folder; None if none has.

        Raises:
            RunDirectoryError: it cannot be read.
        """
        file = self.path / CONFIG_FILE
        if not file.exists():
            return None
        try:
            held = read_json(file)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunDirectoryError(
                f"{file}: unreadable: {reason}; choose another run_dir="
            ) from error
        if not isinstance(held, dict):
            raise RunDirectoryError(f"{file}: is no configuration; choose another run_dir=")
        if not isinstance(held.get("trainer"), dict):
            return held
        # Older runs hold what they left to the device as it was asked.
        return settled(held, torch.device("cuda" if held.get("device") == "cuda" else "cpu"))

    def claim(self, config: Mapping[str, Any]) -> None:
        """Make this the folder of the run of ``config``.

        A run may have been begun by a nasgan that did not have all settings of today; one that has
        ended may have been done with other threads or on another device. Where its data lie may
        change: `nasgan.engine.identity` looks at what they are.

        Raises:
            RunDirectoryError: it already is the folder of another configuration.
            StorageError: it cannot be written.
        """
        file = self.path / CONFIG_FILE
        has_ended = self.record_file.exists()
        free = _FREE_AT_THE_END if has_ended else FREE_ON_RESUME
        ours = {key: value for key, value in without_places(config).items() if key not in free}
        held = self.began_with()
        if held is None:
            atomic.write_json(file, dict(config))
            return
        held = with_defaults(held, config)
        theirs = {key: value for key, value in without_places(held).items() if key not in free}
        changed = list(differences(theirs, ours))
        if changed:
            shown = "; ".join(changed[:5]) + ("; ..." if len(changed) > 5 else "")
            if {k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k)} <= _FREE_AT_THE_END:
                raise RunDirectoryError(
                    f"{self.path} holds a run under way with other settings of the machine "
                    f"({shown}). It goes on with those it began with; give these"
                )
            raise RunDirectoryError(
                f"{self.path} holds a run of another configuration ({shown}). Choose another "
                "run_dir=, or delete that folder to start anew"
            )

    def remove_leftovers(self) -> None:
        """Remove what a killed process of this run was writing; the run's lock must be held."""
        for folder in (self.path, self.checkpoints, self.candidates, self.samples):
            atomic.remove_leftovers(folder)

    def remove_resumption(self) -> None:
        """Remove what only a resumption needs, once the run has ended."""
        Checkpoints(self.checkpoints).clear()
        shutil.rmtree(self.candidates, ignore_errors=True)

    def forget(self) -> None:
        """Remove what a failed run left, so that it starts anew: it has to be claimed again.

        Checkpoints that could not be read stay, set aside as they are.
        """
        Checkpoints(self.checkpoints).clear()
        for name in _NETWORKS:
            (self.checkpoints / f"{name}.safetensors").unlink(missing_ok=True)
        for path in (self.candidates, self.samples):
            shutil.rmtree(path, ignore_errors=True)
        for name in (RECORD_FILE, "history.jsonl", "architecture.json", CONFIG_FILE):
            (self.path / name).unlink(missing_ok=True)


def differences(held: Any, wanted: Any, where: str = "") -> Iterator[str]:
    """``key: held -> wanted`` for each leaf in which two configurations differ."""
    if isinstance(held, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*held, *wanted}):
            inner = f"{where}.{key}" if where else str(key)
            yield from differences(held.get(key), wanted.get(key), inner)
    elif held != wanted:
        yield f"{where}: {quoted(held)} -> {quoted(wanted)}"
