"""Evaluators of one piece: what of their work is done for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from nasgan.contracts import Budget, Cost, Objective, Proposal, SimpleEvaluator
from nasgan.errors import BudgetExhausted, PluginError, TrainingDiverged
from nasgan.testing import ToyRun, ToySpace


class By(SimpleEvaluator):
    """Scores by what it is given."""

    fidelity = "by"

    def __init__(self, score: Callable[[By], Any], objective: Objective | None = None) -> None:
        self.objective = objective
        self._score = score

    def score(self, proposal: Proposal) -> float | Mapping[str, float]:
        found: float | Mapping[str, float] = self._score(self)
        return found


def scored(evaluator: By, **limits: float) -> tuple[ToyRun, Any]:
    """The run, and the evaluation as a strategy hears it."""
    run = ToyRun(ToySpace(), Budget(**limits), evaluator=evaluator, seed=0)  # type: ignore[arg-type]
    run.pool.submit(Proposal(run.space.architecture([0, 1, 2, 1]), stage=None))
    (made,) = run.pool.advance()
    return run, made


def test_a_number_is_the_score_under_the_objective_s_name() -> None:
    _, made = scored(By(lambda _: 3.0, Objective("size", "max")))
    assert (made.score, dict(made.metrics), made.fidelity) == (3.0, {"size": 3.0}, "by")
    _, made = scored(By(lambda _: 4.0))
    assert (made.score, dict(made.metrics)) == (4.0, {"fid": 4.0})
    _, made = scored(By(lambda _: {"size": 3, "fid": 4.0}))
    assert (made.score, dict(made.metrics)) == (4.0, {"size": 3, "fid": 4.0})


def test_the_cost_is_what_was_charged_and_the_time_that_was_not() -> None:
    def charging(evaluator: By) -> float:
        evaluator.run.ledger.charge(Cost(images=7, generator_steps=2, device_seconds=0.01))
        time.sleep(0.03)
        return 1.0

    run, made = scored(By(charging))
    assert made.cost == run.ledger.spent()
    assert (made.cost.architectures, made.cost.images, made.cost.generator_steps) == (1, 7, 2)
    assert 0.03 <= made.cost.device_seconds < 3


def test_a_training_that_diverges_is_a_failed_candidate_that_was_paid_for() -> None:
    def diverging(evaluator: By) -> float:
        raise TrainingDiverged("the loss is not finite", generator_step=3)

    run, made = scored(By(diverging))
    assert (made.score, dict(made.metrics)) == (None, {})
    assert made.failure == "the loss is not finite"
    assert run.ledger.spent().architectures == 1


def test_no_score_beyond_the_budget() -> None:
    run, _ = scored(By(lambda _: 1.0), architectures=1)
    run.pool.submit(Proposal(run.space.architecture([0, 1, 2, 1])))
    with pytest.raises(BudgetExhausted):
        run.pool.advance()
    assert run.ledger.spent().architectures == 1


def test_metrics_without_what_the_search_goes_by_are_refused() -> None:
    with pytest.raises(PluginError, match=r"By: `score` gave size, and the search goes by fid"):
        scored(By(lambda _: {"size": 3.0}))


def test_no_score_after_half_a_training() -> None:
    """What it says that a score costs must be left, or a shorter training would be ranked."""

    class Training(By):
        def expected_cost(self, proposal: Proposal) -> Cost:
            return Cost(architectures=1, generator_steps=5)

    def training(evaluator: By) -> float:
        evaluator.run.ledger.charge(Cost(generator_steps=5))
        return 1.0

    run, _ = scored(Training(training), generator_steps=8)
    run.pool.submit(Proposal(run.space.architecture([0, 1, 2, 0])))
    with pytest.raises(BudgetExhausted, match="8 generator_steps"):
        run.pool.advance()
    assert run.ledger.spent().generator_steps == 5
