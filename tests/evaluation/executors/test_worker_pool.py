"""Who does what, what it costs and what is done again; with workers that only pretend."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest
from pretending import Clock, PretendCrew, proposals, started
from scripted import ScriptedEvaluator

from nasgan.contracts import AskTellStrategy, Budget, Cost, Ledger, Proposal
from nasgan.errors import BudgetExhausted, ConfigError, NasganError, StorageError
from nasgan.evaluation import InProcessPool
from nasgan.evaluation.executors.worker_pool import WorkerPool
from nasgan.testing.toy_space import ToySpace


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("nasgan.evaluation.executors.worker_pool.time", clock)
    return clock


@pytest.fixture
def make(tmp_path):
    """Makes ``(pool, crew, ledger)``; budgets by name."""

    def made(size=2, *, attempts=2, timeout=None, **limits):
        ledger = Ledger(Budget(**limits))
        crew = PretendCrew(size)
        evaluator = ScriptedEvaluator(tmp_path, ledger)
        pool = WorkerPool(evaluator, ledger, crew, attempts=attempts, timeout=timeout)
        return pool, crew, ledger

    return made


# Who does what


def test_workers_start_when_there_is_something_to_do_and_no_more_than_needed(make, architectures):
    pool, crew, _ = make(3)
    assert pool.room() == 3
    assert crew.started == []
    pool.submit(Proposal(architectures[0]))
    assert [worker.number for worker in crew.started] == [0]
    pool.submit(Proposal(architectures[1]))
    assert [worker.number for worker in crew.started] == [0, 1]
    assert (pool.room(), pool.under_way) == (1, 2)
    assert pool.note == "the workers are starting"
    assert not any(worker.requests for worker in crew.started)
    crew.ready()
    pool.advance()
    assert [worker.candidate for worker in crew.started] == architectures[:2]
    assert pool.note == "2 under way"


def test_a_slow_candidate_does_not_hold_up_the_others(make, architectures):
    pool, crew, _ = make(2)
    slow, quick = started(pool, crew, architectures[:2])
    order = []
    for following in architectures[2:5]:
        crew.done(quick)
        order += pool.advance()
        pool.submit(Proposal(following))
    crew.done(slow)
    order += pool.advance()
    found = [evaluation.architecture for evaluation in order]
    assert found == [*architectures[1:4], architectures[0]]
    assert len(crew.started) == 2


def test_evaluations_that_arrive_together_come_together(make, architectures):
    pool, crew, _ = make(2)
    first, second = started(pool, crew, architectures[:2])
    crew.done(second)
    crew.done(first)
    found = [evaluation.architecture for evaluation in pool.advance()]
    assert found == [architectures[1], architectures[0]]
    assert (pool.under_way, pool.room()) == (0, 2)


def test_what_a_worker_learnt_reaches_the_next_that_needs_it(make, architectures):
    pool, crew, _ = make(2)
    first, second = started(pool, crew, architectures[:2])
    assert first.requests[-1]["kept"] == {}
    crew.done(first, kept={"count": 7})
    pool.advance()
    crew.done(second)
    pool.advance()
    pool.submit(Proposal(architectures[2]))
    pool.submit(Proposal(architectures[0], 20))
    assert first.candidate == architectures[2]
    assert (second.candidate, second.requests[-1]["kept"]) == (architectures[0], {"count": 7})


def test_the_workers_log_is_in_the_log_of_the_run(make, architectures, caplog):
    pool, crew, _ = make(1)
    (worker,) = started(pool, crew, architectures[:1])
    crew.done(worker, log=[["nasgan.evaluation.scratch", logging.WARNING, "trained again"]])
    pool.advance()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("nasgan.evaluation.scratch", logging.WARNING)
    assert record.getMessage() == "worker 0: trained again"


# What is done again


def test_a_lost_worker_costs_its_candidates_time_only(make, architectures, caplog):
    pool, crew, ledger = make(2)
    first, second = started(pool, crew, architectures[:2])
    crew.lost(first)
    assert pool.advance() == []
    assert first.stopped
    assert pool.note == "2 under way, 1 retried"
    replacement = crew.started[2]
    assert replacement.number == first.number
    assert f"candidate {architectures[0].id} is begun again: its worker was killed" in caplog.text
    crew.ready(replacement)
    pool.advance()
    assert replacement.candidate == architectures[0]
    crew.done(replacement)
    crew.done(second)
    assert [made.score for made in pool.advance()] == [1.0, 1.0]
    assert ledger.spent() == Cost(2, 20, 100, 2.0), "the lost attempt is not charged"


def test_a_candidate_that_is_lost_each_time_is_recorded_as_failed(make, architectures, clock):
    pool, crew, ledger = make(1)
    pool.submit(Proposal(architectures[0]))
    for _ in range(2):
        crew.ready(crew.started[-1])
        assert pool.advance() == []
        clock.now += 4
        crew.lost(crew.started[-1])
        made = pool.advance()
    (evaluation,) = made
    assert (evaluation.architecture, evaluation.score) == (architectures[0], None)
    assert evaluation.failure == "failed 2 times: its worker was killed by SIGKILL"
    assert evaluation.cost == Cost(architectures=1, device_seconds=4.0)
    assert ledger.spent() == evaluation.cost
    assert (pool.under_way, pool.room()) == (0, 1)
    pool.submit(Proposal(architectures[1]))
    crew.ready(crew.started[-1])
    pool.advance()
    crew.done(crew.started[-1])
    assert [other.score for other in pool.advance()] == [1.0], "the search goes on"


def test_an_unexpected_error_counts_like_a_lost_worker_and_costs_what_it_did(
    make, architectures, caplog
):
    pool, crew, ledger = make(1, attempts=1)
    (worker,) = started(pool, crew, architectures[:1])
    spent = Cost(generator_steps=3, images=12, device_seconds=0.5)
    message = {"kind": "failed", "reason": "RuntimeError: no memory", "trace": "Traceback: here"}
    crew.sent.append((worker, {**message, "cost": spent.to_json()}))
    (evaluation,) = pool.advance()
    assert evaluation.failure == "RuntimeError: no memory"
    assert ledger.spent() == evaluation.cost == Cost(1, 3, 12, 0.5)
    assert worker.stopped, "nobody knows what state it is in"
    assert "Traceback: here" in caplog.text


def test_a_retried_candidate_goes_before_those_that_wait(make, architectures):
    pool, crew, _ = make(1)
    pool.load_state_dict({"proposals": [p.to_json() for p in proposals(architectures[:3])]})
    pool.advance()
    crew.ready()
    pool.advance()
    crew.lost(crew.started[0])
    pool.advance()
    crew.ready(crew.started[1])
    pool.advance()
    assert crew.started[1].candidate == architectures[0]


def test_a_timeout_ends_the_worker(make, architectures, clock):
    pool, crew, _ = make(2, timeout=60.0)
    slow, other = started(pool, crew, architectures[:2])
    clock.now += 59
    crew.done(other)
    assert len(pool.advance()) == 1
    assert not slow.stopped
    clock.now += 2
    assert pool.advance() == []
    assert slow.stopped
    assert pool.note == "1 under way, 1 retried"


def test_workers_that_never_start_end_the_run_with_the_reason(make, architectures):
    pool, crew, _ = make(1)
    pool.submit(Proposal(architectures[0]))
    crew.lost(crew.started[0], "its worker ended with exit code 1")
    assert pool.advance() == []
    crew.lost(crew.started[1], "its worker ended with exit code 1")
    with pytest.raises(NasganError, match="do not start: its worker ended with exit code 1"):
        pool.advance()


def test_workers_killed_all_at_once_while_they_start_end_nothing(make, architectures):
    pool, crew, _ = make(2)
    for proposal in proposals(architectures[:2]):
        pool.submit(proposal)
    for worker in crew.started:
        crew.lost(worker)
    assert pool.advance() == []
    crew.ready(*crew.started[2:])
    pool.advance()
    assert [worker.candidate for worker in crew.started[2:]] == architectures[:2]
    assert pool.note == "2 under way", "no candidate had been begun"


def test_an_idle_worker_that_dies_harms_no_candidate(make, architectures):
    pool, crew, ledger = make(1)
    (worker,) = started(pool, crew, architectures[:1])
    crew.done(worker)
    crew.lost(worker)
    assert len(pool.advance()) == 1
    assert (pool.under_way, pool.note) == (0, "")
    pool.submit(Proposal(architectures[1]))
    assert len(crew.started) == 2
    assert ledger.spent().architectures == 1


@pytest.mark.parametrize(
    ("name", "kind"), [("ConfigError", ConfigError), ("StorageError", StorageError)]
)
def test_errors_that_a_user_has_to_hear_go_through(make, architectures, name, kind):
    pool, crew, _ = make(1)
    (worker,) = started(pool, crew, architectures[:1])
    crew.sent.append((worker, {"kind": "refused", "error": name, "message": "not so"}))
    with pytest.raises(kind, match="not so"):
        pool.advance()


def test_an_error_of_a_plugins_own_kind_keeps_its_message(make, architectures):
    pool, crew, _ = make(1)
    (worker,) = started(pool, crew, architectures[:1])
    message = "the search budget of 3 images is spent"
    crew.sent.append((worker, {"kind": "refused", "error": "BudgetExhausted", "message": message}))
    with pytest.raises(NasganError, match=message):
        pool.advance()


# What it costs


@pytest.mark.parametrize(
    ("limits", "unit"),
    [
        ({"architectures": 2}, "architectures"),
        ({"generator_steps": 25}, "generator_steps"),
    ],
)
def test_what_is_under_way_is_reserved(make, architectures, limits, unit):
    pool, crew, ledger = make(3, **limits)
    workers = started(pool, crew, architectures[:2])
    with pytest.raises(BudgetExhausted) as refused:
        pool.submit(Proposal(architectures[2]))
    assert refused.value.unit == unit
    assert pool.under_way == 2
    for worker in workers:
        crew.done(worker)
    pool.advance()
    assert getattr(ledger.spent(), unit) <= limits[unit]
    with pytest.raises(BudgetExhausted):
        pool.submit(Proposal(architectures[2]))


def test_a_shorter_evaluation_may_still_fit(make, architectures):
    pool, _, _ = make(2, generator_steps=15)
    pool.submit(Proposal(architectures[0]))
    with pytest.raises(BudgetExhausted):
        pool.submit(Proposal(architectures[1]))
    pool.submit(Proposal(architectures[1], 5))


class Listed(AskTellStrategy):
    """Proposes the architectures of a list."""

    name = "listed"
    finished = False

    def __init__(self, pool, ledger, choices):
        super().__init__()
        self.run = SimpleNamespace(pool=pool, ledger=ledger, space=ToySpace())
        self.choices = list(choices)

    def ask(self):
        return Proposal(self.choices.pop(0))


def test_a_refused_candidate_is_begun_when_another_cost_less_than_it_could(make, architectures):
    pool, crew, ledger = make(3, attempts=1, generator_steps=25)
    strategy = Listed(pool, ledger, architectures)
    strategy.step()
    crew.ready()
    strategy.step()
    assert pool.under_way == 2, "the third may cost more than is left"
    first = crew.started[0]
    cost = Cost(generator_steps=3).to_json()
    message = {"kind": "failed", "reason": "RuntimeError: it broke", "trace": "", "cost": cost}
    crew.sent.append((first, message))
    strategy.step()
    state = json.loads(json.dumps([pool.state_dict(), strategy.state_dict()]))

    again, crew, same_ledger = make(3, attempts=1, generator_steps=25)
    same_ledger.load_state_dict(ledger.state_dict())
    again.load_state_dict(state[0])
    resumed = Listed(again, same_ledger, architectures[3:])
    resumed.load_state_dict(state[1])
    for _ in range(2):
        resumed.step()
        crew.ready(*(worker for worker in crew.started if not worker.requests))
    resumed.step()
    assert [worker.candidate for worker in crew.started] == architectures[1:3]
    for worker in crew.started:
        crew.done(worker)
    assert len(resumed.step().evaluations) == 2
    assert same_ledger.spent().generator_steps == 23
    with pytest.raises(BudgetExhausted, match="25 generator_steps"):
        resumed.step()


def test_a_time_budget_ends_the_search_while_candidates_are_under_way(make, architectures, clock):
    pool, crew, ledger = make(2, device_seconds=100.0)
    first, second = started(pool, crew, architectures[:2])
    clock.now += 30
    crew.done(first, seconds=30.0)
    assert len(pool.advance()) == 1
    clock.now += 39
    assert pool.advance() == []
    clock.now += 1
    with pytest.raises(BudgetExhausted, match="100 device_seconds"):
        pool.advance()
    assert second.stopped
    assert pool.under_way == 0
    assert ledger.spent().device_seconds == pytest.approx(100.0)


def test_a_result_that_arrives_as_the_time_ends_is_heard(make, architectures, clock):
    pool, crew, _ = make(2, device_seconds=100.0)
    first, _ = started(pool, crew, architectures[:2])
    clock.now += 90
    crew.done(first, seconds=90.0)
    assert len(pool.advance()) == 1
    with pytest.raises(BudgetExhausted):
        pool.submit(Proposal(architectures[2]))
    with pytest.raises(BudgetExhausted):
        pool.advance()


def test_shared_weights_are_refused_with_the_reason(make, architectures):
    pool, crew, _ = make(1)
    pool._evaluator.needs_shared_weights = True
    with pytest.raises(ConfigError, match="the search's own process"):
        pool.submit(Proposal(architectures[0]))
    assert crew.started == []


# Stop and go on


def test_closing_stops_the_workers(make, architectures):
    pool, crew, _ = make(2)
    workers = started(pool, crew, architectures[:2])
    pool.close()
    assert all(worker.stopped for worker in workers)
    assert (pool.under_way, crew.dismissed) == (0, 1)


def test_a_worker_that_cannot_be_started_leaves_none_behind(make, architectures):
    pool, crew, _ = make(2)
    pool.load_state_dict({"proposals": [p.to_json() for p in proposals(architectures[:2])]})
    start = crew.start

    def start_but_one(number):
        if number:
            raise NasganError("no more processes")
        return start(number)

    crew.start = start_but_one
    with pytest.raises(NasganError, match="no more processes"):
        pool.advance()
    pool.close()
    assert [worker.stopped for worker in crew.started] == [True]


def test_a_resumed_search_begins_again_what_was_under_way_in_the_order_it_came(
    make, architectures, tmp_path
):
    pool, crew, _ = make(3)
    _, second, third = started(pool, crew, architectures[:3])
    crew.done(second, kept={"count": 1})
    crew.lost(third)
    pool.advance()
    pool.submit(Proposal(architectures[3], 20))
    state = json.loads(json.dumps(pool.state_dict()))

    again, crew, _ = make(1)
    again.load_state_dict(state)
    assert crew.started == []
    assert (again.under_way, again.room()) == (3, 0)
    assert again.note == "3 under way, 1 retried"
    again.advance()
    crew.ready()
    order = []
    for _ in range(3):
        again.advance()
        order.append(crew.started[0].candidate)
        crew.done(crew.started[0])
    assert order == [architectures[0], architectures[2], architectures[3]]
    assert crew.started[0].requests[2]["proposal"]["generator_steps"] == 20


def test_failed_attempts_count_over_a_resumption(make, architectures):
    pool, crew, _ = make(1)
    (worker,) = started(pool, crew, architectures[:1])
    crew.lost(worker)
    pool.advance()
    again, crew, _ = make(1)
    again.load_state_dict(pool.state_dict())
    again.advance()
    crew.ready()
    again.advance()
    crew.lost(crew.started[0])
    (evaluation,) = again.advance()
    assert evaluation.failure.startswith("failed 2 times")


def test_a_run_may_be_resumed_without_workers_and_with(make, architectures, arrive):
    pool, crew, _ = make(2)
    started(pool, crew, architectures[:2])
    alone = InProcessPool(pool._evaluator, pool._ledger)
    alone.load_state_dict(pool.state_dict())
    assert (alone.under_way, alone.room()) == (2, 0)
    found = [evaluation.architecture for evaluation in arrive(alone, 2)]
    assert found == architectures[:2]

    alone.submit(Proposal(architectures[2]))
    again, crew, _ = make(2)
    again.load_state_dict(alone.state_dict())
    again.advance()
    crew.ready()
    again.advance()
    assert crew.started[0].candidate == architectures[2]
