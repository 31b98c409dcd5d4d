"""Functions called in processes of their own: what they print, how they end, and when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from processes import is_running

from nasgan.cli.separate_process import call_in_process


def speak(argument: dict[str, Any]) -> None:
    print(argument["word"])
    print(os.getpid(), file=sys.stderr)


def leave(argument: dict[str, Any]) -> None:
    sys.exit(argument["code"])


def fail(argument: dict[str, Any]) -> None:
    raise ValueError(argument["word"])


def end_by(argument: dict[str, Any]) -> None:
    os.kill(os.getpid(), argument["signal"])


def hang(argument: dict[str, Any]) -> None:
    Path(argument["pid_file"]).write_text(str(os.getpid()))
    time.sleep(60)


def test_it_runs_in_another_process_and_adds_to_the_file(tmp_path: Path) -> None:
    output = tmp_path / "new" / "console.log"
    assert call_in_process(speak, {"word": "one"}, output) == ""
    assert call_in_process(speak, {"word": "two"}, output) == ""
    words = output.read_text().split()
    assert [word for word in words if not word.isdigit()] == ["one", "two"]
    pids = {int(word) for word in words if word.isdigit()}
    assert len(pids | {os.getpid()}) == 3


def test_without_a_file_it_prints_here(capfd: pytest.CaptureFixture[str]) -> None:
    assert call_in_process(speak, {"word": "here"}) == ""
    assert capfd.readouterr().out == "here\n"


def test_an_error_is_told_and_its_traceback_kept(tmp_path: Path) -> None:
    assert "exit code 3" in call_in_process(leave, {"code": 3}, tmp_path / "log")
    assert "exit code 1" in call_in_process(fail, {"word": "a bug"}, tmp_path / "log")
    assert "ValueError: a bug" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGKILL, "SIGKILL (out of memory?)"), (signal.SIGSEGV, "SIGSEGV;")],
)
def test_a_death_is_told(number: int, words: str, tmp_path: Path) -> None:
    assert words in call_in_process(end_by, {"signal": int(number)}, tmp_path / "log")


def test_signals_for_the_caller_are_left_to_it(tmp_path: Path) -> None:
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        assert call_in_process(end_by, {"signal": int(number)}, tmp_path / "log") == ""


def test_slurm_ends_its_own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert "SIGTERM" in call_in_process(end_by, {"signal": int(signal.SIGTERM)}, tmp_path / "log")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert call_in_process(end_by, {"signal": int(signal.SIGTERM)}, tmp_path / "log") == ""


CALLER = """
import sys
sys.path[:0] = {folders!r}
from nasgan.cli.separate_process import call_in_process
from test_separate_process import {work}
call_in_process({work}, {{"pid_file": {pid_file!r}}})
"""


def say_how_it_ends(argument):
    """Hangs, and leaves a word of what has ended it."""
    import contextlib

    Path(argument["pid_file"]).write_text(str(os.getpid()))
    with contextlib.suppress(KeyboardInterrupt):
        time.sleep(60)
    Path(argument["pid_file"]).with_name("interrupted").touch()


def _caller(work: str, pid_file: Path) -> str:
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    return CALLER.format(folders=folders, work=work, pid_file=str(pid_file))


def _end_the_caller_of(work: str, how: int, pid_file: Path) -> None:
    """End the process that has another one do ``work``, and wait for that one's end."""
    program = _caller(work, pid_file)
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as caller:
        while not (pid_file.exists() and pid_file.read_text()):
            assert caller.poll() is None
            time.sleep(0.02)
        os.kill(caller.pid, how)
    _wait_until_gone(int(pid_file.read_text()))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_it_is_interrupted_when_its_caller_ends_and_has_time_to_say_so(
    how: int, tmp_path: Path
) -> None:
    _end_the_caller_of("say_how_it_ends", how, tmp_path / "pid")
    assert (tmp_path / "interrupted").exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_its_caller(how: int, tmp_path: Path) -> None:
    _end_the_caller_of("hang", how, tmp_path / "pid")


STARTER = """
import os, subprocess, sys
caller = subprocess.Popen([sys.executable, "-c", {program!r}, str(os.getpid())])
print(caller.pid, flush=True)
caller.wait()
"""


def test_it_ends_with_the_process_that_has_started_its_caller(tmp_path: Path) -> None:
    """As a launcher's processes outlive a sweep that is killed."""
    pid_file = tmp_path / "pid"
    program = _caller("hang", pid_file)
    program = program.rstrip()[:-1] + ", starter=int(sys.argv[1]))"
    command = [sys.executable, "-c", STARTER.format(program=program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        caller = int(starter.stdout.readline())
        while not (pid_file.exists() and pid_file.read_text()):
            assert starter.poll() is None
            time.sleep(0.02)
        starter.kill()
    _wait_until_gone(int(pid_file.read_text()))
    _wait_until_gone(caller)


def test_a_starter_that_is_not_the_parent_is_not_waited_for() -> None:
    assert call_in_process(speak, {"word": "here"}, starter=os.getpid()) == ""


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < deadline, "the process goes on alone"
        time.sleep(0.02)
