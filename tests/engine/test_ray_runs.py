"""A search on Ray whose own process is killed, and which goes on; skipped without Ray."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from run_comparison import without_times

from nasgan.engine import run_search
from nasgan.runs.history import read_history

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed"),
]

SEARCH = [
    "strategy=random_scratch",
    "budget.generator_steps=null",
    "budget.architectures=null",
    "strategy.num_candidates=1",
    "strategy.min_steps=200",
    "strategy.max_steps=200",
    "final.top_k=0",
    "checkpoint.every_seconds=0",
]
PROGRAM = """
import json, sys
from pathlib import Path
from nasgan.engine import run_search
run_search(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
"""


def scored(run_dir: Path) -> list[str]:
    lines = [
        {key: line[key] for key in ("architecture", "score", "metrics", "cost", "generator_steps")}
        for line in read_history(run_dir / "history.jsonl")
        if line["kind"] == "evaluation"
    ]
    return sorted(json.dumps(without_times(line), sort_keys=True) for line in lines)


def test_a_search_killed_on_ray_goes_on_from_its_workers_checkpoints_to_the_same_last_bit(
    tiny: Callable[..., dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("search", *SEARCH, "executor=ray", "executor.workers=1")
    (tmp_path / "config.json").write_text(json.dumps(config))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "config.json"), str(killed)]
    kept = killed / "checkpoints" / "candidates" / "under_way"
    driver = subprocess.Popen(command)
    try:
        while not any(kept.glob("*/attempt-*/resume-*.pt")):
            assert driver.poll() is None, "the search ended before it could be killed"
            time.sleep(0.01)
    finally:
        driver.kill()
        driver.wait()
    with caplog.at_level(logging.INFO):
        assert run_search(config, killed).status == "completed"
    assert "going on from a checkpoint in" in caplog.text
    run_search(tiny("search", *SEARCH, "executor=in_process"), whole)
    assert scored(killed) == scored(whole)
    assert len(scored(killed)) == 1
