"""A search on a table: seconds of computing, judged without the noise of a single training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture
from nasgan.contracts import (
    Budget,
    Cost,
    Ledger,
    NetworkPair,
    Objective,
    SearchSpace,
    SearchStrategy,
    SharedWeights,
    Trainer,
    TrainerSettings,
)
from nasgan.data import ImageSet
from nasgan.errors import BudgetExhausted, ConfigError
from nasgan.evaluation import InProcessPool
from nasgan.evaluation.table import TableEvaluator
from nasgan.metrics import MetricHarness
from nasgan.metrics.images import Sampler
from nasgan.randomness import RandomStreams
from nasgan.tabular.trainings import Trainings

__all__ = ["Incumbent", "SimulatedSearch", "TableRun", "simulate"]


class TableRun:
    """Implements `nasgan.contracts.SearchRun` on a table.

    Args:
        space: the table's.
        table: scores.
        objective: what to optimise.
        budget: of the search, in simulated units.
        seed: of the strategy, and of the repeats that it sees.
    """

    def __init__(
        self,
        space: SearchSpace,
        table: Trainings,
        objective: Objective,
        budget: Budget,
        *,
        seed: int,
        generator_steps: int | None = None,
    ) -> None:
        self.space = space
        self.objective = self.final_objective = objective
        self.ledger = Ledger(budget)
        self.seed = seed
        self.device = torch.device("cpu")
        self.evaluator = TableEvaluator(table, generator_steps=generator_steps)
        self.evaluator.setup(self)
        self.pool = InProcessPool(self.evaluator, self.ledger)
        self._streams = RandomStreams(seed, "strategy")

    @property
    def shared_weights(self) -> SharedWeights:
        """A table has none.

        Raises:
            ConfigError: always.
        """
        raise _not_in_a_table("trains a supernet")

    @property
    def images(self) -> ImageSet:
        """As `shared_weights`."""
        raise _not_in_a_table("looks at images")

    def features(
        self, of: Architecture | nn.Module, count: int, *, stage: int | None = None
    ) -> Tensor:
        """As `shared_weights`."""
        raise _not_in_a_table("looks at features")

    held_out = images

    @property
    def trainer_settings(self) -> TrainerSettings:
        """As `shared_weights`."""
        raise _not_in_a_table("trains networks")

    @property
    def harness(self) -> MetricHarness:
        """As `shared_weights`."""
        raise _not_in_a_table("scores images")

    @property
    def folder(self) -> Path:
        """As `shared_weights`."""
        raise _not_in_a_table("keeps files")

    def networks(self, architecture: Architecture, *, inherit: bool = False) -> NetworkPair:
        """As `shared_weights`."""
        raise _not_in_a_table("trains networks")

    def trainer(self, pair: NetworkPair, **settings: Any) -> Trainer:
        """As `shared_weights`."""
        raise _not_in_a_table("trains networks")

    def sample(self, of: Architecture | nn.Module, *, stage: int | None = None) -> Sampler:
        """As `shared_weights`."""
        raise _not_in_a_table("looks at images")

    def rng(self, name: str) -> np.random.Generator:
        """See `SearchRun.rng`."""
        return self._streams[name]


def _not_in_a_table(what: str) -> ConfigError:
    return ConfigError(
        f"this strategy {what}, which no table holds; run it with `nasgan search` and let the "
        "table score what it finds"
    )


@dataclass(frozen=True)
class Incumbent:
    """The best architecture that a search knew from some moment on.

    Attributes:
        spent: simulated cost until then.
        architecture: it.
        judged: its mean over seeds; None where its trainings break down.
    """

    spent: Cost
    architecture: Architecture
    judged: float | None

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "spent": self.spent.to_json(),
            "architecture": self.architecture.id,
            "judged": self.judged,
        }


@dataclass(frozen=True)
class SimulatedSearch:
    """How one search on a table went.

    Attributes:
        strategy: its label.
        seed: of the search.
        incumbents: in order; empty if nothing was scored.
        spent: simulated cost in all.
        ended_by: what ended it.
    """

    strategy: str
    seed: int
    incumbents: tuple[Incumbent, ...]
    spent: Cost
    ended_by: str

    @property
    def final(self) -> Incumbent | None:
        """What the search found."""
        return self.incumbents[-1] if self.incumbents else None

    def to_json(self) -> Mapping[str, Any]:
        """As JSON data, a line of a file of simulations."""
        final = self.final
        return {
            "strategy": self.strategy,
            "seed": self.seed,
            "architecture": None if final is None else final.architecture.to_json(),
            "judged": None if final is None else final.judged,
            "incumbents": [each.to_json() for each in self.incumbents],
            "spent": self.spent.to_json(),
            "ended_by": self.ended_by,
        }


def simulate(
    strategy: SearchStrategy, run: TableRun, table: Trainings, *, name: str | None = None
) -> SimulatedSearch:
    """Run ``strategy`` to its end, or to that of its budget.

    Args:
        strategy: not yet set up.
        run: of the table.
        table: judges the incumbents.
        name: what the search is called; None: the strategy's label.

    Raises:
        ConfigError: the strategy cannot work on a table.
    """
    strategy.setup(run)
    incumbents: list[Incumbent] = []
    ended_by = "the strategy is finished"
    while not strategy.finished:
        try:
            report = strategy.step()
        except BudgetExhausted as end:
            ended_by = str(end)
            break
        best = strategy.incumbent() if report.evaluations else None
        if best is not None and (not incumbents or incumbents[-1].architecture != best):
            judged = table.judged(best, run.objective.metric)
            incumbents.append(Incumbent(run.ledger.spent(), best, judged))
    return SimulatedSearch(
        name or strategy.label, run.seed, tuple(incumbents), run.ledger.spent(), ended_by
    )
