"""A finished table: one zip file of plain arrays and a manifest, byte for byte the same each time.

``numpy.load`` reads the arrays, any unzip the manifest. Nothing in it is executed.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasgan import atomic
from nasgan.errors import TableError, quoted
from nasgan.reading import open_file, parse_json

__all__ = ["FORMAT", "FORMAT_VERSION", "read_table_file", "write_table_file"]

FORMAT = "nasgan-table"
FORMAT_VERSION = 1

_MANIFEST = "manifest.json"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the oldest date that a zip file can tell
_MOST_BYTES = 1 << 31


def write_table_file(
    path: Path, manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write a table's file atomically.

    Args:
        path: the file.
        manifest: JSON data; the arrays' checksums are added.
        arrays: by name; numbers and booleans, no objects.

    Raises:
        StorageError: it could not be written.
    """
    members = {f"{name}.npy": _array_bytes(array) for name, array in arrays.items()}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    text = json.dumps({**manifest, "checksums": checksums}, indent=2, allow_nan=False) + "\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in {_MANIFEST: text.encode("utf-8"), **members}.items():
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    atomic.write_file(path, buffer.getvalue())


def read_table_file(
    path: Path, expected: str = FORMAT
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The manifest and the arrays of a table's file.

    Args:
        path: the file.
        expected: its format, where it is another one of arrays with a manifest.

    Raises:
        TableError: it is missing, foreign, of a newer format, or a checksum does not fit.
    """
    try:
        with open_file(path, most=_MOST_BYTES) as stream, zipfile.ZipFile(stream) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise ValueError("it is too large to be a table")
            members = {name: archive.read(name) for name in archive.namelist()}
        manifest = parse_json(members.pop(_MANIFEST))
        _check_format(manifest, expected)
        _check_sums(members, manifest["checksums"])
        arrays = {
            name.removesuffix(".npy"): np.load(io.BytesIO(content), allow_pickle=False)
            for name, content in members.items()
        }
    except FileNotFoundError as error:
        raise TableError(f"{path}: there is no such table") from error
    # Damage shows as zip, zlib, header and key errors of a dozen kinds: all mean the same.
    except Exception as error:
        raise TableError(f"{path}: not a table, or damaged: {error}") from error
    return manifest, arrays


def _check_format(manifest: Any, expected: str) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != expected:
        raise ValueError("its manifest is of another format")
    version = manifest.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise ValueError(
            f"its format_version {quoted(version)} is not the {FORMAT_VERSION} that this nasgan "
            "reads"
        )


def _check_sums(members: Mapping[str, bytes], checksums: Mapping[str, str]) -> None:
    if set(members) != set(checksums):
        raise ValueError("its arrays are not those of its manifest")
    for name, content in members.items():
        if hashlib.sha256(content).hexdigest() != checksums[name]:
            raise ValueError(f"{name} does not fit its checksum")


def _array_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
