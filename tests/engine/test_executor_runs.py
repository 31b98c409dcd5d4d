"""Searches whose candidates are scored by worker processes."""

from __future__ import annotations

import json
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
from processes import is_running, workers_of
from run_comparison import TINY, stopping, without_times

from nasgan.cli.compose import compose, compose_run
from nasgan.engine import run_config
from nasgan.engine.loop import JobReport, RunLoop
from nasgan.engine.parts import bind
from nasgan.engine.search_job import SearchJob
from nasgan.engine.workers import open_evaluator
from nasgan.errors import ConfigError, MissingDependencyError, RunDirectoryError
from nasgan.evaluation.executors.worker_pool import WorkerPool
from nasgan.runs.history import read_history
from nasgan.runs.record import RunRecord
from nasgan.state_files import Checkpoints
from nasgan.supervisor.slots import _Process

Tiny = Callable[..., dict[str, Any]]

# Successive halving: survivors go on, in whichever worker is free, from what another has trained.
SCRATCH = [
    "strategy=random_scratch",
    "budget.generator_steps=null",
    "budget.architectures=null",
    "strategy.num_candidates=4",
    "strategy.halving_factor=2",
    "strategy.min_steps=2",
    "strategy.max_steps=8",
]
WORKERS = ["executor=processes", "executor.workers=2", "executor.threads=1"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The search in one process."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    run_config(compose("search", [*TINY, *SCRATCH]), run_dir)
    return run_dir


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[_Process]:
    """All workers that are started."""
    started: list[_Process] = []
    original = _Process.start

    def start(self: _Process) -> None:
        original(self)
        started.append(self)

    monkeypatch.setattr(_Process, "start", start)
    return started


def test_workers_make_no_logger(tiny: Tiny, tmp_path: Path) -> None:
    config = {**tiny("search", *SCRATCH), "logger": {"_object_": "nobody.Logger"}}
    order = {"config": config, "folder": str(tmp_path)}
    evaluator, _ = open_evaluator(order, device="cpu", threads=1)
    assert evaluator.fidelity == "scratch"


def is_gone(worker: _Process) -> bool:
    assert worker.pid is not None
    try:
        os.kill(worker.pid, 0)
    except ProcessLookupError:
        return True
    return False


def scored(run_dir: Path) -> list[dict[str, Any]]:
    """The evaluations of the search, in the order of the history, without their times."""
    lines = read_history(run_dir / "history.jsonl")
    return [
        {key: value for key, value in without_times(line).items() if key not in _OF_THE_MOMENT}
        for line in lines
        if line["kind"] == "evaluation" and line["phase"] == "search"
    ]


_OF_THE_MOMENT = {"index", "spent", "incumbent"}


def in_any_order(run_dir: Path) -> list[str]:
    return sorted(json.dumps(line, sort_keys=True) for line in scored(run_dir))


def assert_same_result(run_dir: Path, other: Path) -> None:
    """Bit-identical scores, and the same networks in the end."""
    assert in_any_order(run_dir) == in_any_order(other)
    ours, theirs = (RunRecord.read(folder / "record.json") for folder in (run_dir, other))
    assert ours.architecture == theirs.architecture
    assert ours.metrics == theirs.metrics
    assert without_times(dict(ours.cost)) == without_times(dict(theirs.cost))
    assert ours.config_hash == theirs.config_hash, "the executor is no part of the experiment"


def test_workers_find_bit_for_bit_what_one_process_finds(
    alone: Path, tiny: Tiny, tmp_path: Path, workers: list[_Process]
) -> None:
    outcome = run_config(tiny("search", *SCRATCH, *WORKERS), tmp_path)
    assert outcome.status == "completed"
    assert [line["generator_steps"] for line in scored(tmp_path)] == [2] * 4 + [4] * 2 + [8]
    assert_same_result(tmp_path, alone)
    # A survivor's training went on where another worker left it: rung by rung, 2 and 4 steps more.
    record = RunRecord.read(tmp_path / "record.json")
    assert record.cost["search"]["generator_steps"] == 4 * 2 + 2 * 2 + 1 * 4
    assert record.config["executor"]["workers"] == 2
    assert len(workers) == 2
    assert all(is_gone(worker) for worker in workers), "the run is over"


def test_a_search_that_stops_takes_its_workers_along_and_resumes_without_them(
    alone: Path,
    tiny: Tiny,
    tmp_path: Path,
    workers: list[_Process],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = RunLoop._publish
    heard = 0

    def publish(self: RunLoop, report: JobReport) -> None:
        nonlocal heard
        original(self, report)
        heard += len(report.lines)
        if heard >= 2:
            raise KeyboardInterrupt

    config = tiny("search", *SCRATCH, *WORKERS, "checkpoint.every_seconds=0")
    with monkeypatch.context() as patch:
        patch.setattr(RunLoop, "_publish", publish)
        with pytest.raises(KeyboardInterrupt):
            run_config(config, tmp_path)
    assert len(workers) == 2
    assert all(is_gone(worker) for worker in workers)
    # What arrived after the last checkpoint, and what was under way, is done again.
    run_config(tiny("search", *SCRATCH, "executor=in_process"), tmp_path)
    assert len(workers) == 2
    assert_same_result(tmp_path, alone)


def test_a_candidate_whose_worker_is_killed_goes_on_in_another_to_the_same_last_bit(
    tiny: Tiny,
    tmp_path: Path,
    workers: list[_Process],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = [*SCRATCH, "strategy.num_candidates=1", "strategy.max_steps=200"]
    settings += ["strategy.min_steps=200", "checkpoint.every_seconds=0", "final.top_k=0"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    advance = WorkerPool.advance

    def kill_once(self: WorkerPool) -> Any:
        if len(workers) == 1:
            folder = killed / "checkpoints" / "candidates" / "under_way"
            while not any(folder.glob("*/attempt-*/resume-*.pt")):
                time.sleep(0.01)
            os.kill(int(workers[0].pid or 0), signal.SIGKILL)
        return advance(self)

    with monkeypatch.context() as patch, caplog.at_level(logging.INFO):
        patch.setattr(WorkerPool, "advance", kill_once)
        run_config(tiny("search", *settings, *WORKERS, "executor.workers=1"), killed)
    assert len(workers) == 2
    assert "is begun again: its worker was killed by SIGKILL" in caplog.text
    assert "going on from a checkpoint in" in caplog.text
    run_config(tiny("search", *settings, "executor=in_process"), whole)
    assert_same_result(killed, whole)


def test_a_search_resumed_without_workers_goes_on_with_what_they_had_half_done(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = [*SCRATCH, "strategy.num_candidates=2", "strategy.max_steps=60"]
    settings += ["strategy.min_steps=60", "checkpoint.every_seconds=0", "final.top_k=0"]
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    under_way = stopped / "checkpoints" / "candidates" / "under_way"

    def interrupt(self: WorkerPool) -> Any:
        while len({path.parent for path in under_way.glob("*/attempt-*/resume-*.pt")}) < 2:
            time.sleep(0.01)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(WorkerPool, "advance", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_config(tiny("search", *settings, *WORKERS), stopped)
    with caplog.at_level(logging.INFO):
        run_config(tiny("search", *settings, "executor=in_process"), stopped)
    assert caplog.text.count("going on from a checkpoint in") == 2
    run_config(tiny("search", *settings, "executor=in_process"), whole)
    assert_same_result(stopped, whole)


def test_workers_go_on_with_the_candidate_that_one_process_had_half_done(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = [*SCRATCH, "strategy.num_candidates=1", "strategy.max_steps=20"]
    settings += ["strategy.min_steps=20", "checkpoint.every_seconds=0", "final.top_k=0"]
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    with monkeypatch.context() as patch:
        patch.setattr("nasgan.evaluation.training_task._PIECE_SECONDS", 0.0)
        with stopping(SearchJob, lambda job: job.ledger.spent().generator_steps == 12):
            run_config(tiny("search", *settings, "executor=in_process"), stopped)
    with caplog.at_level(logging.INFO):
        run_config(tiny("search", *settings, *WORKERS, "executor.workers=1"), stopped)
    assert caplog.text.count("going on from a checkpoint in") == 1
    run_config(tiny("search", *settings, "executor=in_process"), whole)
    assert_same_result(stopped, whole)


PROGRAM = """
import json, sys
from pathlib import Path
from nasgan.engine import run_config
run_config(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_search_killed_while_its_workers_work_leaves_none_and_resumes(
    alone: Path, tiny: Tiny, tmp_path: Path
) -> None:
    # Every evaluation that has arrived is kept for a second at most without a checkpoint.
    config = tiny("search", *SCRATCH, *WORKERS, "checkpoint.every_seconds=1000")
    (tmp_path / "config.json").write_text(json.dumps(config))
    run_dir = tmp_path / "run"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "config.json"), str(run_dir)]
    search = subprocess.Popen(command)
    try:
        while not list((run_dir / "checkpoints").glob("resume-*.pt")):
            assert search.poll() is None, "the search ended before it could be killed"
            time.sleep(0.005)
        workers = workers_of(search.pid)
    finally:
        search.kill()
        search.wait()
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline, "a worker outlived its search"
        time.sleep(0.02)
    saved = Checkpoints(run_dir / "checkpoints", keep=2).load_newest()
    assert saved["job"]["strategy"]["evaluations"], "what had arrived is not evaluated again"
    assert run_config(config, run_dir).status == "completed"
    assert_same_result(run_dir, alone)


def test_a_strategy_that_scores_nothing_by_the_executor_starts_no_workers(
    tiny: Tiny, tmp_path: Path, workers: list[_Process]
) -> None:
    run_config(tiny("search", "strategy=adversarial", "final.top_k=0", *WORKERS), tmp_path)
    assert workers == []


@pytest.mark.parametrize("executor", ["processes", "ray"])
@pytest.mark.parametrize("strategy", ["random", "random_scratch"])
def test_shared_weights_with_workers_are_refused_with_the_reason(
    tiny: Tiny, executor: str, strategy: str
) -> None:
    overrides = (f"strategy={strategy}", "evaluator=shared", f"executor={executor}")
    with pytest.raises(ConfigError, match="shared weights live in the search's own process"):
        bind(tiny("search", *overrides))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("executor=processes", "executor.workers=0"), "executor.workers must be at least 1"),
        (("executor=auto", "executor.losses=-1"), "executor.losses must not be negative"),
        (("executor=processes", "executor.timeout=0"), "executor.timeout must be above 0"),
        (("executor=processes", "executor.workers=two"), "executor.workers must be"),
        (("executor=processes", "executor.devices=cuda:99"), "executor.devices: device=cuda:99"),
        (("executor=processes", "executor.devices=[cpu,gpu]"), "executor.devices: device=gpu"),
        (("executor=processes", "+executor.cpus=2"), "unknown setting executor.cpus"),
        (("executor=ray", "executor.cpus=0"), "executor.cpus must be at least 1"),
        (("executor=ray", "executor.gpus=1.5"), "executor.gpus must be a part of one GPU"),
        (("executor._target_=nasgan.registry.Plugin",), "does not make a Executor"),
    ],
)
def test_bad_settings_are_refused_before_any_compute(
    tiny: Tiny, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        bind(tiny("search", "strategy=random_scratch", *overrides))


def test_without_ray_its_executor_says_how_to_get_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Composed before: Hydra's own folder of configurations is looked for in the same way.
    config = tiny("search", "strategy=random_scratch", "executor=ray")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'nasgan\[ray\]'"):
        run_config(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_executor_changes_neither_the_folder_of_a_run_nor_whose_it_is(
    alone: Path, tiny: Tiny
) -> None:
    plain, _ = folders = [
        compose_run("search", ["strategy=random_scratch", *more])[1] for more in ([], WORKERS)
    ]
    assert folders == [plain, plain]
    assert run_config(tiny("search", *SCRATCH, *WORKERS), alone).status == "already_completed"
    with pytest.raises(RunDirectoryError, match="another configuration"):
        run_config(tiny("search", *SCRATCH, "trainer.n_critic=1"), alone)
