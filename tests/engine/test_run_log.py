"""What a run tells its log and ``status.json``, and what it keeps off the terminal."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_comparison import TINY

from nasgan.architecture import Architecture
from nasgan.cli.main import main
from nasgan.engine import run_config
from nasgan.engine.search_job import SearchJob
from nasgan.runs.history import read_history
from nasgan.runs.record import RunRecord
from nasgan.runs.status import Status

Tiny = Callable[..., dict[str, Any]]
Run = Callable[..., tuple[int, str, str]]

_SHOWN = [argument for argument in TINY if not argument.startswith("progress")]
_DIVERGES = ["trainer.health.check_every=1", "trainer.health.max_loss=0.0001"]
_FULL_DEVICE = Path("/dev/full")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs ``nasgan`` in an empty folder; gives exit code, output and error stream."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """``told()``: the events since the last time."""
    caplog.set_level(logging.INFO, logger="nasgan.run")

    def events() -> list[str]:
        found = [r.getMessage() for r in caplog.records if r.name == "nasgan.run"]
        caplog.clear()
        return found

    return events


def lines(path: Path) -> list[str]:
    """The log's messages, their moment checked and cut off."""
    found = [
        re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (\w+) [\w.]+: (.*)", line)
        for line in path.read_text().splitlines()
    ]
    return [f"{match[1]} {match[2]}" for match in found if match is not None]


def the_one(pattern: str, events: list[str]) -> int:
    (found,) = [k for k, event in enumerate(events) if re.fullmatch(pattern, event)]
    return found


def test_the_log_of_a_search_tells_its_events_once_and_the_terminal_none(
    run: Run, tmp_path: Path
) -> None:
    code, out, err = run("search", *_SHOWN, "run_dir=r")
    assert code == 0
    record = RunRecord.read(tmp_path / "r" / "record.json")
    events = lines(tmp_path / "r" / "search.log")
    assert record.metrics is not None
    finalist = Architecture.from_json(record.finalists[0]["architecture"], source="the record")
    score = f"fid {record.metrics['fid']:.4g}"
    version = re.escape(record.environment["nasgan"]["version"])
    places = [
        the_one(rf"INFO search {record.run_id}, seed 0: nasgan {version}.*", events),
        the_one(rf"INFO protocol {record.protocol}, on cpu", events),
        the_one("INFO phase search begins", events),
        the_one(r"INFO search over: .* is spent; finalists \w+ \(fid [\d.]+\)", events),
        the_one("INFO phase final begins", events),
        the_one(rf"INFO training of finalist {finalist.id} over: {score}", events),
        the_one(r"INFO training of random \w+ over: fid [\d.]+", events),
        the_one(rf"INFO the run completed: {score}", events),
    ]
    assert places == sorted(places)
    assert not re.search("begins|over:|the run completed|INFO", out + err)
    assert err.count("protocol digits") == 1, "shown as before"

    before = len(events)
    assert "finished already" in run("search", *_SHOWN, "run_dir=r")[1]
    assert lines(tmp_path / "r" / "search.log")[before:] == ["INFO This run is finished already"]


def test_the_log_of_a_failed_training_has_the_reason_once(run: Run, tmp_path: Path) -> None:
    given = ["architecture=sngan", *_SHOWN, *_DIVERGES, "run_dir=r"]
    code, out, err = run("train", *given)
    assert code == 1
    events = lines(tmp_path / "r" / "train.log")
    record = RunRecord.read(tmp_path / "r" / "record.json")
    assert record.failure
    assert events[-1] == f"INFO the run failed: {record.failure}"
    assert [event for event in events if "begins" in event] == ["INFO phase final begins"]
    assert (out + err).count("loss exploded") == 1
    assert Status.read(tmp_path / "r" / "status.json").phase == "final"


