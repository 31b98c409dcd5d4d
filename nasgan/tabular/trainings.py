"""What a search on a table meets: trainings that take no time, and what they are judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from nasgan.architecture import Architecture

__all__ = ["SimulatedTraining", "Trainings"]


@dataclass(frozen=True)
class SimulatedTraining:
    """One training of one architecture, read from a table or drawn from its surrogate.

    Attributes:
        scores: by generator step, the value of each metric; the points before a breakdown only.
        seconds: of one idle device, for the whole training with the scores at all points.
        source: ``exact``: the table holds it; ``surrogate``: drawn with the table's noise.
        failure: why it broke down; empty if it did not.
    """

    scores: Mapping[int, Mapping[str, float]]
    seconds: float
    source: Literal["exact", "surrogate"]
    failure: str = ""


class Trainings(Protocol):
    """The side of a table that evaluators and simulations use."""

    @property
    def steps(self) -> Sequence[int]:
        """Generator steps at which trainings were scored, ascending."""

    @property
    def metrics(self) -> Sequence[str]:
        """Names of the scores."""

    @property
    def images_per_generator_step(self) -> int:
        """Images that pass through a network in a generator step of the table's trainings."""

    @property
    def num_images(self) -> int:
        """Generated images behind a score."""

    @property
    def score_share(self) -> float:
        """What one score takes of a whole training's seconds, which hold one at each point."""

    def training(self, architecture: Architecture, seed: int) -> SimulatedTraining:
        """What a search with ``seed`` sees of ``architecture``: the same each time.

        Raises:
            TableError: the architecture is not of the table's space.
        """

    def judged(self, architecture: Architecture, metric: str) -> float | None:
        """The mean over seeds at the last step; None where half of its trainings break down."""

    def best_known(self, metric: str) -> float:
        """What the best of the architectures that were trained is judged to be."""
