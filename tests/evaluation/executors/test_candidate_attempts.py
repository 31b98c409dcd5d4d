"""Candidates whose attempts end half-way: the next one goes on, to the same last bit."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pretending import PretendPlaces
from scripted import BUILDER, ScriptedEvaluator

from nasgan.contracts import Budget, Evaluation, Ledger, Proposal
from nasgan.errors import BudgetExhausted
from nasgan.evaluation import InProcessPool, ScratchEvaluator, TrainingTask, attempts
from nasgan.evaluation.executors import WorkOrder, candidate
from nasgan.evaluation.executors.worker_pool import WorkerPool
from nasgan.state_files import Checkpoints
from nasgan.supervisor import Retries, Supervisor
from nasgan.testing.toy_space import ToySpace

STEPS = 6


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of ours is done after it."""


@pytest.fixture
def score(make_context, tmp_path, monkeypatch):
    """Scores one candidate as a worker that has just started does; ``killed_after`` advances."""
    architecture = ToySpace().sample(np.random.default_rng(3))
    (tmp_path / "under_way").mkdir()

    def scored(name, every_seconds=0.0, killed_after=None):
        """The evaluation without its time, and the step at the beginning of each advance."""
        run = make_context()
        evaluator = ScratchEvaluator(generator_steps=STEPS)
        evaluator.setup(run)
        order = {
            "proposal": Proposal(architecture).to_json(),
            "kept": {},
            "folder": str(tmp_path / "under_way" / name),
            "every_seconds": every_seconds,
        }
        steps = []
        advance = TrainingTask.advance

        def noted(task):
            if len(steps) == killed_after:
                raise KilledError
            steps.append(task.generator_steps)
            advance(task)

        with monkeypatch.context() as patch:
            # One iteration an advance.
            patch.setattr("nasgan.evaluation.training_task._PIECE_SECONDS", 0.0)
            patch.setattr(TrainingTask, "advance", noted)
            if killed_after is not None:
                with pytest.raises(KilledError):
                    candidate._scored(evaluator, run.ledger, order)
                return None, steps
            made = candidate._scored(evaluator, run.ledger, order)
        evaluation = Evaluation.from_json(made["evaluation"])
        spent = run.ledger.spent()
        assert spent == evaluation.cost, "what the lost attempt had done is charged once"
        return replace(evaluation, cost=replace(spent, device_seconds=0.0)), steps

    return scored


def test_a_killed_candidate_goes_on_from_its_checkpoint_to_the_same_last_bit(score, caplog):
    whole, all_steps = score("whole", every_seconds=1000.0)
    assert all_steps == list(range(STEPS))
    _, before = score("killed", killed_after=3)
    assert before == [0, 1, 2]
    with caplog.at_level(logging.INFO):
        _, between = score("killed", killed_after=2)
        again, rest = score("killed")
    assert (between, rest) == ([3, 4], [5])
    assert again == whole
    assert caplog.text.count("going on from a checkpoint") == 2


def test_each_attempt_writes_to_a_folder_of_its_own(score, tmp_path):
    score("killed", killed_after=3)
    score("killed", killed_after=2)
    attempts = sorted((tmp_path / "under_way" / "killed").iterdir())
    kept = [Checkpoints(path).load_newest()["task"]["trainer"] for path in attempts]
    assert sorted(state["generator_steps"] for state in kept) == [3, 5]


def test_a_short_candidate_leaves_no_file(score, tmp_path):
    score("short", every_seconds=1000.0, killed_after=4)
    assert list((tmp_path / "under_way").iterdir()) == []
    _, steps = score("short")
    assert steps == list(range(STEPS))


def test_a_machine_that_does_not_see_the_folder_says_so_and_begins_anew(score, tmp_path, caplog):
    attempts._warn_of_unshared.cache_clear()
    (tmp_path / "under_way").rmdir()
    score("killed", killed_after=3)
    _, steps = score("killed")
    assert steps == list(range(STEPS))
    assert caplog.text.count("candidates that are lost there begin anew") == 1
    assert not (tmp_path / "under_way").exists(), "it would be a folder of that machine alone"


# From the search's own process to workers, and back


class Half:
    """A search of one candidate, resumed in other ways; each process has its own evaluator."""

    def __init__(self, make_context, root):
        self.make_context = make_context
        self.root = root
        self.proposal = Proposal(ToySpace().sample(np.random.default_rng(3)))
        self.ledger = {}

    def evaluator(self):
        run = self.make_context()
        evaluator = ScratchEvaluator(generator_steps=STEPS)
        evaluator.setup(run)
        return evaluator, run.ledger

    def resumed(self, kind, state):
        """The pool, its ledger, and its places if it has some."""
        evaluator, ledger = self.evaluator()
        ledger.load_state_dict(self.ledger)
        if kind is InProcessPool:
            found = partial(candidate.half_done, self.root, evaluator)
            pool, places = InProcessPool(evaluator, ledger, found), None
        else:
            places = PretendPlaces(1)
            order = WorkOrder(BUILDER, {}, folder=self.root)
            pool = WorkerPool(evaluator, ledger, Supervisor(places), order)
        if state is None:
            pool.submit(self.proposal)
        else:
            pool.load_state_dict(state)
        return pool, ledger, places

    def here(self, state, advances):
        """The pool's state after so many advances in one process."""
        pool, ledger, _ = self.resumed(InProcessPool, state)
        for _ in range(advances):
            assert pool.advance() == []
        self.ledger = ledger.state_dict()
        return pool.state_dict()

    def in_a_worker(self, order, steps):
        """What a worker answers that is killed after so many steps; None: it is not."""
        evaluator, ledger = self.evaluator()
        order = {**order, "every_seconds": 0.0}
        advance, left = TrainingTask.advance, [steps]

        def counted(task):
            if left[0] == 0:
                raise KilledError
            left[0] = None if left[0] is None else left[0] - 1
            self.trained.append(task.generator_steps)
            advance(task)

        self.trained = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainingTask, "advance", counted)
            try:
                return candidate._scored(evaluator, ledger, order)
            except KilledError:
                return None


