"""Real sweeps with each of Hydra's launchers that is installed: failures, deaths, reruns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fake_slurm
import pytest

from nasgan.runs.record import RunRecord
from nasgan.runs.status import Status

_PACKAGES = {"basic": "hydra", "joblib": "hydra_plugins.hydra_joblib_launcher"}
_PACKAGES["submitit_local"] = "hydra_plugins.hydra_submitit_launcher"
_PACKAGES["ray"] = "hydra_plugins.hydra_ray_launcher"
_SETTINGS = {
    "joblib": ["hydra.launcher.n_jobs=2"],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2"],
}
_LAUNCHERS = [
    pytest.param(name, marks=pytest.mark.ray) if name == "ray" else name for name in _PACKAGES
]

_RUN = [
    "+experiment=debug/tiny",
    "trainer.n_critic=1",
    "trainer.health.check_every=1",
    "final.random_architectures=0",
    "budget.generator_steps=40",  # long enough to be killed
    "checkpoint.every_seconds=0.1",
    "threads=1",
    "device=cpu",
]
# The first breaks down at its first step: the loss may not exceed the number.
_BAD, _GOOD, _KILLED = 1, 10000, 10001
# A process takes seconds: what breaks down in one ends the same way with every launcher that has
# them.
_SEEDS = {"submitit_local": (_GOOD, _KILLED)}


def _start(folder: Path, launcher: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "nasgan", "search", "-m", *arguments]
    # A file and no pipe: services that Ray starts hold it open after the sweep.
    with (folder / "out.txt").open("w") as out:
        return subprocess.Popen(
            [*command, f"hydra/launcher={launcher}", *_SETTINGS.get(launcher, [])],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def _statuses(out: str) -> dict[int, str]:
    """By seed what the table says."""
    table = out[out.index("Sweep of") :].splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table]
    return {int(row[1]): " ".join(row[2:]) for row in rows if row[0].isdigit()}


def _folder(tmp_path: Path, seed: int) -> Path:
    return next(tmp_path.glob(f"outputs/search/*/seed{seed}"), tmp_path / "nowhere")


def _process_of_the_run(sweep: subprocess.Popen[bytes], tmp_path: Path, seed: int) -> int:
    """Its number, once there is a checkpoint to resume from."""
    while sweep.poll() is None:
        folder = _folder(tmp_path, seed)
        if list(folder.glob("checkpoints/resume-*.pt")):
            return Status.read(folder / "status.json").pid
        time.sleep(0.01)
    raise AssertionError((tmp_path / "out.txt").read_text())


def _record(tmp_path: Path, seed: int) -> dict[str, Any]:
    return RunRecord.read(_folder(tmp_path, seed) / "record.json").to_json()


def _is_installed(launcher: str) -> bool:
    package = _PACKAGES[launcher]
    return find_spec(package.partition(".")[0]) is not None and find_spec(package) is not None


@pytest.mark.slow
@pytest.mark.parametrize("launcher", _LAUNCHERS)
def test_a_sweep_outlives_its_jobs_and_a_rerun_completes_it(launcher: str, tmp_path: Path) -> None:
    if not _is_installed(launcher):
        pytest.skip(f"hydra/launcher={launcher} is not installed")
    has_processes = launcher != "basic"
    folder = tmp_path / "a folder, with=signs"
    folder.mkdir()
    seeds = _SEEDS.get(launcher, (_BAD, _GOOD, _KILLED))
    sweep = [*_RUN, f"seed={','.join(map(str, seeds))}", "trainer.health.max_loss=${seed}"]

    first = _start(folder, launcher, *sweep)
    if has_processes:
        # As the operating system does when memory runs out.
        os.kill(_process_of_the_run(first, folder, _KILLED), signal.SIGKILL)
    first.wait()
    out = (folder / "out.txt").read_text()
    found = _statuses(out)
    assert first.returncode == 1, out
    assert found[_GOOD].startswith("completed"), out
    if has_processes:
        assert "SIGKILL (out of memory?)" in found[_KILLED], out
        assert out.index("SIGKILL") < out.index("Sweep of"), "a failure is not for the end alone"
    whole = _record(folder, _GOOD)
    if _BAD in seeds:
        assert "diverged" in found[_BAD], out
        assert out.index("diverged") < out.index("Sweep of"), "a failure is not for the end alone"
        failed = _record(folder, _BAD)

    again = _start(folder, launcher, *sweep, "retry_failed=true")
    again.wait()
    out = (folder / "out.txt").read_text()
    found = _statuses(out)
    assert again.returncode == int(_BAD in seeds), "what breaks down does so again"
    assert found[_GOOD].startswith("finished before"), out
    assert found[_KILLED].startswith("completed" if has_processes else "finished before"), out
    assert _record(folder, _GOOD) == whole
    assert _record(folder, _KILLED)["status"] == "completed"
    if _BAD in seeds:
        assert "diverged" in found[_BAD], out
        assert _record(folder, _BAD)["ended"] > failed["ended"], "retried"
    assert not list(folder.rglob(".sweep-*"))
    assert not list(folder.rglob("*.tmp"))
    if has_processes:
        console = (_folder(folder, _KILLED) / "console.log").read_text()
        assert "resuming from the last checkpoint" in console


@pytest.mark.slow
def test_slurm_runs_a_sweep_and_what_it_stops_goes_on_from_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not _is_installed("submitit_local"):
        pytest.skip("hydra-submitit-launcher is not installed")
    fake_slurm.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    sweep = _start(tmp_path, "slurm", *_RUN, "seed=0,1", "hydra.launcher.partition=gpu")
    run = _process_of_the_run(sweep, tmp_path, seed=1)
    task = int(Path(f"/proc/{run}/stat").read_text().rpartition(")")[2].split()[1])
    for number in (signal.SIGTERM, signal.SIGUSR2):  # as Slurm does before it takes the machine
        os.kill(run, number)
        os.kill(task, number)
    sweep.wait()

    out = (tmp_path / "out.txt").read_text()
    assert sweep.returncode == 0, out
    assert "Sweep of 2 jobs: 2 completed" in out
    assert (tmp_path / "bin" / "requeued.txt").read_text() == "7_1\n"
    console = (_folder(tmp_path, 1) / "console.log").read_text()
    assert "resuming from the last checkpoint" in console
    script = (tmp_path / "bin" / "array.sh").read_text().splitlines()
    options = {"gpus-per-node=1", "cpus-per-task=4", "mem=32GB", "time=240", "partition=gpu"}
    assert {f"#SBATCH --{option}" for option in options} <= set(script)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", _LAUNCHERS)
def test_after_ctrl_c_every_run_says_that_it_was_interrupted(launcher: str, tmp_path: Path) -> None:
    if not _is_installed(launcher):
        pytest.skip(f"hydra/launcher={launcher} is not installed")
    command = [sys.executable, "-m", "nasgan", "search", "-m", *_RUN, "seed=1,2"]
    longer = ["budget.generator_steps=100000", "budget.architectures=100000"]
    with (tmp_path / "out.txt").open("w") as out:
        sweep = subprocess.Popen(
            [*command, *longer, f"hydra/launcher={launcher}", *_SETTINGS.get(launcher, [])],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=out,
            stderr=subprocess.STDOUT,
            # A group of its own, as a terminal gives it.
            start_new_session=True,
        )
    seeds = (1,) if launcher == "basic" else (1, 2)
    try:
        pids = [_process_of_the_run(sweep, tmp_path, seed) for seed in seeds]
        os.killpg(sweep.pid, signal.SIGINT)
        sweep.wait(120)
    finally:
        sweep.kill()
    end = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.1)
    states = [Status.read(_folder(tmp_path, seed) / "status.json").state for seed in seeds]
    assert states == ["interrupted"] * len(seeds), (tmp_path / "out.txt").read_text()
