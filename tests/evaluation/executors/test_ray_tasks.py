"""The executor of several machines, on a Ray of this one; skipped where Ray is not installed."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from scripted import BUILDER, Script, ScriptedEvaluator

from nasgan.contracts import Ledger, Proposal
from nasgan.errors import ConfigError, DatasetError
from nasgan.evaluation.executors import RayExecutor, WorkOrder
from nasgan.evaluation.executors.worker_pool import WorkerPool
from nasgan.supervisor.ray_tasks import _reason

# Not imported here: what it prints is settled when the supervisor imports it.
IS_THERE = importlib.util.find_spec("ray") is not None
pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not IS_THERE, reason="ray is not installed"),
]


def is_connected() -> bool:
    return "ray" in sys.modules and sys.modules["ray"].is_initialized()


@pytest.fixture(scope="module")
def shared_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WorkerPool, Script]]:
    folder = tmp_path_factory.mktemp("script")
    ledger = Ledger()
    order = WorkOrder(BUILDER, {"folder": str(folder)})
    pool = RayExecutor(workers=2, cpus=1).open(ScriptedEvaluator(folder, ledger), ledger, order)
    assert not is_connected(), "nothing starts before there is something to do"
    yield pool, Script(folder)
    pool.close()
    assert not is_connected()


def begin(pool, script, architecture, *lines):
    """Submit it with a script; gives the process that begins it."""
    for file in script.folder.glob(f"{architecture.id}.*"):
        file.unlink()
    script.say(architecture, *lines)
    pool.submit(Proposal(architecture))


def attempt(pool, script, architecture, number=0):
    while len(script.attempts(architecture)) <= number:
        assert pool.advance() == []
        time.sleep(0.01)
    return script.attempts(architecture)[number]


def test_a_slow_candidate_does_not_stall_the_others(shared_pool, architectures, arrive, caplog):
    pool, script = shared_pool
    slow, first, second = architectures[:3]
    begin(pool, script, slow, "wait")
    attempt(pool, script, slow)
    begin(pool, script, first, "warn")
    order = arrive(pool, 1)
    begin(pool, script, second)
    order += arrive(pool, 1)
    script.let_go(slow)
    order += arrive(pool, 1)
    assert [made.architecture for made in order] == [first, second, slow]
    assert [made.score for made in order] == [float(int(a.id, 16)) for a in (first, second, slow)]
    assert "the loss is high" in caplog.text


def test_a_killed_worker_costs_its_candidates_time_only(shared_pool, architectures, arrive):
    pool, script = shared_pool
    before = pool._ledger.spent().architectures
    begin(pool, script, architectures[3], "wait")
    pid = attempt(pool, script, architectures[3])
    os.kill(pid, signal.SIGKILL)
    (evaluation,) = arrive(pool, 1)
    assert evaluation.failure == ""
    assert script.attempts(architectures[3])[1] != pid
    assert pool._ledger.spent().architectures - before == 1


def test_a_candidate_that_fails_each_time_is_recorded_as_failed(shared_pool, architectures, arrive):
    pool, script = shared_pool
    begin(pool, script, architectures[4], "die", "raise", "raise")
    (evaluation,) = arrive(pool, 1)
    assert evaluation.score is None
    assert evaluation.failure.startswith("failed 3 times: its worker is gone: ")
    assert evaluation.failure.endswith("RuntimeError: CUDA out of memory")


def test_bad_input_ends_the_run_at_once(shared_pool, architectures, arrive):
    pool, script = shared_pool
    begin(pool, script, architectures[5], "refuse")
    with pytest.raises(DatasetError, match="the data are gone"):
        arrive(pool, 1)


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (
            "The actor died unexpectedly.\n\tclass_name: RayActor\nThere are",
            "The actor died unexpectedly.",
        ),
        (
            "The actor died because of an error in ray::RayActor.__init__() (pid=7)\n    ^^^^\n"
            "ModuleNotFoundError: No module named 'nasgan'",
            "ModuleNotFoundError: No module named 'nasgan'",
        ),
    ],
)
def test_the_reason_is_the_line_that_says_it(report, reason):
    assert _reason(RuntimeError(report)) == reason


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ConnectionError("nobody there"), "no connection to a Ray cluster: nobody"),
        (RuntimeError("Version mismatch"), "no connection to a Ray cluster: Version"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_reported(
    tmp_path, shared_pool, monkeypatch, raised, message
):
    pool, _ = shared_pool
    pool.close()

    def init(*arguments, **settings):
        raise raised

    # A search for a real one could find somebody else's.
    monkeypatch.setattr(sys.modules["ray"], "init", init)
    other = RayExecutor(address="auto").open(
        ScriptedEvaluator(tmp_path, Ledger()), Ledger(), WorkOrder(BUILDER, {})
    )
    with pytest.raises(ConfigError, match=f"executor.address=auto: {message}"):
        other.room()
    other.close()
