"""Sweeps as a whole: every job gets its turn, and the end says what became of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from record_samples import failed_record, record

import nasgan.engine
from nasgan.cli.main import main
from nasgan.cli.resolvers import sweep_name
from nasgan.cli.sweep import JobNote, SweepLog, summary
from nasgan.errors import ConfigError, RunDirectoryError, StorageError
from nasgan.runs.folder import RunLock

Engine = Callable[[dict[str, Any], Path], Any]
Sweep = Callable[..., tuple[int, str, str]]


class Ended:
    def __init__(self, status: str = "completed", failure: str = "") -> None:
        self.status = status
        self.summary_lines = ["how it ended", "its scores"]
        self.failure = failure


@pytest.fixture
def sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Sweep:
    """``sweep(engine, "seed=0,1")``: exit code, output and error stream."""
    monkeypatch.chdir(tmp_path)

    def call(engine: Engine, *arguments: str, is_plain: bool = False) -> tuple[int, str, str]:
        monkeypatch.setattr(nasgan.engine, "run", lambda parts, at: engine(parts.config, at))
        code = main(list(arguments) if is_plain else ["search", "-m", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def rows(out: str) -> list[list[str]]:
    """The table's rows, split at two spaces."""
    table = out[out.index("Sweep of") :].splitlines()[1:]
    return [[cell for cell in line.split("  ") if cell.strip()] for line in table]


def test_the_table_says_how_each_job_ended(sweep: Sweep) -> None:
    def engine(config: dict[str, Any], folder: Path) -> Any:
        if config["seed"] == 1:
            raise RunDirectoryError("process 7 is running in this folder")
        if config["seed"] == 2:
            return Ended("failed", "NaN loss")
        record(seed=config["seed"], fid=12.345).write(folder / "record.json")
        return Ended("already_completed" if config["seed"] == 3 else "completed")

    code, out, err = sweep(engine, "seed=0,1,2,3")
    assert code == 1
    assert "Sweep of 4 jobs: 1 completed, 1 finished before, 1 FAILED, 1 REFUSED" in out
    assert (out.count("how it ended"), out.count("its scores")) == (3, 2), "once for each run"
    header, *lines = [[cell.strip() for cell in row] for row in rows(out)]
    assert header == ["#", "seed", "status", "FID (digits)"]
    assert lines == [
        ["0", "0", "completed", "12.35"],
        ["1", "1", "REFUSED", "-", "process 7 is running in this folder"],
        ["2", "2", "FAILED", "-", "NaN loss"],
        ["3", "3", "finished before", "12.35"],
    ]
    assert "error: 2 of 4 runs have no result" in err
    assert list(Path("outputs/search").glob(".*")) == [], "the notes are removed"


def test_a_sweep_without_failures_ends_well(sweep: Sweep) -> None:
    code, out, err = sweep(lambda config, folder: Ended(), "seed=0,1")
    assert (code, "error" in err) == (0, False)
    assert "Sweep of 2 jobs: 2 completed" in out


@pytest.mark.parametrize("batch", ["null", "1"])
def test_neither_a_bug_nor_a_batch_stops_the_rest(sweep: Sweep, batch: str) -> None:
    seeds = []

    def engine(config: dict[str, Any], folder: Path) -> Any:
        seeds.append(config["seed"])
        if config["seed"] == 0:
            raise ZeroDivisionError("a bug")
        return Ended()

    code, out, err = sweep(engine, "seed=0,1,2", f"hydra.sweeper.max_batch_size={batch}")
    assert (code, seeds) == (1, [0, 1, 2])
    assert "ZeroDivisionError: a bug" in out
    assert "Traceback" in err


def test_an_interrupted_sweep_says_how_far_it_came(sweep: Sweep) -> None:
    def engine(config: dict[str, Any], folder: Path) -> Any:
        if config["seed"] == 1:
            raise KeyboardInterrupt
        return Ended()

    code, out, err = sweep(engine, "seed=0,1,2")
    assert code == 130
    title, header, *lines = out[out.index("Sweep stopped") :].splitlines()
    counts = "1 completed, 1 UNFINISHED, 1 not begun"
    assert title == f"Sweep stopped with 2 of 3 jobs begun: {counts}"
    assert header.split() == ["#", "seed", "status", "score"]
    assert [line.split()[:3] for line in lines] == [
        ["0", "0", "completed"],
        ["1", "1", "UNFINISHED"],
        ["2", "2", "not"],
    ]
    assert "the same command resumes" in err


