"""Scores from a table of trainings: a search takes seconds, and is charged for hours."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts import (
    Cost,
    Evaluation,
    EvaluationTask,
    Evaluator,
    OnePieceTask,
    Proposal,
    SearchRun,
)
from nasgan.errors import ConfigError
from nasgan.evaluation.table_trainings import TableTrainings, open_table
from nasgan.tabular.trainings import SimulatedTraining, Trainings

__all__ = ["NamedTableEvaluator", "TableEvaluator", "TableMeanEvaluator"]


class TableEvaluator(Evaluator):
    """Looks trainings up, and charges what they would have cost.

    A longer training of the same architecture goes on from the shorter one, and is charged the
    rest. Lengths between the table's points are those of the next point: two of them that meet at
    one point are one training, and the second is charged its score alone.

    Args:
        table: the trainings.
        generator_steps: length of a training where the strategy does not say; None: the table's.
    """

    fidelity = "table"
    trains = True

    def __init__(self, table: Trainings, *, generator_steps: int | None = None) -> None:
        self._table = table
        self._generator_steps = generator_steps
        # Generator steps asked for, by architecture id: those up to the point after are charged.
        self._trained: dict[str, int] = {}

    def setup(self, run: SearchRun) -> None:
        """See `Evaluator.setup`; the run's seed chooses among the table's repeats.

        Raises:
            ConfigError: the table has no such metric, or is shorter.
        """
        super().setup(run)
        metric = run.objective.metric
        if metric not in self._table.metrics:
            raise ConfigError(f"objective={metric}: the table has {', '.join(self._table.metrics)}")
        wanted = self._generator_steps
        self._default = self.point(self._table.steps[-1] if wanted is None else wanted)

    def point(self, generator_steps: int) -> int:
        """The table's first point at or after ``generator_steps``.

        Raises:
            ConfigError: it is beyond the last.
        """
        steps = self._table.steps
        if not 1 <= generator_steps <= steps[-1]:
            points = ", ".join(map(str, steps))
            raise ConfigError(
                f"the table has no scores at {generator_steps} generator steps; its points are "
                f"{points}"
            )
        return steps[bisect_left(steps, generator_steps)]

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        """See `Evaluator.begin`; whole networks were trained, so there are no stages."""
        (proposal,) = proposals
        cost = self.expected_cost(proposal)
        return OnePieceTask(lambda: (self.look_up(proposal, cost),))

    def expected_cost(self, proposal: Proposal) -> Cost:
        """See `Evaluator.expected_cost`."""
        if proposal.stage is not None:
            raise ConfigError("a table holds whole networks: it has no scores at a stage")
        steps = self._wanted(proposal) - self._begun(proposal)
        images = steps * self._table.images_per_generator_step + self._table.num_images
        return Cost(architectures=1, generator_steps=steps, images=images)

    def _asked(self, proposal: Proposal) -> int:
        asked = proposal.generator_steps
        return self._default if asked is None else asked

    def _wanted(self, proposal: Proposal) -> int:
        return self.point(self._asked(proposal))

    def _begun(self, proposal: Proposal) -> int:
        """The point that a training has reached which this one goes on from; 0 for a new one."""
        before = self._trained.get(proposal.architecture.id, 0)
        return self.point(before) if 0 < before < self._asked(proposal) else 0

    def look_up(self, proposal: Proposal, cost: Cost) -> Evaluation:
        """Charge ``cost`` and what it takes in time; the evaluation.

        Raises:
            BudgetExhausted: the budget does not cover it.
        """
        ledger = self.run.ledger
        ledger.allow("architectures", 1)
        architecture, wanted = proposal.architecture, self._wanted(proposal)
        training = self._table.training(architecture, self.run.seed)
        cost += Cost(device_seconds=training.seconds * self._share_of_seconds(cost))
        # The time is in the table, so it is known beforehand as the other units are.
        ledger.require(cost)
        ledger.charge(cost)
        self._trained[architecture.id] = self._asked(proposal)
        metrics = training.scores.get(wanted)
        return Evaluation(
            architecture,
            dict(metrics or {}),
            None if metrics is None else metrics[self.run.objective.metric],
            self.fidelity,
            generator_steps=wanted,
            cost=cost,
            failure="" if metrics is not None else _reason(training),
        )

    def _share_of_seconds(self, cost: Cost) -> float:
        """Of a whole training's: the steps', and one score's."""
        steps, score = self._table.steps, self._table.score_share
        return cost.generator_steps / steps[-1] * (1 - len(steps) * score) + score

    def kept(self, architecture: Architecture) -> dict[str, Any]:
        """See `Evaluator.kept`."""
        steps = self._trained.get(architecture.id)
        return {} if steps is None else {"trained": steps}

    def adopt(self, architecture: Architecture, kept: Mapping[str, Any]) -> None:
        """See `Evaluator.adopt`."""
        if "trained" in kept:
            self._trained[architecture.id] = kept["trained"]

    def state_dict(self) -> dict[str, Any]:
        """See `Evaluator.state_dict`."""
        return {"trained": dict(self._trained)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Evaluator.load_state_dict`."""
        self._trained = dict(state["trained"])


class NamedTableEvaluator(TableEvaluator):
    """A `TableEvaluator` of a table by its name, for ``nasgan search evaluator=table``.

    Args:
        table: name of a shipped table, or the path of one.
        generator_steps: as there.

    Attributes:
        table: as searches meet it, from `setup` on.
    """

    table: TableTrainings

    def __init__(self, *, table: str, generator_steps: int | None = None) -> None:
        self._name = table
        self._generator_steps = generator_steps
        self._trained = {}

    def setup(self, run: SearchRun) -> None:
        """See `Evaluator.setup`.

        Raises:
            TableError: the table was made otherwise than this run trains and scores.
            ConfigError: as `TableEvaluator.setup`.
        """
        self._table = self.table = open_table(self._name, run, run.space, where="evaluator.table")
        super().setup(run)


class TableMeanEvaluator(Evaluator):
    """What a table's trainings of an architecture give on average: for ``final.evaluator``.

    In an exact table it is the mean over seeds that no search sees, where there are some. It costs
    nothing but to be counted.

    Args:
        table: name of a shipped table, or the path of one.

    Attributes:
        table: as searches meet it, from `setup` on.
    """

    fidelity = "table_mean"
    table: TableTrainings

    def __init__(self, *, table: str) -> None:
        self._name = table

    def setup(self, run: SearchRun) -> None:
        """See `Evaluator.setup`.

        Raises:
            TableError: the table was made otherwise than this run trains and scores.
        """
        super().setup(run)
        self.table = open_table(self._name, run, run.space, where="final.evaluator.table")

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        """See `Evaluator.begin`."""
        (proposal,) = proposals
        cost = Cost(architectures=1)
        return OnePieceTask(lambda: (self.look_up(proposal, cost),))

    def look_up(self, proposal: Proposal, cost: Cost) -> Evaluation:
        """The means of all scores of the table."""
        self.run.ledger.allow("architectures", 1)
        self.run.ledger.charge(cost)
        wanted, table = proposal.architecture, self.table
        found = {name: table.judged(wanted, name) for name in table.metrics}
        score = found[self.run.objective.metric]
        return Evaluation(
            wanted,
            {} if score is None else {k: v for k, v in found.items() if v is not None},
            score,
            self.fidelity,
            generator_steps=table.steps[-1],
            cost=cost,
            failure="" if score is not None else "its trainings in the table broke down",
        )


def _reason(training: SimulatedTraining) -> str:
    return training.failure or "the table has no score here"
