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


def scored(space, index, fid, **metrics):
    choice = [index % 3, 0, 0, 0]
    values = {} if fid is None else {"fid": fid, **metrics}
    return Evaluation(space.architecture(choice), values, fid, "scratch")


def test_several_objectives_make_a_front_and_an_order(space):
    objective = Objective("fid", "min", (Objective("is", "max"), Objective("macs", "min")))
    values = [(5.0, 1.0, 1.0), (1.0, 9.0, 9.0), (None, 0, 0), (6.0, 1.0, 1.0), (4.0, 2.0, 9.0)]
    made = [
        scored(space, k, fid, **{"is": score, "macs": macs})
        for k, (fid, score, macs) in enumerate(values)
    ]
    assert objective.rewards(made[0]) == (-5.0, 1.0, -1.0)
    assert objective.rewards(made[2]) == (-math.inf,) * 3
    # made[4] loses to made[1], made[3] to made[0].
    assert objective.front(made) == [made[1], made[0]], "the best in the first objective first"
    assert objective.best_first(made) == [made[1], made[0], made[4], made[3], made[2]]
    one = Objective("fid", "min")
    assert [e.score for e in one.best_first(made)] == [1.0, 4.0, 5.0, 6.0, None]
    assert one.front(made) == [made[1]]
    assert one.front([made[2]]) == []


def test_an_objective_is_written_as_before_unless_there_are_several():
    assert Objective("fid", "min").to_json() == {"metric": "fid", "direction": "min"}
    both = Objective("fid", "min", (Objective("macs", "min"),))
    assert both.to_json()["others"] == [{"metric": "macs", "direction": "min"}]
