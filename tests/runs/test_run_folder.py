"""What processes do to one run's folder: the lock and the status."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from nasgan.errors import ConfigError, RunDirectoryError, StorageError
from nasgan.runs.folder import LOCK_FILE, RunLock
from nasgan.runs.status import Status

_HOLD = """
import sys, time
from nasgan.runs.folder import RunLock
lock = RunLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""
_FORK = """
import os, sys, time
from nasgan.runs.folder import RunLock
lock = RunLock(sys.argv[1])
lock.acquire()
if os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(60)
time.sleep(60)
"""


def _start(program: str, folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_second_process_is_refused_by_the_first_ones_id(tmp_path: Path) -> None:
    holder, _ = _start(_HOLD, tmp_path)
    try:
        with pytest.raises(RunDirectoryError, match=f"process {holder.pid} is running"):
            RunLock(tmp_path).acquire()
    finally:
        holder.kill()
        holder.communicate()
    # Killed, not released: the lock went with the process.
    with RunLock(tmp_path):
        pass


def test_a_lock_that_is_held_for_a_moment_can_be_waited_for(tmp_path: Path) -> None:
    held = RunLock(tmp_path)
    held.acquire()
    with pytest.raises(RunDirectoryError, match=r"is running in this folder.*with run_dir="):
        RunLock(tmp_path, patience=0.1).acquire()
    Timer(0.1, held.release).start()
    with RunLock(tmp_path, patience=60.0), pytest.raises(RunDirectoryError):
        RunLock(tmp_path).acquire()


def test_a_lock_file_that_goes_meanwhile_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def flock_late(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        (tmp_path / LOCK_FILE).unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    with RunLock(tmp_path), pytest.raises(RunDirectoryError):
        RunLock(tmp_path).acquire()


def test_a_forked_child_does_not_keep_the_lock_of_its_killed_parent(tmp_path: Path) -> None:
    parent, child = _start(_FORK, tmp_path)
    try:
        parent.kill()
        parent.wait()
        with RunLock(tmp_path):
            pass
    finally:
        os.kill(int(child), signal.SIGKILL)
        parent.communicate()


def test_a_lock_is_free_again_after_its_release(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path / "new"), RunLock(tmp_path / "new")
    with first, pytest.raises(RunDirectoryError, match=str(os.getpid())):
        second.acquire()
    with second:
        pass
    second.release()


def test_an_impossible_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        RunLock(tmp_path / "file").acquire()


def test_a_status_reads_back(tmp_path: Path) -> None:
    status = Status("search", message="supernet 3/9", progress=1.0 + 1e-9)
    assert status.progress == 1.0
    later = status.updated_with(state="completed", phase="final")
    later.write(tmp_path / "status.json")
    read = Status.read(tmp_path / "status.json")
    assert read == later
    assert (read.pid, read.started) == (os.getpid(), status.started)
    assert read.updated >= status.updated


def test_wrong_statuses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"status\.state"):
        Status("search", state="done")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"status\.progress"):
        Status("search", progress=float("nan"))
    path = tmp_path / "status.json"
    for content in ("", "[]", '{"phase": "search"}'):
        path.write_text(content)
        with pytest.raises(RunDirectoryError, match="cannot read this status"):
            Status.read(path)
    with pytest.raises(RunDirectoryError, match="cannot read this status"):
        Status.read(tmp_path / "missing.json")
