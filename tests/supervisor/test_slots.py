"""Processes of this machine: killed, failing, and gone with the one that has started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import is_running

from nasgan.errors import NasganError
from nasgan.supervisor import Outcome, Piece, Retries, Slots, Supervisor, Work
from nasgan.supervisor.slots import _Process

HERE = Path(__file__).parent
WORK = "pieces_of_tests:work"


class Stage:
    """Two processes that the tests of this file share, and what is heard of their pieces."""

    def __init__(self) -> None:
        self.slots = Slots(2, threads=1, devices=["cpu", "meta"])
        self.supervisor = Supervisor(self.slots, Retries(attempts=2, losses=3))
        self.folder = Path()
        self.heard: dict[str, Outcome] = {}

    def begin(self, key: str, *do: str) -> Work:
        order = {"folder": str(self.folder), "key": key, "do": list(do)}
        piece = Piece(key, key, WORK, order)
        return self.supervisor.begin(piece, lambda outcome: self.heard.update({key: outcome}))

    def pid(self, key: str, attempt: int = 0) -> int:
        """The process of an attempt, once it has begun."""
        file = self.folder / f"{key}.begun{attempt}"
        while not file.exists() or not file.read_text():
            self.supervisor.advance(0.02)
        return int(file.read_text())

    def outcome(self, key: str) -> Outcome:
        while key not in self.heard:
            self.supervisor.advance(0.5)
        return self.heard[key]


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.supervisor.close()


@pytest.fixture
def stage(shared: Stage, tmp_path: Path) -> Stage:
    shared.folder = tmp_path
    shared.heard.clear()
    return shared


def test_pieces_are_done_side_by_side_each_on_the_device_of_its_place(stage: Stage) -> None:
    stage.begin("slow", "wait")
    first = stage.pid("slow")
    stage.begin("quick")
    quick = stage.outcome("quick").result
    (stage.folder / "slow.go").touch()
    slow = stage.outcome("slow").result
    assert first == slow["pid"] != quick["pid"]
    assert {slow["device"], quick["device"]} == {"cpu", "meta"}
    assert slow["threads"] == 1


def test_a_killed_process_costs_its_own_piece_time_and_no_other(stage: Stage) -> None:
    stage.begin("other", "wait")
    stage.begin("victim", "die", "die", "")
    untouched = stage.pid("other")
    assert stage.outcome("victim").retries == 2
    (stage.folder / "other.go").touch()
    assert stage.outcome("other").result["pid"] == untouched
    assert stage.outcome("other").retries == 0


def test_a_process_that_dies_idle_harms_nothing(stage: Stage) -> None:
    for number in range(3):
        stage.begin(f"before{number}")
        pid = stage.outcome(f"before{number}").result["pid"]
        os.kill(pid, signal.SIGKILL)
        stage.begin(f"after{number}")
        assert stage.outcome(f"after{number}").failure == ""


def test_an_error_of_its_own_is_begun_again_by_a_new_process(stage: Stage) -> None:
    stage.begin("bad", "raise", "raise")
    assert stage.outcome("bad").failure == "failed 2 times: ValueError: of its own"
    assert stage.pid("bad", 0) != stage.pid("bad", 1)


def test_a_dropped_piece_is_ended_at_once(stage: Stage) -> None:
    work = stage.begin("slow", "wait")
    pid = stage.pid("slow")
    stage.supervisor.drop(work)
    assert not is_running(pid)


def test_what_a_piece_prints_and_warns_of_stays_out_of_the_result(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.begin("warns", "warn")
    stage.begin("prints", "print")
    stage.outcome("warns")
    stage.outcome("prints")
    out, err = capfd.readouterr()
    assert out == ""
    assert "what a library has to say" not in err


def test_a_piece_tells_how_far_it_has_come(tmp_path: Path) -> None:
    supervisor = Supervisor(Slots(1), folder=tmp_path)
    heard: list[Outcome] = []
    order = {"folder": str(tmp_path), "key": "a", "do": ["progress"]}
    work = supervisor.begin(Piece("a", "a", WORK, order), heard.append)
    told = set()
    while not heard:
        supervisor.advance(0.2)
        told.add(work.progress)
    supervisor.close()
    assert told == {0, 41}
    assert not list(tmp_path.glob("*.life"))


def test_a_machine_without_room_for_another_process_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def start(self: _Process) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(_Process, "start", start)
    supervisor = Supervisor(Slots(3))
    supervisor.begin(Piece("a", "a", WORK), lambda outcome: None)
    with pytest.raises(NasganError, match=r"0 of 3 cannot be started: .*unavailable; lower"):
        supervisor.advance(0.1)
    supervisor.close()


PROGRAM = """
import sys
from contextlib import closing
sys.path.insert(0, {here!r})
from nasgan.supervisor import Piece, Slots, Supervisor
# Without a main guard: workers must not import this script again.
order = {{"folder": {folder!r}, "key": "a", "do": ["wait"]}}
with closing(Supervisor(Slots(1))) as supervisor:
    supervisor.begin(Piece("a", "a", {work!r}, order), print)
    while True:
        supervisor.advance(1.0)
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_one_that_started_it(
    sign: signal.Signals, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(here=str(HERE), folder=str(tmp_path), work=WORK))
    process = subprocess.Popen([sys.executable, str(program)], stderr=subprocess.DEVNULL)
    begun = tmp_path / "a.begun0"
    try:
        wait_until(lambda: begun.exists() and begun.read_text())
        worker = int(begun.read_text())
        assert is_running(worker)
        process.send_signal(sign)
        wait_until(lambda: not is_running(worker), 20.0)
    finally:
        process.kill()
        process.wait()


def test_ctrl_c_in_a_terminal_does_not_reach_the_processes(stage: Stage) -> None:
    stage.begin("slow", "wait")
    pid = stage.pid("slow")
    os.kill(pid, signal.SIGINT)
    assert os.getpgid(pid) != os.getpgid(0)
    (stage.folder / "slow.go").touch()
    assert stage.outcome("slow").retries == 0
