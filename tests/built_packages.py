"""Packages built and put to use as a third party's are, without a network."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def build_wheel(source: Path, target: Path) -> Path:
    """Build the wheel of the project in ``source`` into ``target``."""
    before = set(target.glob("*.whl"))
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)], cwd=source)
    (wheel,) = set(target.glob("*.whl")) - before
    return wheel


def unpack(wheel: Path, folder: Path) -> Path:
    """What an installation would put into ``folder``, metadata included."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    path: Sequence[Path] = (),
    environment: Mapping[str, str] | None = None,
    code: int = 0,
) -> str:
    """Run ``command`` and give what it printed; it must exit with ``code``.

    Args:
        command: program and arguments.
        cwd: where.
        path: folders from which Python imports, before its own.
        environment: further variables.
        code: the expected exit code.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={
            **kept,
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
            **({"PYTHONPATH": os.pathsep.join(map(str, path))} if path else {}),
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def write_package(
    folder: Path,
    name: str,
    *,
    entry_points: Mapping[str, Mapping[str, str]],
    files: Mapping[str, str],
    version: str = "1.0",
) -> None:
    """Lay a package into ``folder`` as an installation leaves it: its files and its metadata.

    Args:
        folder: on ``sys.path``.
        name: of the distribution.
        entry_points: value by name, by group.
        files: text by path.
        version: of the distribution.
    """
    info = folder / f"{name}-{version}.dist-info"
    lines = [
        line
        for group, points in entry_points.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in points.items()))
    ]
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    for path, text in {
        info / "METADATA": metadata,
        info / "entry_points.txt": "\n".join(lines) + "\n",
        **{folder / path: text for path, text in files.items()},
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