def test_what_sets_jobs_apart_is_known_from_the_first_on(sweep: Sweep, tmp_path: Path) -> None:
    def engine(config: dict[str, Any], folder: Path) -> Any:
        raise KeyboardInterrupt

    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "two.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n"
        "      search_space: autogan,agan\n      seed: 7,8,9\n"
    )
    own = ["--config-dir", str(tmp_path / "mine"), "+experiment=two"]
    swept = ["strategy=glob(random*)", "seed=range(2)", "hydra.verbose=false"]
    _, out, _ = sweep(engine, *own, *swept)
    _, header, *lines = out[out.index("Sweep stopped with 1 of 8") :].splitlines()
    assert header.split() == ["#", "search_space", "seed", "strategy", "status", "score"]
    assert lines[0].split() == ["0", "autogan", "0", "random", "UNFINISHED", "-"]
    assert lines[-1].split() == ["7", "agan", "1", "random_scratch", "not", "begun", "-"]


def test_a_plan_that_does_not_hold_is_not_shown() -> None:
    begun = [note(0, "running", "seed=1")]
    assert "not begun" in summary(begun, is_whole=False, planned=[("seed=1",), ("seed=0",)])[0]
    for planned in ([("seed=0",), ("seed=1",)], []):
        assert summary(begun, is_whole=False, planned=planned)[0].endswith("1 UNFINISHED")


def test_a_bad_job_is_refused_and_the_rest_runs(sweep: Sweep) -> None:
    seeds = []

    def engine(config: dict[str, Any], folder: Path) -> Any:
        seeds.append(config["seed"])
        return Ended()

    code, out, err = sweep(engine, "seed=-1,2")
    assert (code, seeds) == (1, [2])
    assert err.index("seed must be at least 0") < err.index("#1")
    assert "Sweep of 2 jobs: 1 completed, 1 REFUSED" in out
    assert rows(out)[1][2].strip() == "REFUSED"
    assert "1 of 2 runs have no result" in err
    assert "tries again what was refused" in err
    assert "resumes" not in err
    assert "retry_failed" not in err, "no record holds it back"


@pytest.mark.parametrize(
    ("error", "word"),
    [(StorageError("the disk is full"), "FAILED"), (ConfigError("no"), "REFUSED")],
)
def test_a_full_disk_is_no_refusal(sweep: Sweep, error: Exception, word: str) -> None:
    def engine(config: dict[str, Any], folder: Path) -> Any:
        raise error

    code, out, err = sweep(engine, "seed=0,1")
    assert code == 1
    assert f"Sweep of 2 jobs: 2 {word}" in out
    assert ("resumes the rest" in err) == (word == "FAILED")
    assert "retry_failed" not in err


def test_a_failure_on_record_can_be_tried_again_and_only_that(sweep: Sweep) -> None:
    def engine(config: dict[str, Any], folder: Path) -> Any:
        if config["seed"] == 0:
            raise RunDirectoryError("process 7 is running in this folder")
        failed_record(seed=config["seed"]).write(folder / "record.json")
        return Ended("failed", "NaN loss")

    _, out, err = sweep(engine, "seed=0,1")
    assert "1 FAILED, 1 REFUSED" in out
    assert "with retry_failed=true it also runs again what failed" in err
    assert "tries again what was refused" in err
    assert "resumes" not in err


def test_a_refused_job_does_not_take_the_score_of_the_folder_it_was_sent_to(tmp_path: Path) -> None:
    record(fid=3.0).write(tmp_path / "record.json")
    text = "\n".join(summary([note(0, "refused", folder=tmp_path)]))
    assert "REFUSED" in text
    assert "FID" not in text


