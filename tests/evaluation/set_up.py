"""Evaluators that have taken their run, and runs a little different from others."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from nasgan.contracts import Evaluator, SearchRun
from nasgan.evaluation import Run

EvaluatorT = TypeVar("EvaluatorT", bound=Evaluator)


def set_up(run: SearchRun, evaluator: EvaluatorT) -> EvaluatorT:
    """``evaluator``, in ``run``."""
    evaluator.setup(run)
    return evaluator


def changed(run: Run, **parts: Any) -> Run:
    """A copy of ``run`` with other parts, and with its supernet where that was built."""
    other = copy.copy(run)
    vars(other).update(parts)
    return other
