"""Evaluations under way in several workers: who does what, what it costs, what is done again."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasgan.contracts import Cost, Evaluation, EvaluationPool, Evaluator, Ledger, Proposal
from nasgan.errors import BudgetExhausted, ConfigError, NasganError
from nasgan.evaluation.arrival import check_parent
from nasgan.evaluation.executors.candidate import error_from
from nasgan.evaluation.executors.crew import Crew, Message, Worker

__all__ = ["WorkerPool"]

_log = logging.getLogger(__name__)

# `advance` comes back after so long at the latest, for progress and checkpoints.
_WAIT_SECONDS = 0.5


@dataclass(eq=False)
class _Job:
    """A candidate under way; what it is expected to cost, and why it failed so far."""

    proposal: Proposal
    expected: Cost
    failures: list[str] = field(default_factory=list)


@dataclass(eq=False)
class _Place:
    """A worker, what it does, and since when."""

    worker: Worker
    is_ready: bool = False
    job: _Job | None = None
    since: float = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since if self.job is not None else 0.0


class WorkerPool(EvaluationPool):
    """Scores with the workers of a crew; evaluations arrive in the order in which they end.

    The ledger is charged on arrival with what the evaluation says it cost. What is under way is
    reserved, so that a budget of architectures, generator steps or images is never passed. A time
    budget (device seconds) ends the search when those under way have used it up, and drops them.

    A candidate whose worker dies, takes too long or raises an unexpected error is begun again, by a
    new worker. Lost attempts are not charged, as in a resumed run; the last one of a candidate that
    fails for good is.

    Args:
        evaluator: keeps what the workers' evaluators learn, and is checkpointed with it.
        ledger: the run's.
        crew: the workers.
        attempts: how often a candidate is begun before it counts as failed.
        timeout: seconds that an attempt may take.
    """

    begins_again = True

    def __init__(
        self,
        evaluator: Evaluator,
        ledger: Ledger,
        crew: Crew,
        *,
        attempts: int = 2,
        timeout: float | None = None,
    ) -> None:
        self._evaluator = evaluator
        self._ledger = ledger
        self._crew = crew
        self._attempts = attempts
        self._timeout = timeout
        self._jobs: list[_Job] = []
        self._places: list[_Place] = []
        self._retried = 0
        self._failed_starts = 0

    def room(self, together: int = 1) -> int:
        """See `EvaluationPool.room`: one for each worker, however many are proposed at once."""
        del together
        return max(0, self._crew.size - len(self._jobs))

    @property
    def under_way(self) -> int:
        """See `EvaluationPool.under_way`."""
        return len(self._jobs)

    @property
    def note(self) -> str:
        """See `EvaluationPool.note`."""
        if self._places and not any(place.is_ready for place in self._places):
            return "the workers are starting"
        parts = {"under way": len(self._jobs), "retried": self._retried}
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
        self._jobs.append(_Job(proposal, expected))
        self._staff()

    def _check_budget(self, expected: Cost) -> None:
        reserved = sum((job.expected for job in self._jobs), Cost())
        self._ledger.require(reserved + expected)
        if self._seconds_under_way() >= self._ledger.remaining("device_seconds"):
            limit = self._ledger.budget.device_seconds
            assert limit is not None
            raise BudgetExhausted("device_seconds", limit)

    def _seconds_under_way(self) -> float:
        return sum(place.seconds for place in self._places)

    def _staff(self) -> None:
        """Give waiting candidates to idle workers, the oldest first; start workers for the rest."""
        taken = {id(place.job) for place in self._places}
        waiting = [job for job in self._jobs if id(job) not in taken]
        for place in self._places:
            if place.is_ready and place.job is None and waiting:
                place.job, place.since = waiting.pop(0), time.monotonic()
                place.worker.ask(self._request(place.job.proposal))
        starting = sum(not place.is_ready for place in self._places)
        wanted = min(len(waiting) - starting, self._crew.size - len(self._places))
        used = {place.worker.number for place in self._places}
        free = [number for number in range(self._crew.size) if number not in used]
        for number in free[: max(0, wanted)]:
            # One by one: if the next cannot be started, `close` stops this one.
            self._places.append(_Place(self._crew.start(number)))

    def _request(self, proposal: Proposal) -> Message:
        """What a worker needs to know, of the parent too."""
        parent = proposal.parent
        return {
            "proposal": proposal.to_json(),
            "kept": self._evaluator.kept(proposal.architecture),
            "kept_of_parent": {} if parent is None else self._evaluator.kept(parent),
        }

    def advance(self) -> list[Evaluation]:
        """See `EvaluationPool.advance`.

        Raises:
            BudgetExhausted: the time budget ended.
            NasganError: a worker met bad input or a full disk, or workers cannot be started.
        """
        self._staff()
        arrived: list[Evaluation] = []
        places = {id(place.worker): place for place in self._places}
        for worker, message in self._crew.wait(self._patience()):
            place = places[id(worker)]
            self._forward_log(place, message)
            if place in self._places:
                arrived += self._hear(place, message)
        arrived += self._end_overdue()
        if not arrived:
            self._check_time()
        self._staff()
        return arrived

    def _patience(self) -> float:
        """Seconds to wait: not past the next timeout."""
        if self._timeout is None:
            return _WAIT_SECONDS
        busy = [self._timeout - place.seconds for place in self._places if place.job is not None]
        return max(0.0, min([_WAIT_SECONDS, *busy]))

    def _hear(self, place: _Place, message: Message) -> list[Evaluation]:
        kind = message["kind"]
        if kind == "ready":
            place.is_ready = True
            self._failed_starts = 0
        elif kind == "refused":
            raise error_from(message)
        elif kind == "done":
            return [self._accept(place, message)]
        elif kind == "failed":
            _log.warning("worker %d: %s", place.worker.number, message["trace"].rstrip())
            return self._lose(place, message["reason"], Cost.from_json(message["cost"]))
        elif kind == "lost":
            return self._lose(place, message["reason"], Cost(device_seconds=place.seconds))
        return []

    def _accept(self, place: _Place, message: Message) -> Evaluation:
        assert place.job is not None
        evaluation = Evaluation.from_json(message["evaluation"])
        self._evaluator.adopt(evaluation.architecture, message["kept"])
        self._ledger.charge(evaluation.cost)
        self._jobs.remove(place.job)
        place.job = None
        return evaluation

    def _lose(self, place: _Place, reason: str, cost: Cost) -> list[Evaluation]:
        """Part from a worker: after an unexpected error nobody knows what state it is in."""
        place.worker.stop()
        self._places.remove(place)
        job = place.job
        if not place.is_ready:
            self._failed_starts += 1
            _log.warning("worker %d did not start: %s", place.worker.number, reason)
            # All of them may be killed at once while they start; that alone ends nothing.
            if self._failed_starts >= self._attempts + self._crew.size - 1:
                raise NasganError(f"the executor's workers do not start: {reason}")
        elif job is None:
            _log.warning("worker %d ended: %s", place.worker.number, reason)
        if job is None:
            return []
        job.failures.append(reason)
        if len(job.failures) < self._attempts:
            self._retried += 1
            _log.warning("candidate %s is begun again: %s", _name(job), reason)
            return []
        return [self._give_up(job, cost)]

    def _give_up(self, job: _Job, cost: Cost) -> Evaluation:
        reasons = "; ".join(dict.fromkeys(job.failures))
        failure = f"failed {len(job.failures)} times: {reasons}" if self._attempts > 1 else reasons
        _log.warning("candidate %s %s", _name(job), failure)
        # It counts as an architecture scored, as a training that diverges does.
        cost = Cost(1, cost.generator_steps, cost.images, cost.device_seconds)
        self._ledger.charge(cost)
        self._jobs.remove(job)
        return Evaluation(
            architecture=job.proposal.architecture,
            metrics={},
            score=None,
            fidelity=self._evaluator.fidelity,
            cost=cost,
            failure=failure,
            stage=job.proposal.stage,
            parent=None if job.proposal.parent is None else job.proposal.parent.id,
        )

    def _end_overdue(self) -> list[Evaluation]:
        ended: list[Evaluation] = []
        for place in list(self._places):
            if self._timeout is not None and place.seconds > self._timeout:
                reason = f"it took longer than executor.timeout={self._timeout:g} seconds"
                ended += self._lose(place, reason, Cost(device_seconds=place.seconds))
        return ended

    def _check_time(self) -> None:
        seconds = self._seconds_under_way()
        if seconds and seconds >= self._ledger.remaining("device_seconds"):
            limit = self._ledger.budget.device_seconds
            assert limit is not None
            self._ledger.charge(Cost(device_seconds=seconds))
            self.close()
            raise BudgetExhausted("device_seconds", limit)

    def _forward_log(self, place: _Place, message: Message) -> None:
        for name, level, text in message.get("log", ()):
            logging.getLogger(name).log(level, "worker %d: %s", place.worker.number, text)

    def close(self) -> None:
        """See `EvaluationPool.close`."""
        for place in self._places:
            place.worker.stop()
        self._places.clear()
        self._jobs.clear()
        self._crew.dismiss()

    def state_dict(self) -> dict[str, Any]:
        """The proposals under way, in the order in which they came, and the failed attempts."""
        return {
            "proposals": [job.proposal.to_json() for job in self._jobs],
            "failures": [list(job.failures) for job in self._jobs],
            "retried": self._retried,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `EvaluationPool.load_state_dict`; the evaluator's own state comes first.

        A run without workers may be resumed with them: what it had half done is begun again.
        """
        self.close()
        proposals = [Proposal.from_json(item) for item in state["proposals"]]
        failures = state.get("failures", [[]] * len(proposals))
        self._jobs = [
            _Job(proposal, self._evaluator.expected_cost(proposal), list(reasons))
            for proposal, reasons in zip(proposals, failures, strict=True)
        ]
        self._retried = state.get("retried", 0)


def _name(job: _Job) -> str:
    steps = job.proposal.generator_steps
    return job.proposal.architecture.id + (f" ({steps} generator steps)" if steps else "")