def test_a_sweep_that_cannot_be_composed_is_refused_whole(sweep: Sweep) -> None:
    code, out, err = sweep(lambda config, folder: Ended(), "strategy=random,randm")
    assert code == 2
    assert "Did you mean 'random'" in err
    assert "Sweep" not in out


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("jobblib", "unknown hydra/launcher 'jobblib'. Did you mean 'joblib'"),
        ("ray_aws", "unknown hydra/launcher 'ray_aws'"),
        ("ray", "pip install nasgan[ray]"),  # only where it is not installed
    ],
)
def test_a_launcher_that_is_not_there_is_explained(
    sweep: Sweep, launcher: str, message: str
) -> None:
    # One package brings ray and ray_aws.
    if find_spec(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher") is not None:
        pytest.skip("installed here")
    code, _, err = sweep(lambda config, folder: Ended(), "seed=0,1", f"hydra/launcher={launcher}")
    assert code == 2
    assert message in err


def test_jobs_know_their_sweep_and_nothing_else_does(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NASGAN_SWEEP", raising=False)
    groups = []

    def engine(config: dict[str, Any], folder: Path) -> Any:
        groups.append(config["logger"]["group"])
        return Ended()

    sweep(engine, "seed=0,1", "logger=wandb", "budget=unlimited")
    assert len(set(groups)) == 1
    assert groups[0].startswith("search-")
    assert "NASGAN_SWEEP" not in os.environ
    sweep(engine, "seed=5", "logger=wandb", "logger.group=mine")
    assert groups[-1] == "mine"


def test_a_sweeps_name_is_that_of_its_rerun_and_not_of_another_sweep() -> None:
    first = sweep_name("search", ["strategy=random,rl", "seed=0,1"])
    again = ["seed=2,3", "strategy=random,rl", "retry_failed=true", "hydra/launcher=joblib"]
    assert sweep_name("search", again) == first
    assert sweep_name("search", ["strategy=random,adversarial", "seed=0,1"]) != first
    assert sweep_name("search", ["+experiment=benchmark/digits"]) == "search-benchmark_digits"


def test_options_of_a_folder_of_ones_own_go_into_a_sweep(sweep: Sweep, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "small.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      seed: 0,1,2\n"
    )
    seeds = []

    def engine(config: dict[str, Any], folder: Path) -> Any:
        seeds.append(config["seed"])
        return Ended()

    code, out, _ = sweep(engine, "--config-dir", str(tmp_path / "mine"), "+experiment=small")
    assert (code, seeds) == (0, [0, 1, 2])
    assert "Sweep of 3 jobs" in out


def test_an_experiment_may_be_a_sweep(sweep: Sweep, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "whole.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: 0,1\n"
    )
    seeds = []

    def engine(config: dict[str, Any], folder: Path) -> Any:
        seeds.append(config["seed"])
        raise RunDirectoryError("no result")

    arguments = ["search", "--config-dir", str(tmp_path / "mine"), "+experiment=whole"]
    code, out, _ = sweep(engine, *arguments, is_plain=True)
    assert (code, seeds) == (1, [0, 1])
    assert "Sweep of 2 jobs: 2 REFUSED" in out


def test_the_command_line_can_add_to_the_sweepers_values(sweep: Sweep) -> None:
    seeds = []

    def engine(config: dict[str, Any], folder: Path) -> Any:
        seeds.append(config["seed"])
        return Ended()

    code, out, _ = sweep(engine, "+hydra.sweeper.params.seed='2,3'")
    assert (code, seeds) == (0, [2, 3])
    assert "Sweep of 2 jobs" in out


def test_a_launcher_that_cannot_start_is_explained(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("hydra_plugins.hydra_submitit_launcher") is None:
        pytest.skip("hydra-submitit-launcher is not installed")
    monkeypatch.setenv("PATH", "")  # no Slurm
    code, out, err = sweep(lambda config, folder: Ended(), "seed=0,1", "hydra/launcher=slurm")
    assert (code, out) == (2, "")
    assert "could not start the sweep" in err
    assert "srun" in err
    assert "Traceback" not in err


def test_a_launcher_that_stops_on_the_way_is_told_of(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    Plugins.instance()  # imports the launchers again
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    launch = BasicLauncher.launch

    def launch_first(self: BasicLauncher, overrides: Any, initial_job_idx: int) -> Any:
        if initial_job_idx:
            raise ConnectionError("the queue is gone")
        return launch(self, overrides, initial_job_idx)

    monkeypatch.setattr(BasicLauncher, "launch", launch_first)
    one_by_one = "hydra.sweeper.max_batch_size=1"
    code, out, err = sweep(lambda config, folder: Ended(), "seed=0,1", one_by_one)
    assert code == 1
    assert "Sweep stopped with 1 of 2 jobs begun: 1 completed, 1 not begun" in out
    assert "the launcher stopped (ConnectionError: the queue is gone)" in err


def note(number: int, state: Any, *overrides: str, folder: Path = Path("nowhere")) -> JobNote:
    return JobNote(number, overrides, str(folder), state)


def test_the_table_of_a_sweep_whose_jobs_differ_in_protocol(tmp_path: Path) -> None:
    notes = []
    for number, protocol in enumerate(["digits-train-2k-digits-v1", "a-train-50k-inceptionv3-v1"]):
        record(protocol=protocol, fid=3.0).write(tmp_path / str(number) / "record.json")
        dataset = f"dataset={protocol.partition('-')[0]}"
        notes.append(note(number, "completed", "a=1", dataset, folder=tmp_path / str(number)))
    text = "\n".join(summary(notes))
    assert "dataset" in text
    assert "FID (digits) 3" in text
    assert "FID 3" in text
    assert "a=1" not in text, "what all jobs share sets none apart"


def test_long_reasons_are_cut_and_a_torn_record_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("{")
    failed = JobNote(0, (), str(tmp_path), "failed", reason="many\nwords " * 100)
    *_, line = summary([failed])
    assert line.endswith("...")
    assert len(line) < 200
    assert summary([]) == []


def test_notes_are_read_while_they_are_written(tmp_path: Path) -> None:
    log = SweepLog.new(tmp_path, "name")
    log.write(note(10, "running", "seed=1"))
    log.write(note(2, "completed", "seed=0"))
    (log.folder / "3.json").write_text("{")
    assert [found.number for found in log.read()] == [2, 10]
    assert [found.number for found in log.read(known={2})] == [10]
    assert log.state_of(10) == "running"


def test_the_note_of_a_job_may_be_gone(tmp_path: Path) -> None:
    """A job in a queue can outlive its sweep."""
    assert SweepLog.new(tmp_path, "name").state_of(3) == "running"


def test_leftovers_of_killed_sweeps_are_removed_and_no_others(tmp_path: Path) -> None:
    names = ["killed", "going_on", "starting"]
    logs = {name: SweepLog(tmp_path / f".sweep-{name}", name) for name in names}
    for log in logs.values():
        log.write(note(0, "running"))
    for name in ("killed", "going_on"):
        os.utime(logs[name].folder, (0, 0))
    with RunLock(logs["going_on"].folder), SweepLog.new(tmp_path, "name").watched():
        pass
    assert [name for name in names if logs[name].folder.exists()] == ["going_on", "starting"]


def test_a_failure_out_of_sight_is_shown_while_the_sweep_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasgan.cli.sweep._POLL_SECONDS", 0.01)
    log = SweepLog.new(tmp_path, "name")
    deadline = time.monotonic() + 20
    shown = ""
    with log.watched():
        log.write(JobNote(0, (), "f", "failed", reason="NaN loss", is_parallel=True))
        while "NaN loss" not in shown and time.monotonic() < deadline:
            time.sleep(0.01)
            shown += capsys.readouterr().err
    assert shown == "\t#0 FAILED: NaN loss (f)\n"


def test_jobs_out_of_sight_are_told_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = SweepLog.new(tmp_path, "name")
    hidden = {"folder": "f", "is_parallel": True}
    with log.watched():
        log.write(JobNote(0, (), state="failed", reason="NaN loss", **hidden))
        log.write(JobNote(1, (), state="running", **hidden))
        log.write(note(2, "failed"))
        log.write(JobNote(3, (), state="refused", reason="bad seed", **hidden))
    assert capsys.readouterr().err == "\t#0 FAILED: NaN loss (f)\n\t#3 REFUSED: bad seed (f)\n"
