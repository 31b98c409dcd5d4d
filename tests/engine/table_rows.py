"""Tables of the tiny settings, and what of their rows has to be equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasgan.cli.compose import compose
from nasgan.engine.tabulate import Tabulated, tabulate
from nasgan.tabular.rows import read_rows

TINY = ["+experiment=debug/tiny", "progress=false", "device=cpu"]
DESIGN = ["design.architectures=2", "design.repeated=1", "design.repeated_seeds=3"]
TIMES = ("device_seconds", "seconds")


def table(folder: Path, *overrides: str, executor: str = "in_process") -> Tabulated:
    words = [*TINY, *DESIGN, f"out={folder}", f"executor={executor}", *overrides]
    return tabulate(compose("tabulate", words))


def contents(folder: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """All rows by key, without times."""
    found = {}
    for row in read_rows(folder):
        seconds = [point.seconds for point in row.curve]
        assert seconds == sorted(seconds)
        assert 0 < seconds[0] <= seconds[-1] <= row.seconds
        kept = {k: v for k, v in row.to_json().items() if k not in TIMES}
        found[row.key] = {**kept, "curve": [(p.step, p.metrics) for p in row.curve]}
    return found
