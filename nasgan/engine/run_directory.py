"""A run's folder: which run's it is, what that works with, and what is in it."""

from __future__ import annotations

import shlex
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from typing_extensions import NotRequired

from nasgan import atomic
from nasgan.data import Splits
from nasgan.engine.device import settled
from nasgan.engine.parts import load_splits
from nasgan.errors import RunDirectoryError, quoted
from nasgan.metrics.table import MetricSettings
from nasgan.nodes import build_node, with_defaults
from nasgan.reading import digest_of, read_json
from nasgan.run_settings import BESIDE_THE_RESULT, FREE_ON_RESUME, TABLES, places, without_places
from nasgan.runs.folder import CONFIG_FILE, IDENTITY_FILE
from nasgan.runs.history import HISTORY_FILE
from nasgan.runs.record import RECORD_FILE, RunRecord
from nasgan.runs.status import utc_now
from nasgan.schema import OpenPart, Text, UtcTime, check
from nasgan.state_files import Checkpoints
from nasgan.tabular.table import load_table

__all__ = [
    "RunDirectory",
    "RunIdentity",
    "check_moved",
    "content_of_images",
    "differences",
    "other_content",
]

_NETWORKS = ("generator", "discriminator")
# A run that has ended is the same run wherever it was done; one under way keeps its bits only where
# it began.
_FREE_AT_THE_END = BESIDE_THE_RESULT - {"seed"}


class RunDirectory:
    """Paths of one run's folder.

    Attributes:
        path: the folder.
        checkpoints: folder of checkpoints and of the exported networks.
        candidates: folder of files that evaluations keep until the run ends.
        samples: folder of sample grids.
        architecture: file of the resulting architecture.
        record_file: file of the run record.
        identity: file of the run's unique name and first start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.candidates = self.checkpoints / "candidates"
        self.samples = path / "samples"
        self.architecture = path / "architecture.json"
        self.record_file = path / RECORD_FILE
        self.identity = path / IDENTITY_FILE

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
        change: `nasgan.engine.run_directory` looks at what they are.

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


Content = Mapping[str, str | None]

_MAX_FILE_BYTES = 100_000


class _Identity(OpenPart):
    run_id: Text
    started: UtcTime
    content: NotRequired[dict[str, Text | None]]


_WORDS: Mapping[str, str] = {
    "images": "training images",
    "test_images": "test images",
    "features": "weights of the features",
    "architecture": "architecture",
    "table": "table of trainings",
    "judge": "table that judges",
}


@dataclass
class RunIdentity:
    """The file ``run.json`` of a run's folder.

    Attributes:
        file: where it is.
        run_id: unique name of the run, kept over resumptions.
        started: when it was first begun.
        content: what it works with, see `nasgan.runs.record.RunRecord`.
    """

    file: Path
    run_id: str
    started: str
    content: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, file: Path) -> RunIdentity:
        """What ``file`` says; it is made if it is not there.

        Raises:
            RunDirectoryError: it cannot be read.
        """
        if not file.exists():
            cls(file, uuid.uuid4().hex, utc_now()).write()
        try:
            data = read_json(file, most=_MAX_FILE_BYTES)
            check(_Identity, data, file.name)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunDirectoryError(
                f"{file}: unreadable: {reason}; delete the file (rm {shlex.quote(str(file))}), and "
                "the same command says how the run goes on"
            ) from error
        return cls(file, data["run_id"], data["started"], dict(data.get("content", {})))

    def write(self) -> None:
        """Write the file."""
        about = {"run_id": self.run_id, "started": self.started, "content": self.content}
        atomic.write_json(self.file, about)

    def hold(self, found: Content) -> None:
        """Go on with what the run began with.

        Raises:
            RunDirectoryError: what is ``found`` is something else.
        """
        _check(self.content, found, self.file.parent)
        if found.keys() - self.content.keys():
            self.content |= found
            self.write()

    def forget(self) -> None:
        """Let the run begin anew with other data."""
        self.content = {}
        self.write()


def content_of_images(splits: Splits) -> dict[str, str | None]:
    """The part of a record's ``content`` that the images make."""
    test = splits.test
    return {"images": splits.train.checksum, "test_images": None if test is None else test.checksum}


def check_moved(record: RunRecord, config: Mapping[str, Any], folder: Path) -> None:
    """Refuse ``config`` for the finished run in ``folder`` if it names other data.

    Files in the same places are read again only if one was written since the run ended, and
    published data sets never.

    Raises:
        RunDirectoryError: it is the run of other data.
        DatasetError: they cannot be read.
    """
    held = record.content or {"images": record.dataset_info["checksum"]}
    moved = {name for name, _ in places(record.config).items() ^ places(config).items()}
    is_published = "@" not in record.dataset
    images = [value for name, value in places(config).items() if name.startswith("dataset.")]
    ended = (folder / RECORD_FILE).stat().st_mtime
    changed = any(_is_newer(Path(value), ended) for value in images if isinstance(value, str))
    if not is_published and (changed or any(name.startswith("dataset.") for name in moved)):
        _check(held, content_of_images(load_splits(config["dataset"])), folder)
    for name in moved & TABLES.keys() & places(config).keys():
        _check(held, {TABLES[name]: load_table(places(config)[name]).checksum}, folder)
    if any(name.startswith("metrics.") for name in moved):
        settings = build_node(config["metrics"], where="metrics", base=MetricSettings)
        _check(held, {"features": settings.make_extractor("cpu").fingerprint}, folder)


def _is_newer(path: Path, moment: float) -> bool:
    """Whether a file, or one in a folder, was written after ``moment``; not if it is gone."""
    try:
        return path.stat().st_mtime > moment or any(
            inner.stat().st_mtime > moment for inner in path.rglob("*")
        )
    except OSError:
        return False


def other_content(held: Content, found: Content) -> str:
    """In words, what of the ``found`` is not what was ``held``; empty if all that both name is."""
    for key, words in _WORDS.items():
        if key in held and key in found and held[key] != found[key]:
            return f"other {words} (checksum {_short(found[key])} instead of {_short(held[key])})"
    return ""


def _check(held: Content, found: Content, folder: Path) -> None:
    other = other_content(held, found)
    if other:
        raise RunDirectoryError(
            f"{folder} holds a run of other data: {other}. Choose another run_dir=, or delete that "
            "folder to start anew"
        )


def _short(checksum: str | None) -> str:
    return "none" if checksum is None else checksum[:16]
