"""Tables made in other processes, here and on Ray: the same rows, whoever is killed."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import is_running
from table_rows import DESIGN, TINY, contents, table

from nasgan.cli.main import main
from nasgan.engine import table_worker
from nasgan.errors import ConfigError, MissingDependencyError
from nasgan.evaluation.executors import ProcessExecutor
from nasgan.state_files import Checkpoints
from nasgan.supervisor import Here
from nasgan.tabular.design import Training

LONGER = ["training.generator_steps=30", "training.eval_every=10", "checkpoint.every_seconds=0"]
GOES_ON = "going on from a checkpoint in"

on_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that nothing has stopped, made in this process."""
    folder = tmp_path_factory.mktemp("whole")
    table(folder, *LONGER)
    return folder


# Refused before anything is made


@pytest.fixture
def with_ray(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Call it, and Ray is installed, or is not."""
    find = importlib.util.find_spec

    def pretend(is_there: bool) -> None:
        def found(name: str, *package: str) -> Any:
            return (object() if is_there else None) if name == "ray" else find(name, *package)

        monkeypatch.setattr(importlib.util, "find_spec", found)

    return pretend


@pytest.mark.parametrize(
    ("executor", "setting", "message"),
    [
        ("processes", "executor.workers=0", "executor.workers must be at least 1"),
        ("processes", "executor.devices=cuda:99", "executor.devices: device=cuda:99"),
        ("processes", "executor.threads=2", "executor.threads=2: each training of a table takes"),
        ("ray", "executor.gpus=1", "compute on cuda, and all rows of this table are made on cpu"),
        ("ray", "executor.cpus=9999", "no machine of the Ray cluster has room .*'CPU': 9999"),
        ("ray", "executor.address=127.0.0.1:1", r"address=127\.0\.0\.1:1: nothing listens there"),
    ],
)
def test_workers_that_can_make_no_row_are_refused_before_anything_is_made(
    tmp_path: Path, with_ray: Callable[[bool], None], executor: str, setting: str, message: str
) -> None:
    with_ray(True)
    with pytest.raises(ConfigError, match=message):
        table(tmp_path / "new", setting, executor=executor)
    assert not (tmp_path / "new").exists()


def test_without_ray_a_table_says_how_to_get_it(
    tmp_path: Path, with_ray: Callable[[bool], None]
) -> None:
    with_ray(False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'nasgan\[ray\]'"):
        table(tmp_path / "new", executor="ray")
    assert not (tmp_path / "new").exists()


def test_the_number_of_workers_is_asked_for_at_the_executor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tabulate", *TINY, f"out={tmp_path / 'new'}", "workers=2"]) == 2
    assert "no setting 'workers'. Did you mean executor.workers?" in capsys.readouterr().err


# Whoever works


def test_the_executor_gives_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def places(executor: ProcessExecutor, *settings: Any) -> Here:
        asked.append((executor.workers, *settings))
        return Here()

    monkeypatch.setattr(ProcessExecutor, "places", places)
    few = ("design.architectures=1", "design.repeated=0")
    assert table(tmp_path, *few, "executor.workers=3", executor="processes").done == 2
    ((workers, device, threads, memory),) = asked
    assert (workers, device.type, threads) == (3, "cpu", 1)
    assert memory > 2**30, "how many fit a GPU goes by what one needs"


def test_the_timeout_of_the_executor_holds_for_each_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []
    piece_of = table_worker.piece_of

    def noting(*given: Any, timeout: float | None) -> Any:
        limits.append(timeout)
        return piece_of(*given, timeout=timeout)

    monkeypatch.setattr("nasgan.engine.tabulate.piece_of", noting)
    monkeypatch.setattr(ProcessExecutor, "places", lambda *_: Here())
    few = ("design.architectures=1", "design.repeated=0")
    table(tmp_path, *few, "executor.timeout=60", executor="processes")
    assert limits == [60.0, 60.0]


def test_a_machine_that_does_not_see_the_folder_makes_the_same_row_and_leaves_nothing(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    train = table_worker.train

    def elsewhere(config: Any, training: Training, folder: Path, *, device: str) -> Any:
        made.append(train(config, training, tmp_path / "elsewhere", device=device))
        return made[-1]

    monkeypatch.setattr(table_worker, "train", elsewhere)
    table(tmp_path / "table", *LONGER, "design.architectures=1", "design.repeated=0")
    assert "trainings and candidates that are lost there begin anew" in caplog.text
    assert not (tmp_path / "elsewhere").exists()
    rows = contents(tmp_path / "table")
    assert len(rows) == len(made) == 2
    assert rows == {key: row for key, row in contents(whole).items() if key in rows}


# Stopped and gone on with


def stopped(folder: Path, *overrides: str) -> None:
    """A table that is stopped when the first of its trainings has a checkpoint."""
    save = Checkpoints.save

    def stop(self: Checkpoints, state: Any) -> None:
        save(self, state)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            table(folder, *LONGER, *overrides)


@pytest.mark.ray
@on_ray
def test_a_shard_that_one_process_had_half_done_goes_on_with_ray(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopped(tmp_path, "shard=1/2")
    with caplog.at_level(logging.INFO):
        made = table(tmp_path, *LONGER, "shard=1/2", "executor.workers=1", executor="ray")
    assert caplog.text.count(GOES_ON) == 1
    assert 0 < made.done == made.wanted < 5
    assert not sys.modules["ray"].is_initialized()
    assert table(tmp_path, *LONGER, "shard=2/2").left == {}
    assert contents(tmp_path) == contents(whole)
    assert sorted(path.name for path in tmp_path.glob("rows-*")) == [
        "rows-1of2.jsonl",
        "rows-2of2.jsonl",
    ]


def _start(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nasgan", "tabulate", *TINY, *DESIGN, *LONGER]
    # A file and no pipe: services that Ray starts hold it open after the table.
    with (folder.parent / "err.txt").open("w") as err:
        return subprocess.Popen(
            [*command, f"out={folder}", "executor.workers=1", *overrides],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
            stdout=err,
            stderr=err,
        )


def _below(pid: int) -> list[int]:
    """What a process has started, and what those have."""
    try:
        files = list(Path(f"/proc/{pid}/task").glob("*/children"))
        children = [int(child) for file in files for child in file.read_text().split()]
    except OSError:
        return []
    return [*children, *(below for child in children for below in _below(child))]


def _trains(pid: int) -> bool:
    """Whether it is a worker of Ray's, which are named after what they do."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::do_elsewhere")
    except OSError:
        return False


def _wait_until(condition: Callable[[], object], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _attempts(folder: Path) -> set[Path]:
    """Those that have a checkpoint."""
    return {path.parent for path in (folder / "under_way").glob("*/attempt-*/resume-*.pt")}


def _started_and_ended(
    folder: Path, sign: signal.Signals, *overrides: str, loses_a_worker: bool = False
) -> tuple[int, str]:
    """End a table that is under way; none of its processes may outlive it."""
    before = _attempts(folder)
    process = _start(folder, *overrides)
    try:
        _wait_until(lambda: _attempts(folder) - before or process.poll() is not None)
        if loses_a_worker:
            known = _attempts(folder)
            for pid in filter(_trains, _below(process.pid)):
                os.kill(pid, signal.SIGKILL)
            _wait_until(lambda: _attempts(folder) - known or process.poll() is not None)
        workers = _below(process.pid)
        assert len(workers) >= 2
        process.send_signal(sign)
        process.wait(120)
    finally:
        process.kill()
    _wait_until(lambda: not any(map(is_running, workers)), 60.0)
    return process.returncode, (folder.parent / "err.txt").read_text()


def _ends_as(killed: Path, whole: Path, caplog: pytest.LogCaptureFixture, *overrides: str) -> None:
    """What was killed goes on in this process, from a checkpoint, to the rows of ``whole``."""
    interrupted = len(contents(killed))
    with caplog.at_level(logging.INFO):
        table(killed, *LONGER, *overrides)
    assert interrupted < 5
    assert GOES_ON in caplog.text, "none was resumed from its middle"
    assert contents(killed) == contents(whole)
    assert not list((killed / "under_way").glob("*"))


@pytest.mark.slow
@on_linux
def test_killed_at_any_moment_it_goes_on_to_the_same_rows(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed = tmp_path / "killed"
    _started_and_ended(killed, signal.SIGKILL)
    code, message = _started_and_ended(killed, signal.SIGTERM)
    assert code == 130
    assert "the same command resumes" in message
    _ends_as(killed, whole, caplog)


@pytest.mark.slow
@pytest.mark.ray
@on_ray
@on_linux
def test_on_ray_a_worker_and_then_the_table_are_ended_and_it_goes_on_to_the_same_rows(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed = tmp_path / "killed"
    code, message = _started_and_ended(killed, signal.SIGTERM, "executor=ray", loses_a_worker=True)
    assert "is begun again: its worker is gone" in message
    assert message.splitlines()[-1] == "error: interrupted; the same command resumes"
    assert code == 130
    _ends_as(killed, whole, caplog)
