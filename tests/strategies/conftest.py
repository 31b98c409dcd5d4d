from __future__ import annotations

from collections.abc import Callable

import pytest

from nasgan.contracts import Budget, Evaluation, SearchStrategy
from nasgan.errors import BudgetExhausted
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import ToySpace


@pytest.fixture
def toy_run() -> Callable[..., ToyRun]:
    """Makes a toy run: ``toy_run("scratch", architectures=5)``."""

    def make(kind: str, *, seed: int = 0, **limits: float) -> ToyRun:
        return ToyRun(ToySpace(), Budget(**limits), shared=kind == "shared", seed=seed)

    return make


@pytest.fixture
def search() -> Callable[[SearchStrategy, ToyRun], list[Evaluation]]:
    """Drives a strategy to its end or its budget's, as the engine does."""

    def drive(strategy: SearchStrategy, run: ToyRun) -> list[Evaluation]:
        strategy.setup(run)
        evaluations: list[Evaluation] = []
        try:
            while not strategy.finished:
                evaluations.extend(strategy.step().evaluations)
        except BudgetExhausted:
            assert run.trace.refused
        return evaluations

    return drive
