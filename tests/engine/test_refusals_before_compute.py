"""What strategies and evaluators cannot work with is refused before the reference is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nasgan.engine import run_config
from nasgan.errors import NasganError

NO_LENGTH = ("budget.generator_steps=null", "budget.architectures=null")

REFUSED = {
    "no size within the limits": (
        ["strategy=evolution", "strategy.constraints={parameters: [1e12, null]}"],
        "Widen the ranges",
    ),
    "a supernet without a length": (["strategy=random", *NO_LENGTH], "budget.generator_steps or"),
    "a plan that its budget ends": (
        ["strategy=eagan", "search_space=adversarial_nas"],
        "set budget.architectures=99",
    ),
    "scores of another kind": (["strategy=e2gan", "evaluator=scratch"], "evaluator=shared_is_fid"),
    "no trainings to end": (["strategy=asha", "evaluator=shared"], "take evaluator=scratch"),
    "growth at no iteration": (["strategy=rl", "strategy.grow_at=[5]"], "2 rising iterations"),
    "too few images of an evaluator": (
        ["strategy=random", "evaluator=inherit", "evaluator.num_images=1"],
        "evaluator.num_images must be at least",
    ),
    "too few images of a strategy": (
        ["strategy=eagan", "strategy.num_images=1"],
        "strategy.num_images must be at least",
    ),
    "more batches than images": (
        ["strategy=random", "evaluator=zero_cost", "evaluator.batches=1000"],
        "there are 1438 training images",
    ),
    "no such table": (
        ["strategy=random_scratch", "evaluator=table", "evaluator.table=mine"],
        "unknown table 'mine'",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_does_not_go_together_costs_no_features(
    case: str,
    tiny: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    overrides, complaint = REFUSED[case]
    computed = "nasgan.metrics.reference.ReferenceStatistics.from_images"
    monkeypatch.setattr(computed, lambda *_, **__: pytest.fail("the reference was computed"))
    with pytest.raises(NasganError, match=complaint):
        run_config(tiny("search", *overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()
