"""Light verbs stay light: nothing heavy is imported. `benchmarks/startup.py` takes the time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATHS = [ROOT, ROOT / "strategies", ROOT / "search_spaces"]

COMMANDS = {
    " ".join(arguments): arguments
    for arguments in (
        ["--help"],
        ["--version"],
        ["list"],
        ["search", "--help"],
        ["search", "--cfg", "job"],
        ["search", "--info", "defaults"],
        ["train", "--help"],
        ["train", "architecture=sngan", "--cfg", "job", "--resolve"],
        ["evaluate", "--help"],
        ["sample", "--help"],
        ["leaderboard", "--help"],
        ["leaderboard", "verify", "--help"],
        ["publish", "--help"],
        ["report", "--help"],
        ["simulate", "--help"],
        ["watch", "--help"],
        ["search", "-sc", "install=bash"],
        ["search", "strategy=randm"],
    )
}
# One after another in one process: what one imports, all that follow have.
PROGRAM = """
import contextlib, io, json, os, sys
from nasgan.cli.main import main
told = {}
for name, arguments in json.loads(sys.argv[1]).items():
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code
    heavy = {"torch", "torchvision", "scipy", "sklearn", "wandb"} & set(sys.modules)
    told[name] = [code or 0, sorted(heavy), os.listdir(), errors.getvalue()]
print(json.dumps(told))
"""


OF_A_RUN = """
import sys
from nasgan.data import load_digits
from nasgan.engine import run_config
assert len(load_digits().train) == 1438
heavy = {"torchvision", "scipy", "sklearn", "pandas", "matplotlib"} & set(sys.modules)
assert not heavy, f"imported {heavy}"
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """By command its exit code, the heavy modules and files that there are then, and its errors."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(COMMANDS)],
        cwd=tmp_path_factory.mktemp("empty"),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made: dict[str, list[Any]] = json.loads(done.stdout)
    return made


@pytest.mark.parametrize("command", COMMANDS)
def test_no_torch_before_work_starts(command: str, told: dict[str, list[Any]]) -> None:
    code, heavy, files, errors = told[command]
    assert code == (2 if "randm" in command else 0), errors
    assert heavy == []
    assert files == []


def test_a_process_that_trains_imports_torch_and_no_other_heavy_library(tmp_path: Path) -> None:
    program = [sys.executable, "-c", OF_A_RUN]
    done = subprocess.run(program, cwd=tmp_path, env=environment(), timeout=120, check=False)
    assert done.returncode == 0
