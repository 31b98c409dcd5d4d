"""Light verbs stay light: no torch, and fast."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATHS = [ROOT, ROOT / "strategies", ROOT / "search_spaces"]
SECONDS = 1.5

PROGRAM = """
import sys
from nasgan.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
heavy = {"torch", "torchvision", "scipy", "sklearn", "wandb"} & set(sys.modules)
assert not heavy, f"imported {heavy}"
sys.exit(code)
"""


OF_A_RUN = """
import sys
from nasgan.data import load_digits
from nasgan.engine import run_search
assert len(load_digits().train) == 1438
heavy = {"torchvision", "scipy", "sklearn", "pandas", "matplotlib"} & set(sys.modules)
assert not heavy, f"imported {heavy}"
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))}


@pytest.mark.parametrize(
    "arguments",
    [
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
    ],
    ids=" ".join,
)
def test_no_torch_before_work_starts(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (2 if "randm" in arguments[-1] else 0), done.stderr
    assert "imported" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_trains_imports_torch_and_no_other_heavy_library(tmp_path: Path) -> None:
    program = [sys.executable, "-c", OF_A_RUN]
    done = subprocess.run(program, cwd=tmp_path, env=environment(), timeout=120, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["list"]], ids=" ".join)
def test_light_verbs_are_fast(arguments: list[str], tmp_path: Path) -> None:
    # CPU seconds, the best of three: a busy machine must not fail the test.
    best = min(cpu_seconds(arguments, tmp_path) for _ in range(3))
    assert best < SECONDS


def cpu_seconds(arguments: list[str], folder: Path) -> float:
    before = os.times()
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "nasgan.cli", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    return min(spent, time.monotonic() - started)
