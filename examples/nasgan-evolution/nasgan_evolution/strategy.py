"""Regularised evolution (Real et al. 2019, algorithm 1)."""

from nasgan.contracts import Architecture, AskTellStrategy, Evaluation, Proposal
from nasgan.errors import ConfigError


class AgingEvolution(AskTellStrategy):
    """Mutates the best of a random sample of the population; the oldest leaves for the child.

    Where the run has several objectives, what is best goes by Pareto fronts, then by crowding
    distances, and the finalists are the first front.

    Args:
        num_candidates: architectures to score.
        population_size: the newest so many; the first ones are random.
        sample_size: how many of them compete to be the parent.
        inherit: whether a child's training begins with the weights of its parent, where the
            evaluator can do that (``evaluator=scratch``).
        supernet_steps: see `AskTellStrategy`.
    """

    name = "aging_evolution"
    many_objectives = True

    def __init__(
        self,
        *,
        num_candidates: int = 100,
        population_size: int = 20,
        sample_size: int = 5,
        inherit: bool = False,
        supernet_steps: int | None = None,
    ) -> None:
        super().__init__(supernet_steps=supernet_steps)
        if min(num_candidates, population_size, sample_size) < 1:
            raise ConfigError("strategy: num_candidates and both sizes must be at least 1")
        self.num_candidates = num_candidates
        self.population_size = population_size
        self.sample_size = sample_size
        self.inherit = inherit

    @property
    def label(self) -> str:
        """Methods must not share a row of the leaderboard."""
        inherits = "_inherit" if self.inherit else ""
        return self.labelled(self.name + inherits)

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
        drawn = rng.integers(len(population), size=self.sample_size)
        parent: Architecture = population[min(drawn)].architecture
        child = self.run.space.mutate(parent, rng)
        return Proposal(child, parent=parent if keep else None, keep=keep)

    def _population(self) -> list[Evaluation]:
        """Those that may be parents, the best first."""
        alive = [evaluation for evaluation in self.evaluations if evaluation.score is not None]
        return self.run.objective.best_first(alive[-self.population_size :])

    def progress(self) -> float:
        """The supernet's training is half of it, where there is one."""
        scored = min(1.0, len(self.evaluations) / self.num_candidates)
        return (self.supernet_progress + scored) / 2 if self.supernet_steps else scored
