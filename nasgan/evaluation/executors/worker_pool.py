"""Evaluations under way in several workers: what they are expected to cost, and what they learn."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nasgan import atomic
from nasgan.contracts import Cost, Evaluation, EvaluationPool, Evaluator, Ledger, Proposal
from nasgan.errors import BudgetExhausted, ConfigError
from nasgan.evaluation.arrival import check_parent
from nasgan.evaluation.executors.candidate import SCORE, candidate_folder, hand_over, request
from nasgan.evaluation.pool import candidates_in
from nasgan.run_settings import CheckpointSettings
from nasgan.supervisor import Outcome, Piece, Supervisor, Work

__all__ = ["WorkOrder", "WorkerPool"]

# `advance` comes back after so long at the latest, for progress and checkpoints.
_WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class WorkOrder:
    """How a worker comes to an evaluator that scores as this process's does.

    Attributes:
        builder: ``"module:function"``, called in the worker as ``function(settings, device=...,
            threads=...)``; gives the evaluator and the ledger, without limits, that it charges.
        settings: JSON data for the builder.
        device: of this process; workers may be put on others of its kind.
        folder: for checkpoints of candidates, the same on all machines; None: there are none.
        every_seconds: between the checkpoints of one.
    """

    builder: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    folder: Path | None = None
    every_seconds: float = CheckpointSettings.every_seconds


@dataclass(eq=False)
class _Job:
    """A candidate under way, what it is expected to cost, and how often it failed before.

    Its number is that of the order in which the search has proposed them. Of what it costs the
    ledger may have been charged a part, when the search did it in its own process.
    """

    proposal: Proposal
    number: int
    paid: Cost
    expected: Cost
    errors: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    work: Work | None = None
    folder: Path | None = None

    @property
    def seconds(self) -> float:
        return 0.0 if self.work is None else self.work.seconds


class WorkerPool(EvaluationPool):
    """Scores by the pieces of a supervisor; evaluations arrive in the order in which they end.

    The ledger is charged on arrival with what the evaluation says it cost. What is under way is
    reserved, so that a budget of architectures, generator steps or images is never passed. A time
    budget (device seconds) ends the search when those under way have used it up, and drops them.

    Lost attempts are not charged, as in a resumed run; the last one of a candidate that fails for
    good is.

    Args:
        evaluator: keeps what the workers' evaluators learn, and is checkpointed with it.
        ledger: the run's.
        supervisor: has candidates scored.
        order: for the workers.
        timeout: seconds that an attempt may take.
        owns: whether the supervisor has nothing else to do, and ends with the pool.
    """

    begins_again = True

    def __init__(
        self,
        evaluator: Evaluator,
        ledger: Ledger,
        supervisor: Supervisor,
        order: WorkOrder,
        *,
        timeout: float | None = None,
        owns: bool = False,
    ) -> None:
        self._evaluator = evaluator
        self._ledger = ledger
        self._supervisor = supervisor
        self._order = order
        self._timeout = timeout
        self._owns = owns
        self._jobs: list[_Job] = []
        self._arrived: list[Evaluation] = []
        self._retried = 0
        self._proposed = 0

    def room(self, together: int = 1) -> int:
        """See `EvaluationPool.room`: one for each worker, however many are proposed at once."""
        del together
        return max(0, self._supervisor.size - len(self._jobs))

    @property
    def under_way(self) -> int:
        """See `EvaluationPool.under_way`; what has ended counts until `advance` tells of it."""
        return len(self._jobs) + len(self._arrived)

    @property
    def note(self) -> str:
        """See `EvaluationPool.note`."""
        if self._jobs and self._supervisor.places.starting:
            return "the workers are starting"
        retried = self._retried + sum(len(job.errors) + len(job.losses) for job in self._jobs)
        parts = {"under way": len(self._jobs), "retried": retried}
        return ", ".join(f"{count} {what}" for what, count in parts.items() if count)

    def submit(self, proposal: Proposal) -> None:
        """See `EvaluationPool.submit`."""
        if self._evaluator.needs_shared_weights:
            raise ConfigError(
                "workers cannot score with shared weights, which live in the search's own process: "
                "use executor=in_process, or evaluator=scratch"
            )
        check_parent(self._evaluator, proposal)
        expected = self._evaluator.expected_cost(proposal)
        self._check_budget(expected)
        self._proposed += 1
        self._jobs.append(_Job(proposal, self._proposed, Cost(), expected))
        self._begin_waiting()
        self._supervisor.fill()

    def _check_budget(self, expected: Cost) -> None:
        reserved = sum((job.expected - job.paid for job in self._jobs), Cost())
        self._ledger.require(reserved + expected)
        if self._seconds_under_way() >= self._ledger.remaining("device_seconds"):
            limit = self._ledger.budget.device_seconds
            assert limit is not None
            raise BudgetExhausted("device_seconds", limit)

    def _seconds_under_way(self) -> float:
        return sum(job.seconds for job in self._jobs)

    def _begin_waiting(self) -> None:
        """Give the supervisor as many as there is room for: the rest may learn from others."""
        given = sum(job.work is not None for job in self._jobs)
        waiting = [job for job in self._jobs if job.work is None]
        for job in waiting[: max(0, self._supervisor.size - given)]:
            self._begin(job)

    def _begin(self, job: _Job) -> None:
        asked = request(self._evaluator, job.proposal)
        self._find_folder(job, asked)
        folder = None if job.folder is None else str(job.folder.absolute())
        piece = Piece(
            key=f"candidate-{job.number}-{job.proposal.architecture.id}",
            title=f"candidate {_name(job)}",
            work=SCORE,
            order={
                "builder": self._order.builder,
                "settings": dict(self._order.settings),
                **asked,
                "folder": folder,
                "every_seconds": self._order.every_seconds,
            },
            timeout=self._timeout,
        )
        job.work = self._supervisor.begin(
            piece,
            lambda outcome: self._hear(job, outcome),
            errors=job.errors,
            losses=job.losses,
        )
        job.errors, job.losses = job.work.errors, job.work.losses

    def _find_folder(self, job: _Job, asked: Mapping[str, Any]) -> None:
        if self._order.folder is not None:
            atomic.make_folder(self._order.folder)
            job.folder = candidate_folder(self._order.folder, job.number, asked)

    def advance(self) -> list[Evaluation]:
        """See `EvaluationPool.advance`.

        Raises:
            BudgetExhausted: the time budget ended.
            NasganError: a worker met bad input or a full disk, or workers cannot be started.
        """
        self._begin_waiting()
        # Whoever else waits on the supervisor may have heard of some before.
        self._supervisor.advance(0.0 if self._arrived else _WAIT_SECONDS)
        arrived, self._arrived = self._arrived, []
        if not arrived:
            self._check_time()
        self._begin_waiting()
        self._supervisor.fill()
        return arrived

    def _hear(self, job: _Job, outcome: Outcome) -> None:
        self._forget(job)
        self._jobs.remove(job)
        self._retried += outcome.retries
        if outcome.failure:
            self._arrived.append(self._given_up(job, outcome))
        else:
            self._arrived.append(self._accepted(job, outcome.result))

    def _forget(self, job: _Job) -> None:
        """Remove what a candidate that is over was resumed from."""
        if job.folder is not None:
            shutil.rmtree(job.folder, ignore_errors=True)

    def _accepted(self, job: _Job, result: Mapping[str, Any]) -> Evaluation:
        evaluation = Evaluation.from_json(result["evaluation"])
        self._evaluator.adopt(evaluation.architecture, result["kept"])
        self._ledger.charge(evaluation.cost - job.paid)
        return evaluation

    def _given_up(self, job: _Job, outcome: Outcome) -> Evaluation:
        told = outcome.cost
        spent = Cost(device_seconds=outcome.seconds) if told is None else Cost.from_json(told)
        # It counts as an architecture scored, as a training that diverges does.
        cost = Cost(1, spent.generator_steps, spent.images, spent.device_seconds)
        self._ledger.charge(cost - job.paid)
        return Evaluation(
            architecture=job.proposal.architecture,
            metrics={},
            score=None,
            fidelity=self._evaluator.fidelity,
            cost=cost,
            failure=outcome.failure,
            stage=job.proposal.stage,
            parent=None if job.proposal.parent is None else job.proposal.parent.id,
        )

    def _check_time(self) -> None:
        seconds = self._seconds_under_way()
        if seconds and seconds >= self._ledger.remaining("device_seconds"):
            limit = self._ledger.budget.device_seconds
            assert limit is not None
            self._ledger.charge(Cost(device_seconds=seconds))
            self.close()
            raise BudgetExhausted("device_seconds", limit)

    def close(self) -> None:
        """See `EvaluationPool.close`."""
        for job in self._jobs:
            if job.work is not None:
                self._supervisor.drop(job.work)
            self._forget(job)
        self._jobs.clear()
        if self._owns:
            self._supervisor.close()

    def state_dict(self) -> dict[str, Any]:
        """The proposals under way, in the order in which they came, and the failed attempts.

        Evaluations that nobody was told of are charged, and kept.
        """
        return {
            "untold": [evaluation.to_json() for evaluation in self._arrived],
            "proposals": [job.proposal.to_json() for job in self._jobs],
            "numbers": [job.number for job in self._jobs],
            "paid": [job.paid.to_json() for job in self._jobs],
            "proposed": self._proposed,
            "failures": [list(job.errors) for job in self._jobs],
            "losses": [list(job.losses) for job in self._jobs],
            "retried": self._retried,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `EvaluationPool.load_state_dict`; the evaluator's own state comes first.

        A run without workers may be resumed with them: they go on with what it had half done.
        """
        self.close()
        candidates = list(candidates_in(state))
        none: list[list[str]] = [[]] * len(candidates)
        self._proposed = state.get("proposed", len(candidates))
        told = (state.get("failures", none), state.get("losses", none))
        self._jobs = [
            _Job(*candidate, self._evaluator.expected_cost(candidate[0]), errors, losses)
            for candidate, errors, losses in zip(candidates, *told, strict=True)
        ]
        # A group is begun anew, one by one.
        if state.get("task") is not None and len(self._jobs[: self._evaluator.together]) == 1:
            job = self._jobs[0]
            self._find_folder(job, request(self._evaluator, job.proposal))
            if job.folder is not None:
                hand_over(job.folder, state["task"], job.paid)
        self._retried = state.get("retried", 0)
        self._arrived = [Evaluation.from_json(item) for item in state.get("untold", ())]


def _name(job: _Job) -> str:
    steps = job.proposal.generator_steps
    return job.proposal.architecture.id + (f" ({steps} generator steps)" if steps else "")
