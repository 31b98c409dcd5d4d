"""EAGAN's evolution in two stages (Ying et al., ECCV 2022): generators, then discriminators."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from nasgan.architecture import Architecture, Part
from nasgan.contracts import (
    AskTellStrategy,
    Budget,
    Constraints,
    Evaluation,
    EvaluationPool,
    Proposal,
    SearchRun,
    SizeConstraints,
    StepReport,
)
from nasgan.errors import ConfigError, UnknownNameError
from nasgan_strategies.evolution.pairs import are_alike, one_to_one
from nasgan_strategies.evolution.variation import Shaped, varied

__all__ = ["TwoStageEvolution"]

_log = logging.getLogger(__name__)

_PIECE_STEPS = 10  # of the supernet, between two possible checkpoints
# What evolves in a stage: decisions that both networks share belong to the generator's.
_STAGES: tuple[tuple[Shaped, ...], ...] = (("generator", "both"), ("discriminator",))


class TwoStageEvolution(AskTellStrategy):
    """Evolves generators against one discriminator, then discriminators with the best generator.

    Stage 1, many to one: the supernet is trained along random generators at first (the warm-up),
    then along those of the population, always with the same discriminator. In each generation as
    many children as individuals are made, all are scored with the shared weights, and half stay.

    Stage 2, one to one: the supernet goes on with the best generator and random discriminators (the
    warm-up). In each generation every discriminator is trained with a copy of that generator, from
    inherited weights, and scored by its images; half stay, and their children fill the population.
    Then all weights are reset to those of the best pair. Where the run's objectives have sizes, who
    stays in this stage goes by those of the discriminator: all pairs have the same generator.

    Where a space has no decision about one of the networks, that stage is left out.

    Args:
        population_size: individuals (published: 32).
        generations: of each stage (published: 16, one in 10 of the epochs 40 to 200).
        warm_up: share of a stage's generator steps before the population is trained (40 of 200).
        generator_steps: of a stage; None: the budget's, in equal parts. In stage 2 the trainings of
            the pairs share them.
        num_images: generated images behind a score of stage 2 (published: 5,000); None: the
            protocol's number. Those of stage 1 are the evaluator's.
        crossover: share of the children that mix two parents (published: 0.5).
        discriminator: decisions of stage 1's discriminator; the rest is random.
        constraints: see `nasgan.contracts.SizeConstraints`.

    Raises:
        ConfigError: a value is out of its range.
    """

    name: ClassVar[str] = "eagan"
    many_objectives: ClassVar[bool] = True
    trains_supernet_itself: ClassVar[bool] = True

    def __init__(
        self,
        *,
        population_size: int = 32,
        generations: int = 16,
        warm_up: float = 0.2,
        generator_steps: int | None = None,
        num_images: int | None = None,
        crossover: float = 0.5,
        discriminator: Mapping[str, str | int] | None = None,
        constraints: Constraints | None = None,
    ) -> None:
        super().__init__()
        least = {"population_size": (population_size, 2), "generations": (generations, 1)}
        if generator_steps is not None:
            least["generator_steps"] = (generator_steps, 1)
        for name, (value, lowest) in least.items():
            if value < lowest:
                raise ConfigError(f"strategy.{name} must be at least {lowest}, got {value}")
        for name, share in {"warm_up": warm_up, "crossover": crossover}.items():
            if not 0 <= share <= 1 or (name == "warm_up" and share == 1):
                raise ConfigError(f"strategy.{name} must be a share from 0 to 1, got {share:g}")
        self._size = population_size
        self._generations = generations
        self._warm_up = warm_up
        self._wanted_steps = generator_steps
        self._num_images = num_images
        self._crossover = crossover
        self._discriminator = dict(discriminator or {})
        self._constraints = SizeConstraints(constraints)
        self._stage = 0
        self._generation = 0
        self._trained = 0  # generator steps of the supernet in this stage
        self._individuals: list[Architecture] = []
        self._queue: list[Proposal] = []
        self._awaited = 0
        self._heard: list[int] = []  # places among the evaluations, of this generation
        self._best: Architecture | None = None  # of the last generation
        self._parent: Architecture | None = None  # whose trained pair the others begin with

    def setup(self, run: SearchRun) -> None:
        """See `SearchStrategy.setup`.

        Raises:
            ConfigError: another evaluator than ``shared``; no length; or no such discriminator.
        """
        super().setup(run)
        if run.evaluator.fidelity != "shared":
            raise ConfigError(
                "strategy=eagan scores generators with shared weights, and trains discriminators "
                f"from these by itself: take evaluator=shared, not {run.evaluator.fidelity}"
            )
        self._constraints.setup(run.space, run.rng("constraints"))
        self._parts = [each for each in _STAGES if run.space.searched_parts(each)] or [_STAGES[0]]
        budget = run.ledger.budget
        self._steps = self._plan(budget.generator_steps)
        self._first = int(self._warm_up * self._steps)
        pairs = self._generations * (self._size + 1) - 1
        pair_steps = (self._steps - self._first) // pairs
        if len(self._parts) == len(_STAGES):
            self._check_second_stage(budget, pairs)
        if _STAGES[1] in self._parts and are_alike(run.space, run.rng("probes")):
            _log.warning(
                "random discriminators of %r are all alike: strategy=eagan's second stage would "
                "compare chance; have the space build what its decisions say "
                "(adversarial_nas: search_space.stand_alone_discriminator=same)",
                run.space.name,
            )
        if _STAGES[1] in self._parts and pair_steps < 1:
            _log.warning(
                "a stage of %d generator steps is short for strategy.generations=%d of "
                "strategy.population_size=%d, which train %d pairs after the warm-up: the budget "
                "ends it",
                self._steps,
                self._generations,
                self._size,
                pairs,
            )
        self._pairs = one_to_one(
            run, generator_steps=max(1, pair_steps), num_images=self._num_images
        )
        self._held = self._first_discriminator()
        self._individuals = self._random(self._size)

    def _plan(self, budget: int | None) -> int:
        """Generator steps of a stage."""
        if self._wanted_steps is None and budget is None:
            raise ConfigError(
                "strategy=eagan needs a length: set budget.generator_steps or "
                "strategy.generator_steps"
            )
        return self._wanted_steps or (budget or 0) // len(self._parts)

    def _check_second_stage(self, budget: Budget, pairs: int) -> None:
        """Refuse a budget that the first stage spends; say where it ends the second one early."""
        generators = self._generations * 2 * self._size
        planned = {
            "architectures": (generators, generators + pairs),
            "generator_steps": (self._steps, 2 * self._steps),
        }
        how = (
            f"strategy.generations={self._generations} of "
            f"strategy.population_size={self._size} score {generators} generators, then train "
            f"{pairs} pairs, in {self._steps} generator steps a stage"
        )
        for unit, (first, both) in planned.items():
            limit = getattr(budget, unit)
            if limit is not None and limit <= first:
                raise ConfigError(
                    f"budget.{unit}={limit} ends strategy=eagan before it evolves discriminators: "
                    f"{how}; set budget.{unit}={both}, or a smaller plan"
                )
            if limit is not None and limit < both:
                _log.warning("budget.%s=%d ends the second stage early: %s", unit, limit, how)

    def _first_discriminator(self) -> Architecture:
        """An architecture with the discriminator of stage 1."""
        space = self.run.space
        there = {d.name: d for d in space.part_decisions("discriminator")}
        for name in self._discriminator:
            if name not in there:
                raise UnknownNameError("decision in strategy.discriminator", name, there)
        drawn = dict(space.sample(self.run.rng("discriminator")).choices)
        chosen = {**drawn, **self._discriminator}
        indices = tuple(d.index(chosen[d.name]) for d in space.decisions)
        return space.architecture(space.repair(indices))

    @property
    def sees(self) -> tuple[Part, ...]:
        """Both networks, one after the other."""
        return ("generator", "discriminator")

    @property
    def _of_pairs(self) -> bool:
        """Whether this stage trains discriminators one to one with the best generator."""
        return not self.finished and self._parts[self._stage] is _STAGES[1]

    @property
    def pool(self) -> EvaluationPool:
        """Stage 2 has an evaluator of its own."""
        return self._pairs.pool if self._of_pairs else self.run.pool

    @property
    def finished(self) -> bool:
        """Whether all stages are over."""
        return self._stage >= len(self._parts)

    @property
    def together(self) -> int:
        """A generation is drawn without hearing of each other's scores."""
        return max(1, len(self._queue) + self.pool.under_way)

    def comparable(self) -> list[Evaluation]:
        """Those of pairs, once there are some: scores of the two stages do not compare."""
        fidelity = self._pairs.evaluator.fidelity
        pairs = [each for each in self.evaluations if each.fidelity == fidelity]
        if any(each.score is not None for each in pairs):
            return pairs
        return [each for each in self.evaluations if each.fidelity != fidelity]

    @property
    def _due(self) -> int:
        """Generator steps of the supernet before the next generation."""
        if self._of_pairs:
            return self._first
        share = (self._generation + 1) / self._generations
        return self._first + int(share * (self._steps - self._first))

    def step(self) -> StepReport:
        """Train the supernet a little, or go on with a generation."""
        if self._awaited or self._trained >= self._due:
            return super().step()
        shared = self.run.shared_weights
        before = shared.generator_steps
        until = self._first if self._trained < self._first else self._due
        steps = min(_PIECE_STEPS, until - self._trained)
        losses = shared.train(self.sample_path, generator_steps=steps)
        self._trained += shared.generator_steps - before
        return StepReport(self.progress_message(), self.progress(), values=losses.means)

    def sample_path(self) -> Architecture:
        """Random in the warm-up, then one of the population; the other network is held."""
        rng = self.run.rng("paths")
        if self._trained < self._first:
            return self._completed(self.run.space.sample(rng))
        return self._individuals[int(rng.integers(len(self._individuals)))]

    def _completed(self, drawn: Architecture) -> Architecture:
        """``drawn``, with the other network of the architecture that is held."""
        space, own = self.run.space, self._parts[self._stage]
        indices = tuple(
            d.index((drawn if d.part in own else self._held)[d.name]) for d in space.decisions
        )
        return space.architecture(space.repair(indices))

    def ask(self) -> Proposal | None:
        """The next of the generation; None while its scores decide who stays."""
        if not self._awaited:
            self._begin_generation()
        return self._queue.pop(0) if self._queue else None

    def _begin_generation(self) -> None:
        chosen = [*self._individuals]
        if not self._of_pairs:
            chosen += self._children(self._size, self._individuals)
        self._queue = [Proposal(each) for each in chosen]
        self._awaited = len(chosen)
        if self._of_pairs and self._best is not None:
            # Once more, to the same end, for its weights: those of everybody else are not kept.
            again = Proposal(self._best, parent=self._parent, keep=True)
            self._queue = [again, *(Proposal(each, parent=self._best) for each in chosen)]

    def tell(self, evaluation: Evaluation) -> None:
        """Note a score of the generation; after the last one, choose who stays."""
        if self._of_pairs and len(self._queue) == self._awaited:
            if evaluation.score is not None:
                self._parent = self._best
            else:  # on a device that does not repeat: there are no weights of it
                self._queue = [replace(each, parent=self._parent) for each in self._queue]
            return
        self._heard.append(len(self.evaluations) - 1)
        if len(self._heard) == self._awaited:
            self._select()

    def _select(self) -> None:
        heard = [self.evaluations[place] for place in self._heard]
        alive = [evaluation for evaluation in heard if evaluation.score is not None]
        objective = self._pairs.objective if self._of_pairs else self.run.objective
        ranked = objective.best_first(alive)
        best = list(dict.fromkeys(evaluation.architecture for evaluation in ranked))
        stay = best[: -(-self._size // 2) if self._of_pairs else self._size]
        self._individuals = [*stay, *self._children(self._size - len(stay), stay)]
        self._best = next(iter(best), self._best)
        self._awaited, self._heard = 0, []
        self._generation += 1
        if self._generation == self._generations:
            self._next_stage()

    def _next_stage(self) -> None:
        self._held = self._best or self._individuals[0]
        self._stage, self._generation, self._trained = self._stage + 1, 0, 0
        self._best = self._parent = None
        if not self.finished:
            self._individuals = self._random(self._size)

    def _random(self, count: int) -> list[Architecture]:
        rng = self.run.rng("individuals")
        return self._new(count, lambda: self._completed(self.run.space.sample(rng)))

    def _children(self, count: int, parents: Sequence[Architecture]) -> list[Architecture]:
        space, rng = self.run.space, self.run.rng("individuals")
        parts = space.searched_parts(self._parts[self._stage])

        def parent() -> Architecture:
            return parents[int(rng.integers(len(parents)))]

        def child() -> Architecture:
            other = parent() if rng.random() < self._crossover else None
            return varied(space, parent(), other, rng, parts)

        return self._new(count, child) if parents else self._random(count)

    def _new(self, count: int, make: Callable[[], Architecture]) -> list[Architecture]:
        """So many that ``make`` draws, new ones where there are some."""
        made: list[Architecture] = []
        for _ in range(count):
            made.append(self._constraints.draw(make, {*self.known, *self._individuals, *made}))
        return made

    def progress(self) -> float:
        """Share of the stages' steps."""
        trained = min(1.0, self._trained / max(1, self._first))
        done = self._warm_up * trained + (1 - self._warm_up) * self._generation / self._generations
        return min(1.0, (self._stage + done * (not self.finished)) / len(self._parts))

    def progress_message(self) -> str:
        """See `AskTellStrategy.progress_message`."""
        if self.finished:
            return "search done"
        generation = f"generation {self._generation + 1}/{self._generations}"
        what = "discriminators" if self._of_pairs else "generators"
        if self._awaited:
            return f"{what}, {generation}, candidate {len(self._heard)}/{self._awaited}"
        return f"{what}, {generation}, supernet step {self._trained}/{self._due}"

    def proposer_state(self) -> dict[str, Any]:
        """See `AskTellStrategy.proposer_state`."""
        return {
            "stage": self._stage,
            "generation": self._generation,
            "trained": self._trained,
            "individuals": [each.to_json() for each in self._individuals],
            "queue": [proposal.to_json() for proposal in self._queue],
            "awaited": self._awaited,
            "heard": list(self._heard),
            "held": self._held.to_json(),
            "best": None if self._best is None else self._best.to_json(),
            "parent": None if self._parent is None else self._parent.to_json(),
            "pairs": self._pairs.evaluator.state_dict(),
            "pool": self._pairs.pool.state_dict(),
        }

    def load_proposer_state(self, state: Mapping[str, Any]) -> None:
        """See `AskTellStrategy.load_proposer_state`."""

        def read(data: Mapping[str, Any]) -> Architecture:
            return Architecture.from_json(data, source="checkpoint")

        self._stage, self._generation = state["stage"], state["generation"]
        self._trained, self._awaited = state["trained"], state["awaited"]
        self._individuals = [read(each) for each in state["individuals"]]
        self._queue = [Proposal.from_json(each) for each in state["queue"]]
        self._heard = list(state["heard"])
        self._held = read(state["held"])
        self._best = None if state["best"] is None else read(state["best"])
        self._parent = None if state["parent"] is None else read(state["parent"])
        self._pairs.evaluator.load_state_dict(state["pairs"])
        self._pairs.pool.load_state_dict(state["pool"])
