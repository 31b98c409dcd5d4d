"""Sweeps of four runs killed with all their processes at random moments, and started again.

NASGAN_KILLS sets how often; if it is set, sweeps with joblib are killed too.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from run_comparison import fingerprint

from nasgan.cli.main import main
from nasgan.runs.record import RunRecord

KILLS = int(os.environ.get("NASGAN_KILLS", "2"))

RUNS = 4
_SWEEP = [
    "+experiment=debug/tiny",
    "strategy=random,adversarial",
    "search_space=autogan,baselines",
    "seed=1",
    "trainer.n_critic=1",
    "checkpoint.every_seconds=0.1",
    "threads=1",
    "device=cpu",
]
_LAUNCHERS = {"basic": [], "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]}


def _sweep(folder: str, arguments: list[str]) -> None:
    os.setsid()  # a group of its own, so that the kill meets its processes and no other
    os.chdir(folder)
    with open("sweep.log", "a") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    sys.exit(main(["search", "-m", *_SWEEP, *arguments]))


def _start(folder: Path, arguments: list[str]) -> BaseProcess:
    folder.mkdir(exist_ok=True)
    # The fork server has torch imported already: each start takes a moment.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nasgan.engine", "nasgan.cli.compose"])
    process = context.Process(target=_sweep, args=(str(folder), arguments))
    process.start()
    assert process.pid is not None
    while process.is_alive() and os.getpgid(process.pid) != process.pid:
        time.sleep(0.001)
    return process


def _runs(folder: Path) -> dict[str, Path]:
    found = folder.glob("outputs/search/*/seed*")
    return {path.relative_to(folder).as_posix(): path for path in found}


def _finished(folder: Path) -> int:
    return len(list(folder.glob("outputs/search/*/seed*/record.json")))


def _begun(folder: Path) -> int:
    return len(list(folder.glob("outputs/search/*/seed*/run.json")))


def _is_beyond_its_checkpoint(folder: Path) -> bool:
    """Whether a run would be resumed from some way back; those that ended have no checkpoint."""
    for checkpoint in folder.glob("outputs/search/*/seed*/checkpoints/resume-*.pt"):
        # Either file may go or be replaced at any moment.
        with suppress(FileNotFoundError):
            history = checkpoint.parents[1] / "history.jsonl"
            if history.stat().st_mtime_ns > checkpoint.stat().st_mtime_ns:
                return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("launcher", list(_LAUNCHERS))
def test_runs_killed_at_random_end_as_correct_records(launcher: str, tmp_path: Path) -> None:
    if launcher == "joblib" and "NASGAN_KILLS" not in os.environ:
        pytest.skip("every start of a run takes seconds: set NASGAN_KILLS")
    if launcher == "joblib" and find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        pytest.skip("hydra-joblib-launcher is not installed")
    arguments = _LAUNCHERS[launcher]
    moments = random.Random(20260103)

    whole = _start(tmp_path / "whole", [])
    whole.join()
    assert whole.exitcode == 0, (tmp_path / "whole" / "sweep.log").read_text()

    killed = tmp_path / "killed"
    seen: list[tuple[int, int]] = []
    while len(seen) < KILLS:
        # Spread over the sweep: each time some runs further.
        goal = min(RUNS - 1, RUNS * len(seen) // KILLS + moments.randrange(2))
        process = _start(killed, arguments)
        while process.is_alive():
            if _begun(killed) > goal and _is_beyond_its_checkpoint(killed):
                break
            time.sleep(0.005)
        # The first loses steps for certain, the others may meet the end of a run or the next one.
        process.join(timeout=moments.uniform(0.0, 0.7) if seen else 0.0)
        if not process.is_alive():
            break
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        seen.append((_finished(killed), _begun(killed)))
    assert seen, "the sweep ended before it could be killed once"

    last = _start(killed, arguments)
    last.join()
    log = (killed / "sweep.log").read_text()
    assert last.exitcode == 0, log
    # What runs of their own processes say is not in the sweep's log.
    own = [(path / "search.log").read_text() for path in _runs(killed).values()]
    resumed = sum(text.count("resuming from the last checkpoint") for text in own)
    assert resumed > 0, own
    assert f"Sweep of {RUNS} jobs" in log[log.rindex("Sweep of") :]
    assert _runs(killed).keys() == _runs(tmp_path / "whole").keys()
    assert len(_runs(killed)) == RUNS
    for name, path in _runs(killed).items():
        assert RunRecord.read(path / "record.json").status == "completed"
        assert fingerprint(path) == fingerprint(tmp_path / "whole" / name), name
    assert not list(killed.rglob("*.tmp"))
    print(f"{launcher}: killed {len(seen)} times with (finished, begun) runs: {seen}")
    print(f"{resumed} runs resumed")


def _search(folder: str, run_dir: str, codes: multiprocessing.Queue[int]) -> None:
    os.chdir(folder)
    with open(f"{os.getpid()}.log", "w") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    settings = [argument for argument in _SWEEP if "," not in argument]
    codes.put(main(["search", *settings, "budget.generator_steps=100", f"run_dir={run_dir}"]))


@pytest.mark.slow
def test_a_run_started_twice_at_once_runs_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nasgan.engine", "nasgan.cli.compose"])
    codes = context.Queue()
    both = [context.Process(target=_search, args=(str(tmp_path), "run", codes)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    logs = [path.read_text() for path in tmp_path.glob("*.log")]
    assert sorted([codes.get(), codes.get()]) == [0, 2], logs
    refused = [log for log in logs if "is running in this folder" in log]
    assert len(refused) == 1, logs
    assert "wait for it, stop it, or choose another folder" in refused[0]
    assert "Traceback" not in refused[0]
    assert RunRecord.read(tmp_path / "run" / "record.json").status == "completed"
