"""Real worker processes: killed, failing, slow, and left alone by the search's own process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from processes import is_running
from scripted import BUILDER, Script, ScriptedEvaluator

from nasgan.contracts import Cost, Evaluation, Ledger, Proposal
from nasgan.errors import ConfigError, DatasetError, NasganError
from nasgan.evaluation.executors import AutoExecutor, ProcessExecutor, WorkOrder
from nasgan.evaluation.executors.worker_pool import WorkerPool
from nasgan.supervisor import Retries, Slots, Supervisor

HERE = Path(__file__).parent


@dataclass
class Stage:
    """Two worker processes that the tests of this file share: to start one takes seconds."""

    pool: WorkerPool
    slots: Slots
    ledger: Ledger
    script: Script
    arrived: list[Evaluation] = field(default_factory=list)

    @property
    def pids(self) -> list[int]:
        return sorted(self.slots.pids)

    def begin(self, architecture, *lines: str) -> int:
        """Submit it, with a script; gives the process that has begun it."""
        for file in self.script.folder.glob(f"{architecture.id}.*"):
            file.unlink()
        self.script.say(architecture, *lines)
        self.pool.submit(Proposal(architecture))
        return self.attempt(architecture, 0)

    def attempt(self, architecture, number: int) -> int:
        """The process of the attempt with this number, once it has begun."""
        while len(self.script.attempts(architecture)) <= number:
            self.arrived += self.pool.advance()
        return self.script.attempts(architecture)[number]

    def arrive(self, count: int) -> list[Evaluation]:
        """The next evaluations that arrive."""
        while len(self.arrived) < count:
            self.arrived += self.pool.advance()
        found, self.arrived = self.arrived[:count], self.arrived[count:]
        return found


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("script")
    ledger = Ledger()
    order = WorkOrder(BUILDER, {"folder": str(folder)})
    slots = Slots(2, threads=1, devices=["cpu"])
    evaluator = ScriptedEvaluator(folder, ledger)
    supervisor = Supervisor(slots, Retries(attempts=2, losses=1))
    pool = WorkerPool(evaluator, ledger, supervisor, order, owns=True)
    yield Stage(pool, slots, ledger, Script(folder))
    pool.close()


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    assert shared_stage.pool.under_way == 0, "another test left something under way"
    return shared_stage


def wait_until_gone(pid: int, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_running(pid)


def test_a_slow_candidate_does_not_stall_the_others(stage, architectures):
    slow, *quick = architectures[:4]
    stage.begin(slow, "wait")
    order = []
    for architecture in quick:
        stage.begin(architecture)
        order += stage.arrive(1)
    stage.script.let_go(slow)
    order += stage.arrive(1)
    assert [made.architecture for made in order] == [*quick, slow]
    assert [made.score for made in order] == [float(int(a.id, 16)) for a in (*quick, slow)]


def test_a_killed_worker_costs_its_candidates_time_only(stage, architectures, caplog):
    victim, other = architectures[:2]
    before = stage.ledger.spent()
    pid = stage.begin(victim, "wait", "wait")
    untouched = stage.begin(other, "wait")
    assert pid != untouched
    os.kill(pid, signal.SIGKILL)
    second = stage.attempt(victim, 1)
    assert second not in (pid, untouched)
    stage.script.let_go(victim)
    stage.script.let_go(other)
    made = {evaluation.architecture: evaluation for evaluation in stage.arrive(2)}
    assert (made[victim].failure, made[other].failure) == ("", "")
    assert stage.script.attempts(other) == [untouched]
    assert "was killed by SIGKILL (out of memory?)" in caplog.text
    assert stage.ledger.spent().generator_steps - before.generator_steps == 20


def test_a_candidate_that_kills_its_worker_each_time_is_recorded_as_failed(stage, architectures):
    bad, good = architectures[2:4]
    stage.begin(bad, "die", "die")
    (evaluation,) = stage.arrive(1)
    assert (evaluation.architecture, evaluation.score) == (bad, None)
    assert evaluation.failure.startswith("failed 2 times: its worker was killed by SIGKILL")
    stage.begin(good)
    assert stage.arrive(1)[0].score is not None


def test_an_unexpected_error_is_tried_again_by_a_new_worker(stage, architectures, caplog):
    bad = architectures[4]
    pid = stage.begin(bad, "raise", "raise")
    (evaluation,) = stage.arrive(1)
    assert evaluation.failure == "failed 2 times: RuntimeError: CUDA out of memory"
    assert evaluation.cost == Cost(1, generator_steps=4, device_seconds=1.5)
    assert stage.script.attempts(bad)[1] != pid
    assert "raise RuntimeError" in caplog.text, "the log has the traceback"


def test_what_a_worker_logs_is_in_the_runs_log(stage, architectures, caplog):
    with caplog.at_level(logging.WARNING):
        stage.begin(architectures[5], "warn")
        stage.arrive(1)
    (record,) = [r for r in caplog.records if "the loss is high" in r.getMessage()]
    assert record.name == "scripted"


def test_an_interrupt_is_for_the_search_alone(stage, architectures):
    pid = stage.begin(architectures[6], "wait")
    os.kill(pid, signal.SIGINT)
    stage.script.let_go(architectures[6])
    assert stage.arrive(1)[0].score is not None
    assert stage.script.attempts(architectures[6]) == [pid]
    assert os.getpgid(pid) != os.getpgid(0), "Ctrl-C in a terminal does not reach it"


def test_what_the_workers_know_goes_with_the_candidate(stage, architectures):
    counts = []
    blocked, repeated = architectures[6:8]
    for _ in range(2):
        # Whichever worker is free takes it.
        stage.begin(repeated)
        counts += [evaluation.metrics["count"] for evaluation in stage.arrive(1)]
    stage.begin(blocked, "wait")
    stage.begin(repeated)
    counts += [evaluation.metrics["count"] for evaluation in stage.arrive(1)]
    stage.script.let_go(blocked)
    stage.arrive(1)
    assert counts == [1.0, 2.0, 3.0]


def test_bad_input_ends_the_run_at_once(stage, architectures):
    stage.script.say(architectures[7], *["refuse"] * 10)
    stage.pool.submit(Proposal(architectures[7]))
    with pytest.raises(DatasetError, match="the data are gone"):
        stage.arrive(1)
    pids = stage.pids
    stage.pool.close()
    assert [pid for pid in pids if is_running(pid)] == []


def test_workers_that_cannot_be_built_end_the_run(tmp_path, architectures, arrive):
    order = WorkOrder(BUILDER, {"folder": str(tmp_path), "broken": True})
    evaluator = ScriptedEvaluator(tmp_path, Ledger())
    pool = ProcessExecutor(workers=1, attempts=1).open(evaluator, Ledger(), order)
    pool.submit(Proposal(architectures[0]))
    with pytest.raises(NasganError, match=r"do not start: RuntimeError: no room for another"):
        arrive(pool, 1)
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="signals without a name are Linux's")
def test_a_signal_without_a_name_is_told_by_its_number(stage, architectures):
    pid = stage.begin(architectures[5], "wait", "wait")
    os.kill(pid, signal.SIGRTMIN + 3)
    again = stage.attempt(architectures[5], 1)
    os.kill(again, signal.SIGRTMIN + 3)
    (evaluation,) = stage.arrive(1)
    assert f"killed by signal {signal.SIGRTMIN + 3}" in evaluation.failure


SEARCH = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from scripted import BUILDER, ScriptedEvaluator
from nasgan.contracts import Architecture, Ledger, Proposal
from nasgan.evaluation.executors import ProcessExecutor, WorkOrder
folder = Path({folder!r})
ledger = Ledger()
# Without a main guard: workers must not import this script again.
pool = ProcessExecutor(workers=1).open(
    ScriptedEvaluator(folder, ledger), ledger, WorkOrder(BUILDER, {{"folder": str(folder)}})
)
pool.submit(Proposal(Architecture.load(folder / "architecture.json")))
while True:
    pool.advance()
"""


