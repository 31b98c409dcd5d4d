"""What the report keeps of a run's history: a few numbers of files that may be very long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

from nasgan.reading import open_file, parse_json
from nasgan.runs.parts import UNITS

__all__ = ["Checkpoint", "RunHistory", "Scored", "read_run_history"]

_MOST_OPTION_LINES = 96
_MOST_LINE_BYTES = 4_000_000
_LARGEST = 2**64


@dataclass(frozen=True, slots=True)
class Scored:
    """A score that the search saw.

    Attributes:
        architecture: its id.
        choices: its options by decision.
        score: the objective's value; None if the evaluation failed.
        incumbent: id of the best architecture known after it; None if there is none.
        stage: of progressive search; None where there are none.
        fidelity: how it was scored.
        spent: what the search had spent by then, by unit.
    """

    architecture: str
    choices: Mapping[str, str]
    score: float | None
    incumbent: str | None
    stage: int | None
    fidelity: str
    spent: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A score in the course of a final training.

    Attributes:
        architecture: id of what is trained.
        metrics: its scores.
        spent: what the final phase had spent by then, by unit.
    """

    architecture: str
    metrics: Mapping[str, float]
    spent: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RunHistory:
    """The parts of a history that the report shows.

    Attributes:
        scored: the evaluations of the search, in order.
        checkpoints: those of the final trainings, in order.
        finalists: ids of the architectures retrained as results; empty for a given architecture.
        options: ``(generator steps spent, shares by decision)`` in order, thinned out.
        damaged: number of lines that could not be read.
    """

    scored: tuple[Scored, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    finalists: frozenset[str] = frozenset()
    options: tuple[tuple[float, Mapping[str, Any]], ...] = ()
    damaged: int = 0

    @property
    def last_stage(self) -> int | None:
        """The highest stage of progressive search that has scores; None without stages."""
        return max((s.stage for s in self.scored if s.stage is not None), default=None)

    def of_fidelity(self, fidelity: str) -> RunHistory:
        """The same with the scores that were taken so."""
        return replace(self, scored=tuple(s for s in self.scored if s.fidelity == fidelity))


def read_run_history(path: Path) -> RunHistory | None:
    """Read a history; None if there is no such file.

    Unlike `nasgan.runs.history.read_history` it goes on past damaged lines, and keeps little.
    """
    try:
        stat = path.stat()
    except OSError:
        return None
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _read(path: Path, _changed: int, _size: int) -> RunHistory | None:
    """As `read_run_history`; the file's time and size tell a changed one from one known."""
    scored: list[Scored] = []
    checkpoints: list[Checkpoint] = []
    finalists: set[str] = set()
    options = _Thinned()
    damaged = 0
    try:
        for raw in _lines(path):
            if b'"values"' in raw[:200] and b'"options"' not in raw:
                continue  # by far the most lines, and nothing in them is shown
            if b'"options"' in raw:
                options.add(raw)
                if b'"evaluation"' not in raw:
                    continue
            line = _parsed(raw)
            try:
                if line is None:
                    damaged += 1
                elif line.get("kind") == "evaluation" and line.get("phase") == "search":
                    scored.append(_scored(line))
                elif line.get("kind") == "checkpoint":
                    checkpoints.append(_checkpoint(line))
                elif line.get("kind") == "finalists":
                    finalists |= {str(name) for name in line["architectures"]}
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                damaged += 1
    except OSError:
        return None
    return RunHistory(
        tuple(scored), tuple(checkpoints), frozenset(finalists), options.parsed(), damaged
    )


class _Thinned:
    """At most so many of the lines added, evenly spread: every second one goes when it is full."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._last: bytes | None = None
        self._every = 1
        self._seen = 0

    def add(self, raw: bytes) -> None:
        if self._seen % self._every == 0:
            self._kept.append(raw)
            if len(self._kept) > _MOST_OPTION_LINES:
                self._kept = self._kept[::2]
                self._every *= 2
        self._last = raw
        self._seen += 1

    def parsed(self) -> tuple[tuple[float, Mapping[str, Any]], ...]:
        raws = self._kept
        if self._last is not None and (not raws or raws[-1] is not self._last):
            raws = [*raws, self._last]
        found = []
        for raw in raws:
            line = _parsed(raw) or {}
            shares, spent = line.get("options"), line.get("spent")
            if isinstance(shares, Mapping) and isinstance(spent, Mapping):
                steps = spent.get("generator_steps")
                known = isinstance(steps, int | float) and abs(steps) < _LARGEST
                found.append((float(steps or 0) if known else 0.0, shares))
        return tuple(found)


def _lines(path: Path) -> Iterator[bytes]:
    """The whole lines; a last one that is still being written is left out."""
    with open_file(path) as stream:
        while raw := stream.readline(_MOST_LINE_BYTES):
            if raw.endswith(b"\n") and len(raw) > 1:
                yield raw


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        line = parse_json(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _scored(line: Mapping[str, Any]) -> Scored:
    score, stage = line.get("score"), line.get("stage")
    return Scored(
        architecture=str(line["architecture"]["id"]),
        # The same few names come again and again.
        choices={
            intern(str(k)): intern(str(v)) for k, v in line["architecture"]["choices"].items()
        },
        score=None if score is None else float(score),
        incumbent=None if line.get("incumbent") is None else str(line["incumbent"]),
        stage=None if stage is None else int(stage),
        fidelity=str(line.get("fidelity", "")),
        spent=_spent(line),
    )


def _checkpoint(line: Mapping[str, Any]) -> Checkpoint:
    metrics = {str(k): float(v) for k, v in line["metrics"].items() if v is not None}
    return Checkpoint(str(line["architecture"]), metrics, _spent(line))


def _spent(line: Mapping[str, Any]) -> dict[str, float]:
    return {unit: float(line["spent"][unit]) for unit in UNITS}
