"""Kill -9 at random moments, resume, and end bit-identical to a run that was never killed.

NASGAN_KILLS sets how often each run is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from run_comparison import fingerprint

from nasgan.engine import run_config
from nasgan.runs.status import Status

KILLS = int(os.environ.get("NASGAN_KILLS", "2"))

# Longer than the tiny preset, so that there are many moments to be killed at; a checkpoint after
# every step, so that many of them fall into the writing of one.
LONGER = {
    "search": [
        "checkpoint.every_seconds=0",
        "budget.generator_steps=40",
        "budget.architectures=6",
        "strategy.num_candidates=6",
        "final.generator_steps=16",
        "final.eval_every=8",
    ],
    # What AutoGAN's presets set; the training stalls and begins anew on the way.
    "published": [
        "strategy=rl",
        "strategy.update=published",
        "strategy.children=1",
        "strategy.finalists=last",
        "strategy.iterations=6",
        "strategy.controller_steps=2",
        "strategy.num_candidates=3",
        "strategy.reset_window=8",
        "strategy.reset_threshold=0.2",
        "trainer.zero_grad=zero",
        "evaluator.latents=fresh",
        "evaluator.small_images=as_generated",
        "checkpoint.every_seconds=0",
        "budget.generator_steps=78",
        "budget.architectures=18",
        "final.generator_steps=16",
        "final.eval_every=8",
    ],
    "scratch": [
        "strategy=random_scratch",
        "checkpoint.every_seconds=0",
        "budget.generator_steps=null",
        "budget.architectures=null",
        "strategy.num_candidates=4",
        "strategy.min_steps=4",
        "strategy.max_steps=12",
        "final.generator_steps=12",
        "final.eval_every=6",
    ],
    "alphagan": [
        "strategy=alphagan",
        "strategy.inner_steps=12",
        "checkpoint.every_seconds=0",
        "budget.generator_steps=32",
        "final.generator_steps=8",
        "final.eval_every=4",
    ],
    # Two evaluators, and networks in files that wait for the next generation.
    "eagan": [
        "strategy=eagan",
        "search_space=adversarial_nas",
        "checkpoint.every_seconds=0",
        "budget.generator_steps=28",
        "budget.architectures=null",
        "strategy.population_size=2",
        "strategy.generations=2",
        "final.generator_steps=8",
        "final.eval_every=8",
    ],
    "e2gan": [
        "strategy=e2gan",
        "strategy.least_memory=4",
        "checkpoint.every_seconds=0",
        "budget.generator_steps=45",
        "budget.architectures=9",
        "final.generator_steps=8",
        "final.eval_every=4",
    ],
    "train": [
        "architecture=autogan_c",
        "checkpoint.every_seconds=0",
        "training.generator_steps=60",
        "training.eval_every=15",
    ],
}


def _run(config: dict[str, Any], run_dir: str) -> None:
    outcome = run_config(config, Path(run_dir))
    assert outcome.status in ("completed", "already_completed")


def _start(config: dict[str, Any], run_dir: Path) -> BaseProcess:
    # The fork server has torch imported already: each resumption starts in a moment.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nasgan.engine", "nasgan.cli.compose"])
    process = context.Process(target=_run, args=(config, str(run_dir)))
    process.start()
    return process


def _wait_for_work(process: BaseProcess, run_dir: Path, checkpoints: int) -> None:
    """Until the process works and has written so many checkpoints of its own."""
    status = run_dir / "status.json"
    before = None
    while process.is_alive():
        if before is None and status.exists() and Status.read(status).pid == process.pid:
            before = _newest(run_dir)
        if before is not None and _newest(run_dir) >= before + checkpoints:
            return
        time.sleep(0.005)


def _wait_for_a_write(process: BaseProcess, run_dir: Path) -> None:
    """Until a checkpoint is half written: the kill that follows leaves it so, most of the time."""
    folder = str(run_dir / "checkpoints")
    while process.is_alive():
        if os.path.isdir(folder) and any(name.endswith(".tmp") for name in os.listdir(folder)):
            return


def _newest(run_dir: Path) -> int:
    """Number of the newest checkpoint, 0 for none."""
    names = [path.name for path in (run_dir / "checkpoints").glob("resume-*.pt")]
    return max((int(name[len("resume-") :].split(".")[0]) for name in names), default=0)


def _phase(run_dir: Path) -> str:
    """Where the run was killed."""
    if list((run_dir / "checkpoints").glob(".*.tmp")):
        return "writing a checkpoint"
    history = run_dir / "history.jsonl"
    if not history.exists():
        return "start"
    return "final" if '"phase":"final"' in history.read_text(errors="replace") else "search"


@pytest.mark.slow
@pytest.mark.parametrize("case", list(LONGER))
def test_a_run_killed_at_random_moments_ends_bit_identical(
    case: str, tiny: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    verb = "train" if case == "train" else "search"
    config = tiny(verb, *LONGER[case])
    moments = random.Random(20260101)

    whole = _start(config, tmp_path / "whole")
    whole.join()
    assert whole.exitcode == 0

    killed = tmp_path / "killed"
    seen: list[str] = []
    while len(seen) < KILLS:
        process = _start(config, killed)
        _wait_for_work(process, killed, checkpoints=moments.randrange(3))
        if moments.random() < 0.25:
            _wait_for_a_write(process, killed)
        else:
            process.join(timeout=moments.uniform(0.0, 0.5))
        if not process.is_alive():
            assert process.exitcode == 0
            break
        seen.append(_phase(killed))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert seen, "the run ended before it could be killed once: make it longer"

    last = _start(config, killed)
    last.join()
    assert last.exitcode == 0
    assert not list(killed.rglob(".*.tmp")), "a killed process's half-written file was left behind"
    assert fingerprint(killed) == fingerprint(tmp_path / "whole")
    print(f"{case}: killed {len(seen)} times: {dict(Counter(seen))}")
