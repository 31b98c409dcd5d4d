"""Evolution: regularised (Real et al. 2019, algorithm 1) or NSGA-II (Deb et al. 2002)."""

from collections.abc import Sequence
from typing import Literal, get_args

from numpy.random import Generator

from nasgan.contracts import Architecture, AskTellStrategy, Evaluation, Proposal
from nasgan.errors import ConfigError

Survivors = Literal["newest", "best"]


class Evolution(AskTellStrategy):
    """Crosses and mutates the best of a random sample of the population.

    Where the run has several objectives, what is best goes by Pareto fronts, then by crowding
    distances, and the finalists are the first front.

    Args:
        num_candidates: architectures to score.
        population_size: the first so many are random.
        sample_size: how many of the population compete to be a parent.
        survivors: who makes up the population: the ``newest`` candidates (regularised evolution),
            or the ``best`` of all (NSGA-II).
        crossover: share of the children that mix one of their networks with a second parent's.
        inherit: whether a child's training begins with the weights of its parent, where the
            evaluator can do that (``evaluator=scratch``).
        supernet_steps: see `AskTellStrategy`.
    """

    name = "evolution"
    many_objectives = True

    def __init__(
        self,
        *,
        num_candidates: int = 100,
        population_size: int = 20,
        sample_size: int = 5,
        survivors: Survivors = "newest",
        crossover: float = 0.0,
        inherit: bool = False,
        supernet_steps: int | None = None,
    ) -> None:
        super().__init__(supernet_steps=supernet_steps)
        if min(num_candidates, population_size, sample_size) < 1:
            raise ConfigError("strategy: num_candidates and both sizes must be at least 1")
        if survivors not in get_args(Survivors) or not 0 <= crossover <= 1:
            raise ConfigError("strategy: survivors is newest or best, crossover from 0 to 1")
        self.num_candidates = num_candidates
        self.population_size = population_size
        self.sample_size = sample_size
        self.survivors = survivors
        self.crossover = crossover
        self.inherit = inherit

    @property
    def label(self) -> str:
        """Methods must not share a row of the leaderboard."""
        method = "nsga2" if self.survivors == "best" else "evolution"
        inherits = "_inherit" if self.inherit else ""
        return super().label.replace("evolution", method + inherits, 1)

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
        keep = self.inherit and self.run.evaluator.inherits_weights
        population = self._population()
        if is_first or not population:
            return Proposal(self.run.space.sample(rng), keep=keep)
        parent = self._parent(population, rng)
        child = self._child(parent, population, rng)
        return Proposal(child, parent=parent if keep else None, keep=keep)

    def _population(self) -> list[Evaluation]:
        """Those that may be parents, the best first."""
        alive = [evaluation for evaluation in self.evaluations if evaluation.score is not None]
        best_first = self.run.objective.best_first
        if self.survivors == "best":
            return best_first(alive)[: self.population_size]
        return best_first(alive[-self.population_size :])

    def _parent(self, population: Sequence[Evaluation], rng: Generator) -> Architecture:
        drawn = rng.integers(len(population), size=self.sample_size)
        return population[min(drawn)].architecture

    def _child(
        self, parent: Architecture, population: Sequence[Evaluation], rng: Generator
    ) -> Architecture:
        space = self.run.space
        if rng.random() >= self.crossover:
            return space.mutate(parent, rng)
        part = rng.choice(sorted({d.part for d in space.decisions if len(d.options) > 1}))
        crossed = space.crossover(parent, self._parent(population, rng), rng, part=part)
        return space.mutate(crossed, rng, part=part)

    def progress(self) -> float:
        """The supernet's training is half of it, where there is one."""
        scored = min(1.0, len(self.evaluations) / self.num_candidates)
        return (self.supernet_progress + scored) / 2 if self.supernet_steps else scored
