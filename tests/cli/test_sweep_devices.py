"""Which device each job of a sweep gets, for machines with any number of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import nasgan.engine
from nasgan.cli import hydra_job, sweep
from nasgan.cli.main import main
from nasgan.cli.sweep import share_of_devices


def chosen(held: ExitStack, number: int, folder: Path, devices: int) -> str:
    names = [f"GPU-{index}" for index in range(devices)]
    return held.enter_context(share_of_devices(number, folder, names=lambda: names))


@pytest.mark.parametrize("devices", [0, 1])
def test_nothing_is_chosen_where_there_is_no_choice(devices: int, tmp_path: Path) -> None:
    with ExitStack() as held:
        assert [chosen(held, job, tmp_path, devices) for job in range(3)] == [""] * 3


def test_jobs_that_run_at_once_get_devices_of_their_own(tmp_path: Path) -> None:
    with ExitStack() as held:
        found = [chosen(held, job, tmp_path, 4) for job in range(4)]
    assert found == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]


def test_a_job_takes_the_device_that_is_free_and_not_the_next_in_turn(tmp_path: Path) -> None:
    with ExitStack() as first, ExitStack() as second:
        assert chosen(first, 0, tmp_path, 2) == "cuda:0"
        assert chosen(second, 1, tmp_path, 2) == "cuda:1"
        second.close()  # job 1 has ended, job 0 goes on
        assert chosen(second, 2, tmp_path, 2) == "cuda:1"


def test_more_jobs_than_devices_share_them_evenly(tmp_path: Path) -> None:
    with ExitStack() as held:
        found = [chosen(held, job, tmp_path, 2) for job in range(6)]
    assert sorted(found) == ["cuda:0"] * 3 + ["cuda:1"] * 3


def test_without_a_place_for_locks_devices_go_by_the_number_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with ExitStack() as held:
        assert [chosen(held, job, tmp_path / "file", 2) for job in range(3)] == [
            "cuda:0",
            "cuda:1",
            "cuda:0",
        ]


def test_two_sweeps_of_a_user_share_the_devices_however_each_counts_them(tmp_path: Path) -> None:
    with ExitStack() as held:
        assert chosen(held, 0, tmp_path, 2) == "cuda:0"
        # Another sweep, whose processes see the second device as their first.
        names = ["GPU-1", "GPU-0"]
        other = held.enter_context(share_of_devices(0, tmp_path, names=lambda: names))
        assert other == "cuda:0"
        third = held.enter_context(share_of_devices(0, tmp_path, names=lambda: ["GPU-0", "GPU-2"]))
        assert third == "cuda:1"


@pytest.mark.parametrize(
    ("count", "device", "expected"),
    [
        (2, "auto", ["cuda:0", "cuda:1", "cuda:0"]),
        (2, "cuda", ["cuda:0", "cuda:1", "cuda:0"]),
        (2, "cuda:1", ["cuda:1"] * 3),
        (2, "cpu", ["cpu"] * 3),
        (1, "auto", ["auto"] * 3),
        (1, "cuda", ["cuda"] * 3),
    ],
)
def test_the_jobs_of_a_parallel_sweep_run_on_them(
    count: int,
    device: str,
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        pytest.skip("hydra-joblib-launcher is not installed")
    found = []

    class Done:
        status = "completed"
        summary_lines = ()
        failure = ""

    def engine(config: dict[str, Any], folder: Path) -> Any:
        found.append(config["device"])
        return Done()

    def call_here(
        function: Callable[[Any], None], argument: Any, output: Path, *, starter: int
    ) -> str:
        assert starter == os.getpid()
        function(json.loads(json.dumps(argument)))
        return ""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "_cuda_devices", lambda: [f"GPU-{k}" for k in range(count)])
    monkeypatch.setenv("NASGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hydra_job, "call_in_process", call_here)
    monkeypatch.setattr(nasgan.engine, "bind", lambda config: config)
    monkeypatch.setattr(nasgan.engine, "run", engine)
    # One job at a time: joblib then runs them in this process.
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]
    assert main(["search", "-m", "seed=0,1,2", f"device={device}", *launcher]) == 0
    assert found == expected
