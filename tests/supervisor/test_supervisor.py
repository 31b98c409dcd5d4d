"""The ledger of pieces: by whose fault an attempt ended, and when the piece is begun again."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from nasgan.errors import DatasetError, NasganError
from nasgan.supervisor import Here, Outcome, Piece, Places, Retries, Supervisor, results_of
from nasgan.supervisor.pieces import do


class Clock:
    """Time that passes by sleeping, or as the test says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Pretended(Places):
    """The test says how attempts end, by their number from 1."""

    def __init__(self, size: int = 1) -> None:
        self.room = size
        self.begun: dict[int, dict[str, Any]] = {}
        self.sent: list[tuple[int, dict[str, Any]]] = []
        self.ended: list[int] = []

    @property
    def size(self) -> int:
        return self.room

    def begin(self, ticket: int, request: Any) -> None:
        self.begun[ticket] = dict(request)

    def wait(self, seconds: float) -> list[tuple[int, dict[str, Any]]]:
        sent, self.sent = self.sent, []
        return sent

    def end(self, ticket: int) -> None:
        self.ended.append(ticket)


LOST = {"kind": "lost", "reason": "the machine is gone"}
FAILED = {"kind": "failed", "reason": "ValueError: wrong", "trace": "Traceback", "cost": {"a": 1}}
DONE = {"kind": "done", "result": 7}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("nasgan.supervisor.supervisor.time", clock)
    return clock


class Stage:
    """A supervisor whose places only pretend, and what it has heard."""

    def __init__(self, size: int = 1, folder: Path | None = None, **retries: int) -> None:
        self.places = Pretended(size)
        self.supervisor = Supervisor(self.places, Retries(**retries), folder=folder)
        self.heard: list[tuple[str, Outcome]] = []

    def begin(self, key: str, *, background: bool = False, **more: Any) -> Any:
        piece = Piece(key, f"the piece {key}", "nowhere:work", **more)
        return self.supervisor.begin(
            piece, lambda outcome: self.heard.append((key, outcome)), background=background
        )

    def end(self, ticket: int, message: dict[str, Any]) -> None:
        self.places.sent.append((ticket, message))
        self.supervisor.advance(0.0)


def test_a_loss_is_no_fault_of_the_piece_and_its_own_error_is(clock: Clock) -> None:
    stage = Stage(attempts=2, losses=5)
    stage.begin("a")
    stage.supervisor.advance(0.0)
    for ticket in range(1, 5):
        stage.end(ticket, LOST)
        clock.now += 60
        stage.supervisor.advance(0.0)
    assert stage.heard == []
    stage.end(5, FAILED)
    assert stage.heard == []
    stage.end(6, FAILED)
    ((_, outcome),) = stage.heard
    assert outcome.failure == "failed 6 times: the machine is gone; ValueError: wrong"
    assert outcome.cost == {"a": 1}


def test_pauses_between_losses_grow_and_the_first_has_none(clock: Clock) -> None:
    stage = Stage(losses=20)
    stage.begin("a")
    stage.supervisor.advance(0.0)
    pauses = []
    for ticket in range(1, 12):
        stage.end(ticket, LOST)
        lost_at = clock.now
        while len(stage.places.begun) == ticket:
            stage.supervisor.advance(1000.0)
        pauses.append(clock.now - lost_at)
    assert pauses[:5] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == 60.0


def test_a_piece_that_comes_further_each_time_is_never_given_up(
    clock: Clock, tmp_path: Path
) -> None:
    stage = Stage(losses=1, folder=tmp_path)
    work = stage.begin("a")
    stage.supervisor.advance(0.0)
    for ticket in range(1, 9):
        Path(stage.places.begun[ticket]["life"]).write_text(f"1 {100 * ticket}")
        clock.now += 5
        stage.supervisor.advance(0.0)
        assert work.progress == 100 * ticket
        stage.end(ticket, LOST)
    assert stage.heard == []
    # No further than before: a second loss in a row.
    stage.end(9, LOST)
    assert stage.heard[0][1].failure.startswith("failed 9 times")
    assert list(tmp_path.iterdir()) == [], "no file is left"


def test_the_folder_for_signs_of_life_is_there_before_the_first_piece(tmp_path: Path) -> None:
    stage = Stage(folder=tmp_path / "checkpoints" / "candidates")
    stage.begin("a")
    stage.supervisor.fill()
    assert Path(stage.places.begun[1]["life"]).parent.is_dir()


def test_a_piece_without_signs_of_life_is_begun_elsewhere_by_another_name(
    clock: Clock, tmp_path: Path
) -> None:
    stage = Stage(folder=tmp_path)
    stage.places.queues = True
    stage.begin("a")
    stage.supervisor.advance(0.0)
    clock.now += 10_000
    stage.supervisor.advance(0.0)
    assert stage.places.ended == [], "it may wait for its turn on a cluster"
    life = Path(stage.places.begun[1]["life"])
    for count in range(1, 4):
        life.write_text(f"{count} 0")
        clock.now += 170
        stage.supervisor.advance(0.0)
    assert stage.places.ended == []
    clock.now += 181
    stage.supervisor.advance(0.0)
    assert stage.places.ended == [1]
    assert stage.places.begun[2]["life"] != str(life)
    # The copy that was thought to be dead is not heard.
    stage.end(1, DONE)
    assert stage.heard == []
    stage.end(2, DONE)
    assert stage.heard[0][1].result == 7


