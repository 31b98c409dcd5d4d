"""What a run leaves: its parts that need no run."""

from __future__ import annotations

import pytest

from nasgan.contracts import Evaluation
from nasgan.engine.export import average_random
from nasgan.testing.toy_space import ToySpace


def _evaluation(**metrics: float) -> Evaluation:
    space = ToySpace()
    architecture = space.architecture([0] * len(space.decisions))
    return Evaluation(architecture, metrics, metrics.get("fid"), "table_mean")


def test_the_mean_of_each_metric_is_over_the_random_architectures_that_have_it() -> None:
    found = average_random(
        [_evaluation(fid=10.0, kid=0.5), _evaluation(fid=20.0), _evaluation(fid=60.0, kid=1.5)]
    )
    assert found is not None
    assert (found["count"], found["failed"]) == (3, 0)
    assert found["metrics"] == pytest.approx({"fid": 30.0, "kid": 1.0})
    assert average_random([_evaluation()])["metrics"] == {}  # type: ignore[index]
