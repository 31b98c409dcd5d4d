"""Several objectives and what an evaluator gives: held against each other where scores arrive."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nasgan.contracts import Budget, Cost, Evaluation, Objective, StepReport
from nasgan.errors import ConfigError, PluginError
from nasgan.evaluation.arrival import checked_report, search_objective
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.random.strategy import RandomSearch

SPACE = ToySpace()
SEVERAL = Objective("fid", "min", (Objective("parameters", "min"), Objective("macs", "min")))


def test_an_evaluator_s_own_objective_takes_the_place_of_the_first() -> None:
    evaluator = ToyRun(SPACE, Budget(), shared=False, seed=0).evaluator
    assert search_objective(evaluator, SEVERAL) == SEVERAL
    evaluator.objective = Objective("ntk", "max")
    assert search_objective(evaluator, SEVERAL) == replace(SEVERAL, metric="ntk", direction="max")
    with_is = replace(SEVERAL, others=(Objective("is", "max"),))
    with pytest.raises(ConfigError, match=r"gives ntk only, and not is; beside its score"):
        search_objective(evaluator, with_is)
    evaluator.objective = Objective("parameters", "max")
    with pytest.raises(ConfigError, match="calls its own score parameters; leave that one out"):
        search_objective(evaluator, SEVERAL)


def test_a_score_without_the_value_of_a_further_objective_is_refused() -> None:
    run = ToyRun(SPACE, Budget(), shared=False, seed=0)
    metric = run.objective.metric
    objective = replace(run.objective, others=(Objective("is", "max"),))
    made = Evaluation(
        SPACE.architecture([0, 1, 2, 1]), {metric: 1.0}, 1.0, "toy", cost=Cost(architectures=1)
    )
    with pytest.raises(PluginError, match=r"ToyEvaluator: Evaluation\.metrics lacks is"):
        checked_report(
            StepReport("x", evaluations=(made,)), RandomSearch(), run.evaluator, objective
        )
    for fine in (
        replace(made, metrics={metric: 1.0, "is": 2.0}),
        replace(made, metrics={}, score=None, failure="it diverged"),
    ):
        report = StepReport("x", evaluations=(fine,))
        assert checked_report(report, RandomSearch(), run.evaluator, objective) == report
