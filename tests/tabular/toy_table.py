"""A table by a rule, in the toy space: what evaluators and simulations are tried on."""

from __future__ import annotations

from dataclasses import dataclass, field

from nasgan.architecture import Architecture
from nasgan.contracts import SearchSpace
from nasgan.randomness import numpy_generator
from nasgan.tabular.trainings import SimulatedTraining


@dataclass
class ToyTable:
    """The score is the number of decisions that differ from the first options, plus noise."""

    space: SearchSpace
    spread: float = 0.3
    broken: set[str] = field(default_factory=set)
    steps: tuple[int, ...] = (10, 20, 40)
    metrics: tuple[str, ...] = ("fid", "is")
    images_per_generator_step: int = 8
    num_images: int = 100
    score_share: float = 0.0
    looked_up: list[tuple[str, int]] = field(default_factory=list)

    def true(self, architecture: Architecture) -> float:
        return 10.0 + sum(self.space.encode(architecture))

    def training(self, architecture: Architecture, seed: int) -> SimulatedTraining:
        self.looked_up.append((architecture.id, seed))
        rng = numpy_generator(seed, "toy", architecture.id)
        noise = self.spread * float(rng.standard_normal())
        ended = 20 if architecture.id in self.broken else 41
        scores = {
            step: {"fid": self.true(architecture) + noise + 40 / step, "is": 1.0}
            for step in self.steps
            if step < ended
        }
        failure = "" if ended == 41 else "collapsed"
        return SimulatedTraining(scores, 80.0, "exact", failure)

    def judged(self, architecture: Architecture, metric: str) -> float | None:
        assert metric == "fid"
        return None if architecture.id in self.broken else self.true(architecture) + 1.0

    def best_known(self, metric: str) -> float:
        assert metric == "fid"
        return 11.0