def test_an_error_reaches_the_log_alone_and_in_a_sweep_and_each_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(job: SearchJob) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(SearchJob, "step", bug)
    with pytest.raises(ZeroDivisionError):
        run("search", *_SHOWN, "run_dir=alone")
    _, _, err = run("search", "-m", *_SHOWN, "run_dir=swept")
    assert err.count("error: a bug") == 1
    for name in ("alone", "swept"):
        text = (tmp_path / name / "search.log").read_text()
        assert text.count(": a bug\nTraceback") == 1, name
    assert Status.read(tmp_path / "alone" / "status.json").phase == "search"


def test_the_runs_of_a_sweep_have_a_log_each_and_no_events_on_the_terminal(
    run: Run, tmp_path: Path
) -> None:
    code, out, err = run("search", "-m", *_SHOWN, "seed=0,1", "output_root=o")
    assert code == 0
    logs = sorted((tmp_path / "o").rglob("search.log"))
    assert [sum("the run completed" in line for line in lines(log)) for log in logs] == [1, 1]
    assert not re.search("begins|over:|the run completed", out + err)


def test_a_resumed_run_appends_and_says_from_where(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["search", *_SHOWN, "run_dir=r", "checkpoint.every_seconds=0"]
    step = SearchJob.step
    done = 0

    def stopped(job: SearchJob) -> Any:
        nonlocal done
        done += 1
        if done == 4:
            raise KeyboardInterrupt
        return step(job)

    with monkeypatch.context() as patch:
        patch.setattr(SearchJob, "step", stopped)
        assert run(*arguments)[0] == 130
    log = tmp_path / "r" / "search.log"
    before = lines(log)
    assert before[-1] == "INFO interrupted; the same command resumes"
    assert Status.read(tmp_path / "r" / "status.json").phase == "search"

    assert run(*arguments)[0] == 0
    events = lines(log)
    assert events[: len(before)] == before
    resumed = events[len(before) :]
    the_one(r"INFO resumed: search at generator step [1-9]\d*, \d+ architectures scored", resumed)
    assert "INFO phase search begins" not in resumed, "it goes on"
    assert resumed[-1].startswith("INFO the run completed: ")


@pytest.mark.skipif(not _FULL_DEVICE.exists(), reason="has no device that is always full")
def test_a_log_on_a_full_disk_is_done_without(run: Run, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    os.symlink(_FULL_DEVICE, tmp_path / "r" / "search.log")
    code, _, err = run("search", *_SHOWN, "run_dir=r")
    assert code == 0
    assert "Logging error" not in err
    assert "No space" not in err


def test_the_status_of_a_short_run_names_its_last_phase(tiny: Tiny, tmp_path: Path) -> None:
    run_config(tiny("search"), tmp_path / "whole")
    run_config(tiny("search", "strategy=random_scratch", *_DIVERGES), tmp_path / "diverged")
    whole, diverged = (Status.read(tmp_path / x / "status.json") for x in ("whole", "diverged"))
    assert (whole.state, whole.phase) == ("completed", "final")
    assert (diverged.state, diverged.phase) == ("failed", "search")


def test_a_run_in_python_tells_the_same_events(
    tiny: Tiny, tmp_path: Path, told: Callable[[], list[str]]
) -> None:
    run_config(tiny("train", "architecture=sngan"), tmp_path)
    events = told()
    assert events[0].startswith("train ")
    assert events[-1].startswith("the run completed: fid ")
    assert len(read_history(tmp_path / "history.jsonl")) == 3, "the history holds none of them"


def test_a_finished_run_says_that_it_does_not_take_a_tuning_budget(
    tiny: Tiny, tmp_path: Path
) -> None:
    asked = {"tuning_budget": "20 runs"}
    run_config({**tiny("train", "architecture=sngan"), **asked}, tmp_path)
    config = tiny("train", "architecture=sngan")
    for same in (config, {**config, **asked}):
        assert run_config(same, tmp_path).summary_lines[0] == "This run is finished already."
    other = run_config({**config, "tuning_budget": "none"}, tmp_path)
    assert other.status == "already_completed"
    first = other.summary_lines[0]
    assert "finished already; its record stands and does not take tuning_budget='none'" in first
    assert RunRecord.read(tmp_path / "record.json").tuning_budget == "20 runs"
