"""What a check of the acceptance is, and the JSON file in which the outcomes of all are kept.

No torch here: the process that watches the stages must not wake the device.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from nasgan.atomic import write_json

__all__ = ["Check", "FailedCheckError", "Figures", "Report", "Settings", "SkippedCheckError"]

Figures: TypeAlias = Mapping[str, Any]

RUNNING = "running"
"""The status of a check under way: in the file of an acceptance that was itself killed."""


class FailedCheckError(Exception):
    """What was measured is not what it should be."""

    def __init__(self, reason: str, figures: Figures) -> None:
        super().__init__(reason)
        self.figures = figures


class SkippedCheckError(Exception):
    """The check cannot be made here; the message says why."""


@dataclass(frozen=True)
class Settings:
    """What the process of a stage is told.

    Attributes:
        stage: its name in the report.
        checks: ``module:function`` that gives its checks.
        device: as torch names it.
        smoke: tiny sizes, few checks.
        images: an ``.npz`` to train on, or None.
        out: the file of the report.
        work: a folder for what the checks write.
        ends: the moment (`time.monotonic`) by which the stage has to be over.
        pace: the limits of the checks are for eight minutes in all; they grow with the time given.
    """

    stage: str
    checks: str
    device: str
    smoke: bool
    images: str | None
    out: str
    work: str
    ends: float
    pace: float

    @property
    def left(self) -> float:
        """Seconds of the stage's time box."""
        return self.ends - time.monotonic()


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: within its stage.
        run: measures; raises `FailedCheckError`, `SkippedCheckError`, or what goes wrong.
        needs: seconds that it takes at least; with less left in the box it is not begun.
        limit: seconds after which it hangs.
    """

    name: str
    run: Callable[[], Figures]
    needs: float = 3.0
    limit: float = 40.0


class Report:
    """The file, written at each change: an acceptance that is cut short leaves what it found.

    Args:
        path: of the file; what it holds is read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.content: dict[str, Any] = {"device": {}, "versions": {}, "checks": []}
        self.reload()

    @property
    def checks(self) -> list[dict[str, Any]]:
        """The checks so far, in order."""
        checks: list[dict[str, Any]] = self.content["checks"]
        return checks

    def reload(self) -> None:
        """Take over what another process has written."""
        if self._path.exists():
            self.content = json.loads(self._path.read_text(encoding="utf-8"))

    def describe(self, **parts: Figures | float) -> None:
        """Write facts about the whole."""
        self.content.update(parts)
        write_json(self._path, self.content)

    def begun(self, stage: str) -> set[str]:
        """The names of the checks of ``stage`` that are in the report."""
        return {row["name"] for row in self.checks if row["stage"] == stage}

    @property
    def under_way(self) -> dict[str, Any] | None:
        """The check that has begun and not ended."""
        last = self.checks[-1] if self.checks else None
        return last if last is not None and last["status"] == RUNNING else None

    def begin(self, stage: str, name: str) -> None:
        """A check begins."""
        row = {"stage": stage, "name": name, "status": RUNNING, "began": time.monotonic()}
        self.checks.append(row)
        write_json(self._path, self.content)

    def end(self, status: str, figures: Figures | None = None, message: str = "") -> None:
        """The check under way ends; prints its line."""
        row = self.checks[-1]
        row["status"] = status
        row["seconds"] = round(time.monotonic() - row.pop("began"), 3)
        row["figures"] = {key: _storable(value) for key, value in (figures or {}).items()}
        row["message"] = message
        write_json(self._path, self.content)
        print(_line(row), flush=True)

    def add(self, stage: str, name: str, status: str, message: str) -> None:
        """A check that was not made, or whose process died."""
        self.begin(stage, name)
        self.end(status, message=message)


def _storable(value: Any) -> Any:
    """JSON knows no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _line(row: Mapping[str, Any]) -> str:
    figures = "  ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in row["figures"].items()
    )
    last = row["message"].strip().splitlines()[-1:]
    text = "  ".join([figures, *last] if figures else last)
    return f"{row['status']:<9} {row['stage']:<9} {row['seconds']:6.1f} s  {row['name']:<46} {text}"
