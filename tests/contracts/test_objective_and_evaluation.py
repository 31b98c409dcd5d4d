from __future__ import annotations

import json
import math

import pytest

from nasgan.contracts import Cost, Evaluation, Objective


@pytest.mark.parametrize(("direction", "better", "worse"), [("min", 1.0, 2.0), ("max", 2.0, 1.0)])
def test_the_direction_decides_what_is_better(direction, better, worse):
    objective = Objective("m", direction)
    assert objective.better(better, worse)
    assert not objective.better(worse, better)
    assert not objective.better(better, better)
    assert objective.reward(better) > objective.reward(worse)


@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("failed", [None, math.nan])
def test_a_failed_candidate_is_worst_of_all(direction, failed):
    objective = Objective("m", direction)
    for score in (-1e30, 0.0, 1e30):
        assert objective.better(score, failed)
        assert not objective.better(failed, score)
    assert not objective.better(failed, failed)


def test_an_evaluation_reads_back_from_json(space):
    architecture = space.architecture([0, 1, 2, 1])
    for evaluation in (
        Evaluation(architecture, {"fid": 3.5, "is": 2.0}, 3.5, "scratch", 40, Cost(1, 40, 9, 0.5)),
        Evaluation(architecture, {}, None, "shared", failure="the loss is not finite"),
    ):
        assert Evaluation.from_json(json.loads(json.dumps(evaluation.to_json()))) == evaluation
