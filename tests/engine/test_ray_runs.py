"""A search on Ray whose own process is killed, and which goes on; skipped without Ray."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from run_comparison import TINY, without_times

from nasgan.cli.compose import compose
from nasgan.engine import run_config
from nasgan.runs.history import read_history
from nasgan.runs.status import Status

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
ON_RAY = ["executor=ray", "executor.workers=1"]
IN_PROCESS = ["executor=in_process"]


def scored(run_dir: Path) -> list[str]:
    lines = [
        {key: line[key] for key in ("architecture", "score", "metrics", "cost", "generator_steps")}
        for line in read_history(run_dir / "history.jsonl")
        if line["kind"] == "evaluation"
    ]
    return sorted(json.dumps(without_times(line), sort_keys=True) for line in lines)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The scores of a search that nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole")
    run_config(compose("search", [*TINY, *SEARCH, *IN_PROCESS]), folder)
    return scored(folder)


# After the polite signal the same scores come in one process, too: what workers had done is taken.
@pytest.mark.parametrize(
    ("sign", "code", "state", "then"),
    [
        (signal.SIGKILL, -signal.SIGKILL, "running", ON_RAY),
        (signal.SIGTERM, 130, "interrupted", IN_PROCESS),
    ],
)
def test_a_search_ended_on_ray_goes_on_from_its_workers_checkpoints_to_the_same_last_bit(
    sign: signal.Signals,
    code: int,
    state: str,
    then: list[str],
    tiny: Callable[..., dict[str, Any]],
    whole: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = tmp_path / "ended"
    command = [sys.executable, "-m", "nasgan", "search", *TINY, *SEARCH, *ON_RAY]
    kept = ended / "checkpoints" / "candidates" / "under_way"
    # A file and no pipe: services that Ray starts hold it open after the search.
    with (tmp_path / "err.txt").open("w") as err:
        driver = subprocess.Popen([*command, f"run_dir={ended}"], stderr=err, cwd=tmp_path)
    try:
        while not any(kept.glob("*/attempt-*/resume-*.pt")):
            assert driver.poll() is None, "the search ended before it could be stopped"
            time.sleep(0.01)
        driver.send_signal(sign)
        driver.wait(60)
    finally:
        driver.kill()
    told = (tmp_path / "err.txt").read_text()
    assert driver.returncode == code, told
    assert Status.read(ended / "status.json").state == state
    if sign == signal.SIGTERM:
        assert told == "error: interrupted; the same command resumes\n"
    with caplog.at_level(logging.INFO):
        assert run_config(tiny("search", *SEARCH, *then), ended).status == "completed"
    assert "going on from a checkpoint in" in caplog.text
    assert scored(ended) == whole
    assert len(whole) == 1