@pytest.fixture
def half(make_context, tmp_path, monkeypatch):
    monkeypatch.setattr("nasgan.evaluation.training_task._PIECE_SECONDS", 0.0)
    return Half(make_context, tmp_path / "under_way")


def assert_charged_once(ledger, evaluation):
    spent, cost = ledger.spent(), evaluation.cost
    assert spent.device_seconds == pytest.approx(cost.device_seconds)
    assert replace(spent, device_seconds=0.0) == replace(cost, device_seconds=0.0)


def timeless(evaluation):
    return replace(evaluation, cost=replace(evaluation.cost, device_seconds=0.0))


@pytest.fixture
def whole(half):
    """The evaluation that nothing has stopped."""
    made = half.in_a_worker({**request_of(half), "folder": None}, None)
    return timeless(Evaluation.from_json(made["evaluation"]))


def request_of(half):
    return candidate.request(half.evaluator()[0], half.proposal)


def test_a_worker_goes_on_with_what_the_search_itself_had_half_done(half, whole):
    state = half.here(None, 3)
    pool, ledger, places = half.resumed(WorkerPool, state)
    before = ledger.spent()
    assert before.generator_steps == 3
    assert pool.advance() == []
    (attempt,) = places.begun
    made = half.in_a_worker(attempt.order, None)
    assert half.trained == [3, 4, 5]
    places.tell(attempt, kind="done", result=made)
    (evaluation,) = pool.advance()
    assert timeless(evaluation) == whole
    assert_charged_once(ledger, evaluation)


def test_what_goes_from_the_search_to_a_worker_and_back_is_charged_once(half, whole):
    state = half.here(None, 2)
    pool, ledger, places = half.resumed(WorkerPool, state)
    pool.advance()
    assert half.in_a_worker(places.begun[0].order, 2) is None
    half.ledger = ledger.state_dict()
    assert ledger.spent().generator_steps == 2
    pool, ledger, _ = half.resumed(InProcessPool, pool.state_dict())
    made = pool.advance()
    assert ledger.spent().generator_steps == 5
    while not made:
        made = pool.advance()
    assert timeless(made[0]) == whole
    assert_charged_once(ledger, made[0])


def test_the_budget_covers_the_rest_of_what_the_search_had_half_done(half):
    state = half.here(None, 4)
    pool, ledger, _ = half.resumed(WorkerPool, state)
    ledger.budget = Budget(generator_steps=2 * STEPS)
    pool.submit(half.proposal)
    with pytest.raises(BudgetExhausted):
        pool.submit(half.proposal)


# Where the search keeps them


def pool_in(folder, architectures):
    ledger, places = Ledger(), PretendPlaces(2)
    order = WorkOrder(BUILDER, {"folder": str(folder)}, folder=folder / "under_way")
    supervisor = Supervisor(places, Retries(attempts=2, losses=1))
    return WorkerPool(ScriptedEvaluator(folder, ledger), ledger, supervisor, order), places


def folders_of(places):
    return [Path(attempt.order["folder"]) for attempt in places.begun]


def test_attempts_and_a_resumed_search_find_the_folder_of_their_candidate(tmp_path, architectures):
    pool, places = pool_in(tmp_path, architectures)
    for architecture in (architectures[0], architectures[0]):
        pool.submit(Proposal(architecture))
    pool.submit(Proposal(architectures[1], 7))
    places.lost(places.begun[0])
    pool.advance()
    first, second, again = folders_of(places)
    assert first == again != second, "the same architecture twice is two candidates"
    assert {first.parent, second.parent} == {tmp_path / "under_way"}
    saved = json.loads(json.dumps(pool.state_dict()))
    other, places = pool_in(tmp_path, architectures)
    other.load_state_dict(saved)
    other.advance()
    assert folders_of(places) == [first, second]
    # What is proposed after the checkpoint finds its own, too, if it is the same again.
    for each, proposal in ((pool, Proposal(architectures[2])), (other, Proposal(architectures[2]))):
        each.submit(proposal)
    assert pool._jobs[-1].number == other._jobs[-1].number == 4


def test_another_proposal_with_the_same_number_has_another_folder(tmp_path, architectures):
    found = []
    for proposal in (Proposal(architectures[0]), Proposal(architectures[0], 9)):
        pool, places = pool_in(tmp_path, architectures)
        pool.submit(proposal)
        found += folders_of(places)
    assert found[0] != found[1]


@pytest.mark.parametrize("end", ["done", "closed"])
def test_what_a_candidate_was_resumed_from_goes_with_it(tmp_path, architectures, end):
    pool, places = pool_in(tmp_path, architectures)
    pool.submit(Proposal(architectures[0]))
    (folder,) = folders_of(places)
    (folder / "attempt-1").mkdir(parents=True)
    if end == "done":
        places.done(places.begun[0])
        assert len(pool.advance()) == 1
    else:
        pool.close()
    assert not folder.exists()