def test_no_worker_outlives_a_search_that_is_killed(tmp_path, architectures):
    script = Script(tmp_path)
    script.say(architectures[0], "wait")
    architectures[0].save(tmp_path / "architecture.json")
    program = tmp_path / "search.py"
    program.write_text(SEARCH.format(here=str(HERE), folder=str(tmp_path)))
    search = subprocess.Popen([sys.executable, str(program)])
    try:
        while not script.attempts(architectures[0]):
            assert search.poll() is None
            time.sleep(0.02)
        (worker,) = script.attempts(architectures[0])
        assert is_running(worker)
    finally:
        search.kill()
        search.wait()
    assert wait_until_gone(worker)


# Settings


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"workers": 0}, "executor.workers must be at least 1, got 0"),
        ({"threads": 0}, "executor.threads must be at least 1, got 0"),
        ({"attempts": 0}, "executor.attempts must be at least 1, got 0"),
        ({"losses": -1}, "executor.losses must not be negative, got -1"),
        ({"timeout": 0.0}, "executor.timeout must be above 0, got 0.0"),
        ({"timeout": -1.0}, "executor.timeout must be above 0, got -1.0"),
        ({"devices": ("cpu", "auto")}, "executor.devices must be auto, or names"),
    ],
)
def test_impossible_settings_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        ProcessExecutor(**setting)


def slots_of(executor, device="cpu", threads=1):
    return executor.places(torch.device(device), threads)


@pytest.mark.parametrize("kind", [ProcessExecutor, AutoExecutor])
def test_by_default_the_cores_are_full_of_workers_with_the_threads_of_the_run(kind, monkeypatch):
    monkeypatch.setattr("nasgan.evaluation.executors.processes.usable_cores", lambda: 12)
    slots = slots_of(kind())
    assert (slots.size, slots._threads, slots._devices) == (12, 1, ("cpu",))
    slots = slots_of(kind(), threads=5)
    assert (slots.size, slots._threads) == (2, 5), "as the run itself has, whose numbers it makes"
    assert slots_of(kind(), threads=64).size == 1
    slots = slots_of(kind(workers=5, threads=4))
    assert (slots.size, slots._threads) == (5, 4)


def test_cuda_devices_are_taken_in_turn_and_the_runs_own_last(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    slots = slots_of(ProcessExecutor(), "cuda")
    assert (slots.size, slots._devices) == (4, ("cuda:1", "cuda:2", "cuda:3", "cuda:0"))
    one = slots_of(ProcessExecutor(workers=3), "cuda:1")
    assert (one.size, one._devices) == (3, ("cuda:1",))
    named = slots_of(ProcessExecutor(devices=("cuda:2", "cuda:3")), "cuda")
    assert (named.size, named._devices) == (2, ("cuda:2", "cuda:3"))


def test_short_trainings_of_small_networks_are_not_worth_a_process():
    auto = AutoExecutor()
    assert not auto.pays_for(generator_steps=4, threads=1)
    assert auto.pays_for(generator_steps=4, threads=4)
    assert auto.pays_for(generator_steps=700, threads=1)
    assert ProcessExecutor().pays_for(generator_steps=4, threads=1)
