"""From the rows of shards and folders to one table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasgan.errors import TableError
from nasgan.tabular.manifest import MANIFEST_FILE, Manifest, differences_of_tables
from nasgan.tabular.rows import NETWORKS, Row, read_rows
from nasgan.tabular.table_file import FORMAT, FORMAT_VERSION, write_table_file

__all__ = ["assembled", "build_table", "merged"]


def build_table(folders: Sequence[Path], out: Path, *, name: str | None = None) -> int:
    """Write one table of the rows in ``folders``; see `merged`.

    The same rows make the same file, whichever shards they come from.

    Args:
        folders: as for `merged`.
        out: the file.
        name: of the table; None: the file's stem.

    Returns:
        The number of rows.

    Raises:
        TableError: as `merged`.
        StorageError: the file could not be written.
    """
    manifest, arrays = merged(folders, name=name or out.stem)
    write_table_file(out, manifest, arrays)
    return len(arrays["seed"])


def merged(folders: Sequence[Path], *, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The manifest and the arrays of a table; a training that several folders hold counts once.

    Rows come sorted by architecture and seed.

    Args:
        folders: each with ``table.json`` and rows, as ``nasgan tabulate`` leaves them.
        name: of the table.

    Raises:
        TableError: a folder is not a table's, holds another table than the first, or a line that
            is no row of it, which the message names; or there are no rows.
    """
    manifests = [Manifest.read(folder / MANIFEST_FILE) for folder in folders]
    for folder, manifest in zip(folders[1:], manifests[1:], strict=True):
        _refuse_another(manifests[0], manifest, folders[0], folder)
    rows: dict[tuple[str, int], Row] = {}
    for folder, manifest in zip(folders, manifests, strict=True):
        for row in read_rows(folder, manifest.decisions):
            rows.setdefault(row.key, row)
    if not rows:
        raise TableError(f"there are no rows in {', '.join(map(str, folders))}: nothing to build")
    return assembled(manifests, list(rows.values()), name=name)


def assembled(
    manifests: Sequence[Manifest], rows: Sequence[Row], *, name: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The manifest and the arrays of a table of ``rows``.

    Args:
        manifests: how they were made; all of one table.
        rows: at least one, of different trainings, with an option for each decision.
        name: of the table.
    """
    ordered = sorted(rows, key=lambda row: row.key)
    metrics = list(manifests[0].settings["metrics"])
    metrics += sorted({m for row in ordered for p in row.curve for m in p.metrics} - {*metrics})
    arrays = _arrays(ordered, metrics)
    return _manifest(manifests, name, metrics), arrays


def _refuse_another(first: Manifest, other: Manifest, one: Path, two: Path) -> None:
    found = list(differences_of_tables(first, other))
    if found:
        raise TableError(f"{two} holds another table than {one}: {'; '.join(found)}")


def _manifest(manifests: Sequence[Manifest], name: str, metrics: list[str]) -> dict[str, Any]:
    first = manifests[0]
    designs: list[Mapping[str, Any]] = []
    environments: list[Mapping[str, Any]] = []
    for manifest in manifests:
        designs += [each for each in manifest.designs if each not in designs]
        environments += [each for each in manifest.environments if each not in environments]
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": name,
        "settings": first.settings,
        "decisions": first.decisions,
        "metrics": metrics,
        "bound": first.bound,
        "designs": designs,
        "environments": environments,
        "licence": first.licence,
    }


def _arrays(rows: Sequence[Row], metrics: Sequence[str]) -> dict[str, NDArray[Any]]:
    steps = sorted({point.step for row in rows for point in row.curve})
    scores = np.full((len(rows), len(steps), len(metrics)), np.nan)
    seconds = np.full((len(rows), len(steps)), np.nan, dtype=np.float32)
    for i, row in enumerate(rows):
        for point in row.curve:
            j = steps.index(point.step)
            seconds[i, j] = point.seconds
            for k, metric in enumerate(metrics):
                value = point.metrics.get(metric)
                scores[i, j, k] = np.nan if value is None else value
    # One byte each, if there is no decision of more options.
    largest = max((index for row in rows for index in row.options), default=0)
    return {
        "options": np.array([row.options for row in rows], dtype=np.min_scalar_type(largest)),
        "seed": np.array([row.seed for row in rows], dtype=np.int32),
        "step": np.array(steps, dtype=np.int32),
        "scores": scores,
        "seconds": seconds,
        "total_seconds": np.array([row.seconds for row in rows], dtype=np.float32),
        "device_seconds": np.array([row.device_seconds for row in rows], dtype=np.float32),
        "steps_trained": np.array([row.steps for row in rows], dtype=np.int32),
        "images": np.array([row.images for row in rows], dtype=np.int64),
        "parameters": np.array([[row.parameters[n] for n in NETWORKS] for row in rows], np.int64),
        "macs": np.array([[row.macs[n] for n in NETWORKS] for row in rows], dtype=np.int64),
        "failure": _texts([row.failure for row in rows]),
    }


def _texts(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Texts as the bytes of a JSON list."""
    return np.frombuffer(json.dumps(list(texts)).encode("utf-8"), dtype=np.uint8)
