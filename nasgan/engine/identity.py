"""Which run this is: its name, and what it works with, wherever that lies."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import NotRequired

from nasgan import atomic
from nasgan.data import Splits
from nasgan.engine.parts import load_splits
from nasgan.errors import RunDirectoryError
from nasgan.metrics.extractor import FeatureExtractor
from nasgan.metrics.settings import MetricSettings
from nasgan.nodes import build_node
from nasgan.reading import read_json
from nasgan.run_settings import TABLES, places
from nasgan.runs.record import RECORD_FILE, RunRecord
from nasgan.runs.status import utc_now
from nasgan.schema import OpenPart, Text, UtcTime, check
from nasgan.tabular.table import load_table

__all__ = [
    "RunIdentity",
    "check_moved",
    "content_of_features",
    "content_of_images",
    "other_content",
]

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


def content_of_features(extractor: FeatureExtractor) -> dict[str, str | None]:
    """The part of a record's ``content`` that the features make."""
    return {"features": extractor.fingerprint}


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
        _check(held, content_of_features(settings.make_extractor("cpu")), folder)


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
