"""What a table's numbers were made with: ``table.json`` beside its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nasgan import atomic
from nasgan.errors import TableError, quoted
from nasgan.reading import read_json

__all__ = ["MANIFEST_FILE", "Manifest", "differences", "differences_of_tables", "with_defaults"]

MANIFEST_FILE = "table.json"

_FORMAT = "nasgan-table-rows"
_FORMAT_VERSION = 2  # 1 had the latest design alone
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Manifest:
    """How the rows of a folder are made.

    Attributes:
        settings: everything that shapes a number: another value is another table.
        decisions: the options of each decision, by name; rows hold indices of them.
        designs: what is to be trained, oldest first; they may grow.
        bound: scores of the held-out real images, if there are any.
        environments: the machines and versions that trained, oldest first.
        licence: of the numbers.
    """

    settings: Mapping[str, Any]
    decisions: Mapping[str, list[str]]
    designs: tuple[Mapping[str, Any], ...]
    bound: Mapping[str, float] | None
    environments: tuple[Mapping[str, Any], ...]
    licence: str

    def claim(self, folder: Path) -> None:
        """Make ``folder`` this table's, or go on with it: then only the designs may differ.

        Shards that claim it at once wait for each other, so that none is lost.

        Raises:
            TableError: the folder holds a table of other settings, which the message names.
            RunDirectoryError: another process has been claiming it for a minute.
            StorageError: the file could not be written.
        """
        # Not needed to read a table.
        from nasgan.runs.folder import RunLock

        with RunLock(folder, patience=_PATIENCE_SECONDS, setting="out"):
            self._claim(folder)

    def _claim(self, folder: Path) -> None:
        path = folder / MANIFEST_FILE
        before = self.refuse_another(folder)
        if before is None:
            self._write(path)
            return
        merged = replace(
            self,
            designs=_both(before.designs, self.designs),
            environments=_both(before.environments, self.environments),
        )
        if merged != before:
            merged._write(path)

    def refuse_another(self, folder: Path) -> Manifest | None:
        """What ``folder`` holds of this table; None if there is no table.

        Raises:
            TableError: it holds a table of other settings, which the message names.
        """
        path = folder / MANIFEST_FILE
        if not path.exists():
            return None
        before = Manifest.read(path)
        differing = list(differences_of_tables(before, self))
        if differing:
            raise TableError(
                f"{path}: this folder holds a table of other settings: {'; '.join(differing)}. "
                "Give the same settings to go on with it, or another folder with out="
            )
        return before

    def _write(self, path: Path) -> None:
        atomic.write_json(
            path,
            {
                "format": _FORMAT,
                "format_version": _FORMAT_VERSION,
                **vars(self),
            },
        )

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read ``table.json``.

        Raises:
            TableError: it is missing, damaged, foreign or of a newer format.
        """
        try:
            data = read_json(path)
            if not isinstance(data, dict) or data.pop("format") != _FORMAT:
                raise ValueError("it has another format")
            version = data.pop("format_version")
            if version == 1:
                data["designs"] = [data.pop("design")]
            elif version != _FORMAT_VERSION:
                raise ValueError(f"its format_version {quoted(version)} is not {_FORMAT_VERSION}")
            if not all(isinstance(data[key], dict) for key in ("settings", "decisions")):
                raise ValueError("its settings and decisions must be mappings")
            lists = {key: tuple(data[key]) for key in ("designs", "environments")}
            return cls(**{**data, **lists})
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise TableError(
                f"{path}: cannot be read as the manifest of a table's rows: {reason}"
            ) from error


def _both(
    before: tuple[Mapping[str, Any], ...], now: tuple[Mapping[str, Any], ...]
) -> tuple[Mapping[str, Any], ...]:
    return before + tuple(each for each in now if each not in before)


def differences_of_tables(before: Manifest, now: Manifest) -> Iterator[str]:
    """What makes the rows of two manifests those of two tables, in words."""
    # What JSON makes of the values, as files have them: lists for tuples.
    one, two = (
        json.loads(json.dumps((with_defaults(each.settings), dict(each.decisions))))
        for each in (before, now)
    )
    yield from differences(one[0], two[0])
    if one[1] != two[1]:
        yield "the decisions of the search space"


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` of a table, with those that came after it was made: of the trainer, of CUDA.

    They stood at their defaults then.
    """
    # Not needed to read a table.
    from nasgan.contracts import TrainerSettings

    of_device = {"deterministic": True} if settings.get("device") == "cuda" else {}
    trainer = {**asdict(TrainerSettings()), **settings.get("trainer", {})}
    return {**of_device, **settings, "trainer": trainer}


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Each value that is another in ``now``, in words; settings as JSON data."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from differences(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    elif before != now:
        yield f"{name} is {quoted(before)} there and {quoted(now)} here"
