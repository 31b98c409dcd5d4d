"""Workers that only pretend: the test says what they send."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from nasgan.contracts import Cost, Evaluation, Proposal


@dataclass(eq=False)
class PretendWorker:
    number: int
    requests: list = field(default_factory=list)
    stopped: bool = False

    def ask(self, request):
        self.requests.append(json.loads(json.dumps(request)))

    def stop(self):
        self.stopped = True

    @property
    def candidate(self):
        """What it was asked last."""
        return Proposal.from_json(self.requests[-1]["proposal"]).architecture


class PretendCrew:
    """The test says what the workers send."""

    def __init__(self, size):
        self.size = size
        self.started = []
        self.sent = []
        self.dismissed = 0

    def start(self, number):
        self.started.append(PretendWorker(number))
        return self.started[-1]

    def wait(self, seconds):
        sent, self.sent = self.sent, []
        return sent

    def dismiss(self):
        self.dismissed += 1

    # What workers send:

    def ready(self, *workers):
        self.sent += [(worker, {"kind": "ready"}) for worker in workers or self.started]

    def done(self, worker, *, seconds=1.0, kept=None, **more):
        cost = Cost(architectures=1, generator_steps=10, images=50, device_seconds=seconds)
        made = Evaluation(worker.candidate, {"fid": 1.0}, 1.0, "scratch", 10, cost)
        message = {"kind": "done", "evaluation": made.to_json(), "kept": kept or {}, **more}
        self.sent.append((worker, json.loads(json.dumps(message))))

    def lost(self, worker, reason="its worker was killed by SIGKILL"):
        self.sent.append((worker, {"kind": "lost", "reason": reason}))


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


def proposals(architectures):
    return [Proposal(architecture) for architecture in architectures]


def started(pool, crew, candidates):
    """The workers, each with a candidate."""
    for proposal in proposals(candidates):
        pool.submit(proposal)
    crew.ready()
    assert pool.advance() == []
    return crew.started
