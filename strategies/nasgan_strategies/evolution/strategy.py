"""Evolution: regularised (Real et al. 2019, algorithm 1) or NSGA-II (Deb et al. 2002)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

from nasgan.architecture import Architecture
from nasgan.contracts import (
    CandidateSearch,
    Constraints,
    Evaluation,
    Proposal,
    SearchRun,
    SupernetPaths,
)
from nasgan.errors import ConfigError, quoted
from nasgan_strategies.evolution.variation import varied

__all__ = ["Evolution"]

_log = logging.getLogger(__name__)

Survivors = Literal["newest", "best"]


class Evolution(CandidateSearch):
    """Crosses and mutates the best of a random sample of the population.

    Where the run has several objectives, what is best goes by Pareto fronts, then by crowding
    distances, and the result is the first front. Decisions of a network that the evaluator does not
    see are left alone.

    Args:
        num_candidates: see `CandidateSearch`.
        population_size: the first so many are random.
        sample_size: how many of the population compete to be a parent.
        survivors: who makes up the population: the ``newest`` candidates (regularised evolution:
            the oldest leaves for the child), or the ``best`` of all (NSGA-II's elitism, a child at
            a time).
        crossover: share of the children that mix one of their networks with a second parent's.
        inherit: whether a child's training begins with the weights of its parent, where the
            evaluator can do that (``evaluator=scratch``).
        constraints: see `CandidateSearch`.
        supernet_steps: see `AskTellStrategy`.
        supernet_paths: as there.

    Raises:
        ConfigError: a value is out of its range, or the population is impossible.
    """

    name: ClassVar[str] = "evolution"
    many_objectives: ClassVar[bool] = True

    def __init__(
        self,
        *,
        num_candidates: int | None = 100,
        population_size: int = 20,
        sample_size: int = 5,
        survivors: Survivors = "newest",
        crossover: float = 0.0,
        inherit: bool = False,
        constraints: Constraints | None = None,
        supernet_steps: int | None = None,
        supernet_paths: SupernetPaths = "uniform",
    ) -> None:
        super().__init__(
            num_candidates=num_candidates,
            constraints=constraints,
            supernet_steps=supernet_steps,
            supernet_paths=supernet_paths,
        )
        _check_population(population_size, sample_size)
        self.begin_with("population_size", population_size, "evolve")
        if survivors not in get_args(Survivors):
            raise ConfigError(f"strategy.survivors must be newest or best, got {quoted(survivors)}")
        if not 0 <= crossover <= 1:
            raise ConfigError(f"strategy.crossover must be from 0 to 1, got {crossover}")
        self._population_size = population_size
        self._sample_size = sample_size
        self._keeps_best = survivors == "best"
        self._crossover = crossover
        self._inherit = inherit

    def setup(self, run: SearchRun) -> None:
        """See `CandidateSearch.setup`."""
        super().setup(run)
        if self._inherit and not self._inherits:
            _log.warning(
                "strategy.inherit=true changes nothing: evaluator=%s trains no candidates, so that "
                "none can begin with its parent's weights",
                run.evaluator.fidelity,
            )

    @property
    def label(self) -> str:
        """``evolution`` or ``nsga2``; ``_inherit`` where children have their parents' weights."""
        method = "nsga2" if self._keeps_best else "evolution"
        inherits = "_inherit" if self._inherits else ""
        return self.labelled(method + inherits)

    @property
    def _inherits(self) -> bool:
        return self._inherit and self.run.evaluator.inherits_weights

    @property
    def together(self) -> int:
        """The first population is drawn without hearing of scores."""
        return max(1, self._population_size - len(self.evaluations))

    def ask(self) -> Proposal | None:
        """A random architecture at first, then a child of the population's."""
        is_first = self.asked < self._population_size
        if self.left < 1 or not (is_first or self.evaluations):
            return None
        population = self._population()
        if is_first or not population:
            return Proposal(self.draw(), keep=self._inherits)
        child, parent = self._child([each.architecture for each in population])
        return Proposal(child, parent=parent if self._inherits else None, keep=self._inherits)

    def _population(self) -> list[Evaluation]:
        """Those that may be parents, the best first."""
        alive = [evaluation for evaluation in self.evaluations if evaluation.score is not None]
        best_first = self.run.objective.best_first
        if self._keeps_best:
            return best_first(alive)[: self._population_size]
        return best_first(alive[-self._population_size :])

    def _child(self, population: Sequence[Architecture]) -> tuple[Architecture, Architecture]:
        """A new child, and its (first) parent."""
        space, rng = self.run.space, self.run.rng("children")
        parts = space.searched_parts(("both", *self.sees))
        drawn: list[tuple[Architecture, Architecture]] = []

        def parent() -> Architecture:
            return population[int(rng.integers(len(population), size=self._sample_size).min())]

        def make() -> Architecture:
            first = parent()
            other = parent() if rng.random() < self._crossover else None
            child = varied(space, first, other, rng, parts)
            drawn.append((child, first))
            return child

        child = self.draw(make)
        # One that was walked inside the constraints comes from the last that was drawn.
        _, last_parent = drawn[-1]
        return child, dict(drawn).get(child, last_parent)


def _check_population(population: int, sample: int) -> None:
    for name, value in (("population_size", population), ("sample_size", sample)):
        if value < 1:
            raise ConfigError(f"strategy.{name} must be at least 1, got {value}")
    if sample > population:
        raise ConfigError(
            f"strategy.sample_size={sample} of a population of strategy.population_size="
            f"{population} cannot compete: make the sample as large as the population at most"
        )
