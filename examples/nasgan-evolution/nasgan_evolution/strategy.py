"""Regularised evolution (Real et al. 2019, algorithm 1), for one objective or two."""

import math
from collections.abc import Sequence

import torch

from nasgan.contracts import Architecture, AskTellStrategy, Evaluation, Proposal
from nasgan.errors import ConfigError
from nasgan.networks.cost import count_parameters
from nasgan_evolution.pareto import Point, crowding, fronts


class RegularisedEvolution(AskTellStrategy):
    """Mutates the best of a random sample of the population, which is the newest candidates.

    Args:
        num_candidates: architectures to score.
        population_size: the first so many are random; later, the oldest leaves for the newest.
        sample_size: how many of the population compete to be the parent.
        pareto: search for quality and few parameters of the generator (at the search's widths);
            parents compete by front, then by crowding distance, and finalists are of the front.
        supernet_steps: see `AskTellStrategy`.
    """

    name = "evolution"

    def __init__(
        self,
        *,
        num_candidates: int = 100,
        population_size: int = 20,
        sample_size: int = 5,
        pareto: bool = False,
        supernet_steps: int | None = None,
    ) -> None:
        super().__init__(supernet_steps=supernet_steps)
        if min(num_candidates, population_size, sample_size) < 1:
            raise ConfigError("strategy: num_candidates and both sizes must be at least 1")
        self.num_candidates = num_candidates
        self.population_size = population_size
        self.sample_size = sample_size
        self.pareto = pareto
        self._parameters: dict[Architecture, int] = {}

    @property
    def label(self) -> str:
        """Two methods, two rows of the leaderboard."""
        return f"{super().label}_pareto" if self.pareto else super().label

    @property
    def finished(self) -> bool:
        """Whether all candidates are scored."""
        return len(self.evaluations) >= self.num_candidates

    @property
    def together(self) -> int:
        """The first population is drawn without hearing of scores."""
        return max(1, self.population_size - len(self.evaluations))

    def ask(self) -> Proposal | None:
        """A random architecture at first, then a child of the population's."""
        asked = len(self.evaluations) + self.run.pool.under_way
        is_first = asked < self.population_size
        if asked >= self.num_candidates or not (is_first or self.evaluations):
            return None
        rng = self.run.rng("evolution")
        if is_first:
            return Proposal(self.run.space.sample(rng))
        population = self.evaluations[-self.population_size :]
        fitness = self._fitness(population)
        drawn = rng.integers(len(population), size=self.sample_size)
        parent = population[max(drawn, key=lambda i: fitness[i])]
        return Proposal(self.run.space.mutate(parent.architecture, rng))

    def finalists(self, count: int) -> list[Architecture]:
        """The best by quality; of the Pareto front alone if that is what is searched."""
        scored = [evaluation for evaluation in self.ranking() if evaluation.score is not None]
        if self.pareto and scored:
            scored = [scored[i] for i in fronts([self._point(e) for e in scored])[0]]
        return [evaluation.architecture for evaluation in scored[:count]]

    def progress(self) -> float:
        """The supernet's training is half of it, where there is one."""
        scored = min(1.0, len(self.evaluations) / self.num_candidates)
        return (self.supernet_progress + scored) / 2 if self.supernet_steps else scored

    def _fitness(self, population: Sequence[Evaluation]) -> list[tuple[float, float]]:
        """Pairs that compare, more is better; failed candidates come last."""
        if not self.pareto:
            return [(self.run.objective.reward(e.score), 0.0) for e in population]
        fitness = [(-math.inf, 0.0)] * len(population)
        alive = [i for i, evaluation in enumerate(population) if evaluation.score is not None]
        points = [self._point(population[i]) for i in alive]
        for rank, front in enumerate(fronts(points)):
            for i, distance in zip(front, crowding([points[i] for i in front]), strict=True):
                fitness[alive[i]] = (-rank, distance)
        return fitness

    def _point(self, evaluation: Evaluation) -> Point:
        """Quality and smallness."""
        architecture = evaluation.architecture
        if architecture not in self._parameters:
            with torch.device("meta"):  # shapes without values: nothing is computed or drawn
                generator = self.run.space.build_generator(architecture)
            self._parameters[architecture] = count_parameters(generator)
        return self.run.objective.reward(evaluation.score), -self._parameters[architecture]