def test_a_worker_of_this_machine_that_hangs_before_its_first_sign_of_life_is_lost(
    clock: Clock, tmp_path: Path
) -> None:
    stage = Stage(losses=1, folder=tmp_path)
    stage.begin("a")
    stage.supervisor.advance(0.0)
    clock.now += 179
    stage.supervisor.advance(0.0)
    assert stage.places.ended == [], "torch is slow to import on a busy machine"
    clock.now += 2
    stage.supervisor.advance(0.0)
    assert stage.places.ended == [1]
    # What it has done meanwhile is heard, although the file was never seen.
    clock.now += 500
    stage.end(2, DONE)
    assert (stage.places.ended, stage.heard[0][1].result) == ([1], 7)


def test_room_that_is_reserved_for_this_process_stays_free(clock: Clock) -> None:
    stage = Stage(size=2)
    stage.supervisor.reserve = 1
    for key in "abc":
        stage.begin(key)
    stage.supervisor.advance(0.0)
    assert (stage.supervisor.size, len(stage.places.begun)) == (1, 1)
    stage.supervisor.reserve = 0
    stage.supervisor.advance(0.0)
    assert len(stage.places.begun) == 2
    stage.places.room = 3
    stage.supervisor.advance(0.0)
    assert len(stage.places.begun) == 3


def test_the_background_goes_last_and_has_no_more_places_than_it_may(clock: Clock) -> None:
    stage = Stage(size=4)
    stage.supervisor.most_in_background = 2
    works = [stage.begin(f"background {k}", background=True) for k in range(4)]
    stage.supervisor.advance(0.0)
    assert [work.ticket is not None for work in works] == [True, True, False, False]
    ours = [stage.begin(f"piece {k}") for k in range(3)]
    stage.supervisor.advance(0.0)
    assert [work.ticket is not None for work in ours] == [True, True, False]
    stage.end(1, DONE)
    assert ours[2].ticket is not None
    assert [work.ticket is not None for work in works[2:]] == [False, False]
    stage.supervisor.most_in_background = None
    stage.end(2, DONE)
    assert works[2].ticket is not None


def test_a_piece_that_waits_for_its_turn_elsewhere_takes_no_time(
    clock: Clock, tmp_path: Path
) -> None:
    stage = Stage(attempts=1, folder=tmp_path)
    stage.places.queues = True
    work = stage.begin("a", timeout=5.0)
    stage.supervisor.advance(0.0)
    clock.now += 1000
    stage.supervisor.advance(0.0)
    assert (work.seconds, stage.heard) == (0.0, [])
    Path(stage.places.begun[1]["life"]).write_text("1 0")
    clock.now += 2
    stage.supervisor.advance(0.0)
    clock.now += 4
    stage.supervisor.advance(0.0)
    assert (work.seconds, stage.heard) == (4.0, [])
    clock.now += 2
    stage.supervisor.advance(0.0)
    assert "took longer than executor.timeout=5" in stage.heard[0][1].failure


def test_what_somebody_else_is_doing_is_asked_for_again(clock: Clock) -> None:
    stage = Stage(attempts=1, losses=0)
    stage.begin("a")
    stage.supervisor.advance(0.0)
    for ticket in range(1, 30):
        stage.end(ticket, {"kind": "later"})
        clock.now += 2
        stage.supervisor.advance(0.0)
    stage.end(30, DONE)
    assert stage.heard[0][1] == Outcome(7, seconds=stage.heard[0][1].seconds)


def test_a_dropped_piece_is_ended_and_not_heard(clock: Clock) -> None:
    stage = Stage()
    under_way, waiting = stage.begin("a"), stage.begin("b")
    stage.supervisor.advance(0.0)
    stage.supervisor.drop(waiting)
    stage.supervisor.drop(under_way)
    assert stage.places.ended == [1]
    stage.end(1, DONE)
    assert (stage.heard, len(stage.places.begun)) == ([], 1)


def test_bad_input_ends_everything(clock: Clock) -> None:
    stage = Stage()
    stage.begin("a")
    stage.supervisor.advance(0.0)
    with pytest.raises(DatasetError, match="the data are gone"):
        stage.end(1, {"kind": "refused", "error": "DatasetError", "message": "the data are gone"})


def test_processes_that_never_start_end_everything(clock: Clock) -> None:
    stage = Stage(size=3, attempts=2)
    stage.begin("a")
    stage.supervisor.advance(0.0)
    for ticket in range(1, 4):
        stage.end(ticket, {**LOST, "starting": True})
    with pytest.raises(NasganError, match="the workers do not start: the machine is gone"):
        stage.end(4, {**LOST, "starting": True})


# In this process


def double(order: Any) -> Any:
    """A piece of work."""
    if order["number"] == 13:
        raise ValueError("unlucky")
    return {"twice": 2 * order["number"], "device": order["device"]}


def test_pieces_are_done_here_one_after_the_other() -> None:
    supervisor = Supervisor(Here(), Retries(attempts=2))
    pieces = [Piece(str(n), f"{n}", f"{__name__}:double", {"number": n}) for n in (1, 13, 2)]
    found = {piece.key: outcome for piece, outcome in results_of(supervisor, pieces)}
    assert found["1"].result == {"twice": 2, "device": "cpu"}
    assert found["2"].result["twice"] == 4
    assert found["13"].failure == "failed 2 times: ValueError: unlucky"


def test_the_text_of_a_failure_names_error_and_traceback(caplog: pytest.LogCaptureFixture) -> None:
    asked = {"work": f"{__name__}:double", "order": {"number": 13}, "life": None, "log_level": 30}
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        message = json.loads(do(json.dumps(asked)))
    finally:
        logging.getLogger().handlers[:] = before[0]
        logging.getLogger().setLevel(before[1])
        logging.captureWarnings(False)
    assert message["reason"] == "ValueError: unlucky"
    assert "in double" in message["trace"]
