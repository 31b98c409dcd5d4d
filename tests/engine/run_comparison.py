"""What of two run folders has to be equal, and what is time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

TINY = ["+experiment=debug/tiny", "progress=false", "threads=1", "device=cpu"]

_TIMES = {"device_seconds"}


class Stopped(Exception):
    """Stands for a crash between two steps."""


@contextmanager
def stopping(kind: type[Any], when: Callable[[Any], bool]) -> Iterator[None]:
    """The run in the block crashes before the first step of a ``kind`` for which ``when`` holds."""
    step = kind.step

    def stop(stepped: Any) -> Any:
        if when(stepped):
            raise Stopped
        return step(stepped)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kind, "step", stop)
        with pytest.raises(Stopped):
            yield


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [without_times(item) for item in value]
    return value


def fingerprint(run_dir: Path) -> dict[str, Any]:
    """Architecture, history, scores and the bytes of the weights and the samples."""
    record = json.loads((run_dir / "record.json").read_text())
    binary = [
        run_dir / "checkpoints" / "generator.safetensors",
        run_dir / "checkpoints" / "discriminator.safetensors",
        run_dir / "samples" / "final.png",
    ]
    history = (run_dir / "history.jsonl").read_text().splitlines()
    return {
        "architecture": (run_dir / "architecture.json").read_text(),
        "history": [without_times(json.loads(line)) for line in history],
        "metrics": record["metrics"],
        "average_random": without_times(record["average_random"]),
        "cost": without_times(record["cost"]),
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in binary},
    }
