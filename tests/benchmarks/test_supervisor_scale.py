"""The benchmark of the supervisor's scale kills workers, and fails where a bound is passed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from benchmarks import supervisor_scale
from benchmarks.supervisor_scale import OF_RAY, Figures

MEASURED = Figures(
    pieces=10_000,
    slots=72,
    heard_once=True,
    seconds=35.1,
    files=37,
    files_left=0,
    megabytes=114,
)


def test_killed_workers_cost_no_piece() -> None:
    sizes = ["--pieces", "30", "--slots", "2", "--longest", "0.3", "--kill-every", "1"]
    done = subprocess.run(
        [sys.executable, supervisor_scale.__file__, *sizes],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 kills" not in done.stdout
    assert "every piece was heard once" in done.stdout


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, None),
        ({"heard_once": False}, "a piece was not heard, or twice"),
        ({"files": 87}, "more than 86 files at once"),
        ({"files_left": 1}, "files are left at the end"),
        ({"megabytes": 231}, "more than 230 MB"),
        ({"seconds": 75.0}, "more than 74.0 s of this process"),
    ],
)
def test_what_passes_a_bound_is_a_fault(changed: dict[str, Any], fault: str | None) -> None:
    assert replace(MEASURED, **changed).faults(OF_RAY) == ([fault] if fault else [])
