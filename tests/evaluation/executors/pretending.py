"""Places that only pretend: the test says what becomes of the attempts."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nasgan.contracts import Cost, Evaluation, Proposal
from nasgan.supervisor import Places


@dataclass(eq=False)
class Attempt:
    """What was begun in a place."""

    ticket: int
    request: dict
    ended: bool = False

    @property
    def order(self):
        return self.request["order"]

    @property
    def candidate(self):
        return Proposal.from_json(self.order["proposal"]).architecture


class PretendPlaces(Places):
    """The test says what is heard of the attempts."""

    def __init__(self, size):
        self.room = size
        self.begun = []
        self.sent = []
        self.closed = 0

    @property
    def size(self):
        return self.room

    @property
    def running(self):
        over = {ticket for ticket, _ in self.sent}
        return [a for a in self.begun if not a.ended and a.ticket not in over]

    def begin(self, ticket, request):
        self.begun.append(Attempt(ticket, json.loads(json.dumps(request))))

    def wait(self, seconds):
        sent, self.sent = self.sent, []
        for ticket, _ in sent:
            self._of(ticket).ended = True
        return sent

    def _of(self, ticket):
        return next(attempt for attempt in self.begun if attempt.ticket == ticket)

    def end(self, ticket):
        self._of(ticket).ended = True

    def close(self):
        self.closed += 1
        for attempt in self.begun:
            attempt.ended = True

    # What is heard:

    def tell(self, attempt, **message):
        self.sent.append((attempt.ticket, json.loads(json.dumps(message))))

    def done(self, attempt, *, seconds=1.0, kept=None, **more):
        cost = Cost(architectures=1, generator_steps=10, images=50, device_seconds=seconds)
        made = Evaluation(attempt.candidate, {"fid": 1.0}, 1.0, "scratch", 10, cost)
        result = {"evaluation": made.to_json(), "kept": kept or {}}
        self.tell(attempt, kind="done", result=result, **more)

    def lost(self, attempt, reason="its worker was killed by SIGKILL", **more):
        self.tell(attempt, kind="lost", reason=reason, **more)

    def failed(self, attempt, reason="RuntimeError: it broke", cost=None):
        self.tell(attempt, kind="failed", reason=reason, trace="Traceback: here", cost=cost)


class Clock:
    """Time that passes by sleeping, or as the test says."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def proposals(architectures):
    return [Proposal(architecture) for architecture in architectures]


def started(pool, places, candidates):
    """The attempts at the candidates."""
    for proposal in proposals(candidates):
        pool.submit(proposal)
    assert pool.advance() == []
    return places.begun
