"""Candidates in workers: what they cost, and what is done again; in places that only pretend."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest
from pretending import Clock, PretendPlaces, proposals, started
from scripted import BUILDER, ScriptedEvaluator

from nasgan.contracts import AskTellStrategy, Budget, Cost, Ledger, Proposal
from nasgan.errors import BudgetExhausted, ConfigError, NasganError, StorageError
from nasgan.evaluation import InProcessPool
from nasgan.evaluation.executors import WorkOrder
from nasgan.evaluation.executors.worker_pool import WorkerPool
from nasgan.supervisor import Retries, Supervisor
from nasgan.testing.toy_space import ToySpace


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("nasgan.supervisor.supervisor.time", clock)
    return clock


@pytest.fixture
def make(tmp_path):
    """Makes ``(pool, places, ledger)``; budgets by name."""

    def made(size=2, *, attempts=2, losses=1, timeout=None, **limits):
        ledger = Ledger(Budget(**limits))
        places = PretendPlaces(size)
        supervisor = Supervisor(places, Retries(attempts, losses))
        evaluator = ScriptedEvaluator(tmp_path, ledger)
        order = WorkOrder(BUILDER, {"folder": str(tmp_path)})
        pool = WorkerPool(evaluator, ledger, supervisor, order, timeout=timeout, owns=True)
        return pool, places, ledger

    return made


# Who does what


def test_candidates_begin_at_once_and_no_more_than_there_is_room_for(make, architectures):
    pool, places, _ = make(3)
    assert pool.room() == 3
    assert places.begun == []
    pool.submit(Proposal(architectures[0]))
    assert [attempt.candidate for attempt in places.begun] == architectures[:1]
    pool.submit(Proposal(architectures[1]))
    assert [attempt.candidate for attempt in places.begun] == architectures[:2]
    assert (pool.room(), pool.under_way) == (1, 2)
    assert pool.note == "2 under way"


def test_while_nothing_has_begun_the_workers_are_said_to_start(make, architectures, monkeypatch):
    pool, _, _ = make(2)
    monkeypatch.setattr(PretendPlaces, "starting", True)
    assert pool.note == ""
    pool.submit(Proposal(architectures[0]))
    assert pool.note == "the workers are starting"


def test_a_slow_candidate_does_not_hold_up_the_others(make, architectures):
    pool, places, _ = make(2)
    slow, _ = started(pool, places, architectures[:2])
    order = []
    for following in architectures[2:5]:
        places.done(places.begun[-1])
        order += pool.advance()
        pool.submit(Proposal(following))
    places.done(slow)
    order += pool.advance()
    found = [evaluation.architecture for evaluation in order]
    assert found == [*architectures[1:4], architectures[0]]
    assert len(places.running) == 1


def test_evaluations_that_arrive_together_come_together(make, architectures):
    pool, places, _ = make(2)
    first, second = started(pool, places, architectures[:2])
    places.done(second)
    places.done(first)
    found = [evaluation.architecture for evaluation in pool.advance()]
    assert found == [architectures[1], architectures[0]]
    assert (pool.under_way, pool.room()) == (0, 2)


def test_what_another_has_heard_counts_as_under_way_until_it_is_told(make, architectures):
    """Final trainings wait on the same supervisor, and hear of candidates, too."""
    pool, places, ledger = make(2, architectures=2)
    first, second = started(pool, places, architectures[:2])
    places.done(first)
    places.done(second)
    pool._supervisor.advance(0.0)
    assert (pool.under_way, ledger.spent().architectures) == (2, 2)
    saved = json.loads(json.dumps(pool.state_dict()))
    assert [each.architecture for each in pool.advance()] == architectures[:2]
    assert pool.under_way == 0

    resumed, _, _ = make(2, architectures=2)
    for other in (resumed, InProcessPool(pool._evaluator, ledger)):
        other.load_state_dict(saved)
        assert [each.architecture for each in other.advance()] == architectures[:2]
        assert other.under_way == 0


def test_a_cluster_that_grows_has_more_room(make, architectures):
    pool, places, _ = make(1)
    started(pool, places, architectures[:1])
    assert pool.room() == 0
    places.room = 3
    assert pool.room() == 2


def test_what_a_worker_learnt_reaches_the_next_that_needs_it(make, architectures):
    pool, places, _ = make(2)
    first, second = started(pool, places, architectures[:2])
    assert first.order["kept"] == {}
    places.done(first, kept={"count": 7})
    pool.advance()
    places.done(second)
    pool.advance()
    pool.submit(Proposal(architectures[2]))
    pool.submit(Proposal(architectures[0], 20))
    other, again = places.begun[2:]
    assert other.candidate == architectures[2]
    assert (again.candidate, again.order["kept"]) == (architectures[0], {"count": 7})


def test_the_workers_log_is_in_the_log_of_the_run(make, architectures, caplog):
    pool, places, _ = make(1)
    (attempt,) = started(pool, places, architectures[:1])
    record = ["nasgan.evaluation.scratch", logging.WARNING, "trained again"]
    places.done(attempt, log=[record], worker=0)
    pool.advance()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("nasgan.evaluation.scratch", logging.WARNING)
    assert record.getMessage() == "worker 0: trained again"


# What is done again


def test_a_lost_worker_costs_its_candidates_time_only(make, architectures, caplog):
    pool, places, ledger = make(2)
    first, second = started(pool, places, architectures[:2])
    places.lost(first)
    assert pool.advance() == []
    assert pool.note == "2 under way, 1 retried"
    assert f"candidate {architectures[0].id} is begun again: its worker was killed" in caplog.text
    again = places.begun[2]
    assert again.candidate == architectures[0]
    places.done(again)
    places.done(second)
    assert [made.score for made in pool.advance()] == [1.0, 1.0]
    assert ledger.spent() == Cost(2, 20, 100, 2.0), "the lost attempt is not charged"


def test_two_lost_machines_do_not_make_a_candidate_failed(make, architectures):
    pool, places, _ = make(1, attempts=1, losses=10)
    started(pool, places, architectures[:1])
    for _ in range(10):
        places.lost(places.begun[-1])
        while not places.running:
            assert pool.advance() == []
    places.done(places.begun[-1])
    (made,) = pool.advance()
    assert (made.score, made.failure) == (1.0, "")


def test_a_candidate_that_is_lost_each_time_is_recorded_as_failed(make, architectures, clock):
    pool, places, ledger = make(1)
    pool.submit(Proposal(architectures[0]))
    for _ in range(2):
        clock.now += 4
        places.lost(places.begun[-1])
        made = pool.advance()
    (evaluation,) = made
    assert (evaluation.architecture, evaluation.score) == (architectures[0], None)
    assert evaluation.failure == "failed 2 times: its worker was killed by SIGKILL"
    assert evaluation.cost == Cost(architectures=1, device_seconds=4.0)
    assert ledger.spent() == evaluation.cost
    assert (pool.under_way, pool.room()) == (0, 1)
    pool.submit(Proposal(architectures[1]))
    places.done(places.begun[-1])
    assert [other.score for other in pool.advance()] == [1.0], "the search goes on"


def test_an_unexpected_error_is_the_candidates_own_and_costs_what_it_did(
    make, architectures, caplog
):
    pool, places, ledger = make(1, attempts=1)
    (attempt,) = started(pool, places, architectures[:1])
    spent = Cost(generator_steps=3, images=12, device_seconds=0.5)
    places.failed(attempt, "RuntimeError: no memory", spent.to_json())
    (evaluation,) = pool.advance()
    assert evaluation.failure == "RuntimeError: no memory"
    assert ledger.spent() == evaluation.cost == Cost(1, 3, 12, 0.5)
    assert "Traceback: here" in caplog.text


def test_a_retried_candidate_goes_before_those_that_wait(make, architectures):
    pool, places, _ = make(1)
    pool.load_state_dict({"proposals": [p.to_json() for p in proposals(architectures[:3])]})
    pool.advance()
    places.lost(places.begun[0])
    pool.advance()
    assert places.begun[1].candidate == architectures[0]


def test_a_timeout_ends_the_worker(make, architectures, clock):
    pool, places, _ = make(2, timeout=60.0)
    slow, other = started(pool, places, architectures[:2])
    clock.now += 59
    places.done(other)
    assert len(pool.advance()) == 1
    assert not slow.ended
    clock.now += 2
    assert pool.advance() == []
    assert slow.ended
    assert pool.note == "1 under way, 1 retried"


def test_workers_that_never_start_end_the_run_with_the_reason(make, architectures):
    pool, places, _ = make(1)
    pool.submit(Proposal(architectures[0]))
    for attempt in range(2):
        reason = "its worker ended with exit code 1"
        places.lost(places.begun[attempt], reason, starting=True)
        if not attempt:
            assert pool.advance() == []
    with pytest.raises(NasganError, match="do not start: its worker ended with exit code 1"):
        pool.advance()


def test_workers_killed_all_at_once_while_they_start_end_nothing(make, architectures):
    pool, places, _ = make(2)
    for attempt in list(started(pool, places, architectures[:2])):
        places.lost(attempt, starting=True)
    assert pool.advance() == []
    found = {attempt.candidate for attempt in places.begun[2:]}
    assert found == set(architectures[:2])
    assert pool.note == "2 under way", "no candidate had been begun"


@pytest.mark.parametrize(
    ("name", "kind"), [("ConfigError", ConfigError), ("StorageError", StorageError)]
)
def test_errors_that_a_user_has_to_hear_go_through(make, architectures, name, kind):
    pool, places, _ = make(1)
    (attempt,) = started(pool, places, architectures[:1])
    places.tell(attempt, kind="refused", error=name, message="not so")
    with pytest.raises(kind, match="not so"):
        pool.advance()


def test_an_error_of_a_plugins_own_kind_keeps_its_message(make, architectures):
    pool, places, _ = make(1)
    (attempt,) = started(pool, places, architectures[:1])
    message = "the search budget of 3 images is spent"
    places.tell(attempt, kind="refused", error="BudgetExhausted", message=message)
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
    pool, places, ledger = make(3, **limits)
    attempts = list(started(pool, places, architectures[:2]))
    with pytest.raises(BudgetExhausted) as refused:
        pool.submit(Proposal(architectures[2]))
    assert refused.value.unit == unit
    assert pool.under_way == 2
    for attempt in attempts:
        places.done(attempt)
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
    pool, places, ledger = make(3, attempts=1, generator_steps=25)
    strategy = Listed(pool, ledger, architectures)
    strategy.step()
    assert pool.under_way == 2, "the third may cost more than is left"
    places.failed(places.begun[0], cost=Cost(generator_steps=3).to_json())
    strategy.step()
    state = json.loads(json.dumps([pool.state_dict(), strategy.state_dict()]))

    again, places, same_ledger = make(3, attempts=1, generator_steps=25)
    same_ledger.load_state_dict(ledger.state_dict())
    again.load_state_dict(state[0])
    resumed = Listed(again, same_ledger, architectures[3:])
    resumed.load_state_dict(state[1])
    resumed.step()
    assert [attempt.candidate for attempt in places.begun] == architectures[1:3]
    for attempt in places.begun:
        places.done(attempt)
    assert len(resumed.step().evaluations) == 2
    assert same_ledger.spent().generator_steps == 23
    with pytest.raises(BudgetExhausted, match="25 generator_steps"):
        resumed.step()


def test_a_time_budget_ends_the_search_while_candidates_are_under_way(make, architectures, clock):
    pool, places, ledger = make(2, device_seconds=100.0)
    first, second = started(pool, places, architectures[:2])
    clock.now += 30
    places.done(first, seconds=30.0)
    assert len(pool.advance()) == 1
    clock.now += 39
    assert pool.advance() == []
    clock.now += 1
    with pytest.raises(BudgetExhausted, match="100 device_seconds"):
        pool.advance()
    assert second.ended
    assert pool.under_way == 0
    assert ledger.spent().device_seconds == pytest.approx(100.0)


def test_a_result_that_arrives_as_the_time_ends_is_heard(make, architectures, clock):
    pool, places, _ = make(2, device_seconds=100.0)
    first, _ = started(pool, places, architectures[:2])
    clock.now += 90
    places.done(first, seconds=90.0)
    assert len(pool.advance()) == 1
    with pytest.raises(BudgetExhausted):
        pool.submit(Proposal(architectures[2]))
    with pytest.raises(BudgetExhausted):
        pool.advance()


def test_shared_weights_are_refused_with_the_reason(make, architectures):
    pool, places, _ = make(1)
    pool._evaluator.needs_shared_weights = True
    with pytest.raises(ConfigError, match="the search's own process"):
        pool.submit(Proposal(architectures[0]))
    assert places.begun == []


# Stop and go on


def test_closing_stops_the_workers(make, architectures):
    pool, places, _ = make(2)
    attempts = started(pool, places, architectures[:2])
    pool.close()
    assert all(attempt.ended for attempt in attempts)
    assert (pool.under_way, places.closed) == (0, 1)


def test_a_pool_that_shares_its_supervisor_ends_its_own_candidates_only(make, architectures):
    pool, places, _ = make(2)
    pool._owns = False
    attempts = started(pool, places, architectures[:2])
    pool.close()
    assert all(attempt.ended for attempt in attempts)
    assert places.closed == 0


def test_a_worker_that_cannot_be_started_leaves_none_behind(make, architectures):
    pool, places, _ = make(2)
    pool.load_state_dict({"proposals": [p.to_json() for p in proposals(architectures[:2])]})
    begin = places.begin

    def begin_but_one(ticket, request):
        if places.begun:
            raise NasganError("no more processes")
        begin(ticket, request)

    places.begin = begin_but_one
    with pytest.raises(NasganError, match="no more processes"):
        pool.advance()
    pool.close()
    assert [attempt.ended for attempt in places.begun] == [True]


def test_a_resumed_search_begins_again_what_was_under_way_in_the_order_it_came(
    make, architectures, tmp_path
):
    pool, places, _ = make(3)
    _, second, third = started(pool, places, architectures[:3])
    places.done(second, kept={"count": 1})
    places.lost(third)
    pool.advance()
    pool.submit(Proposal(architectures[3], 20))
    state = json.loads(json.dumps(pool.state_dict()))

    again, places, _ = make(1)
    again.load_state_dict(state)
    assert places.begun == []
    assert (again.under_way, again.room()) == (3, 0)
    assert again.note == "3 under way, 1 retried"
    again.advance()
    order = []
    for _ in range(3):
        again.advance()
        order.append(places.begun[-1].candidate)
        places.done(places.begun[-1])
    assert order == [architectures[0], architectures[2], architectures[3]]
    assert places.begun[2].order["proposal"]["generator_steps"] == 20


@pytest.mark.parametrize("cause", ["lost", "failed"])
def test_failed_attempts_count_over_a_resumption(make, architectures, cause):
    pool, places, _ = make(1)
    (attempt,) = started(pool, places, architectures[:1])
    getattr(places, cause)(attempt)
    pool.advance()
    again, places, _ = make(1)
    again.load_state_dict(json.loads(json.dumps(pool.state_dict())))
    again.advance()
    getattr(places, cause)(places.begun[0])
    (evaluation,) = again.advance()
    assert evaluation.failure.startswith("failed 2 times")


def test_a_run_may_be_resumed_without_workers_and_with(make, architectures, arrive):
    pool, places, _ = make(2)
    started(pool, places, architectures[:2])
    alone = InProcessPool(pool._evaluator, pool._ledger)
    alone.load_state_dict(pool.state_dict())
    assert (alone.under_way, alone.room()) == (2, 0)
    found = [evaluation.architecture for evaluation in arrive(alone, 2)]
    assert found == architectures[:2]

    alone.submit(Proposal(architectures[2]))
    again, places, _ = make(2)
    again.load_state_dict(alone.state_dict())
    again.advance()
    assert places.begun[0].candidate == architectures[2]
