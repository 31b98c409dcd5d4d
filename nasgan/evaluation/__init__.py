"""The run, and its evaluators: how architectures are scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nasgan.evaluation.gap import GapEvaluator
from nasgan.evaluation.inherit import InheritEvaluator
from nasgan.evaluation.pool import InProcessPool
from nasgan.evaluation.run import Run
from nasgan.evaluation.scratch import ScratchEvaluator
from nasgan.evaluation.shared import SharedEvaluator
from nasgan.evaluation.table import NamedTableEvaluator, TableMeanEvaluator
from nasgan.evaluation.training_task import DerivedPair, TrainingPlan, TrainingTask

if TYPE_CHECKING:
    from nasgan.evaluation.zero_cost.evaluator import ZeroCostEvaluator

__all__ = [
    "DerivedPair",
    "GapEvaluator",
    "InProcessPool",
    "InheritEvaluator",
    "NamedTableEvaluator",
    "Run",
    "ScratchEvaluator",
    "SharedEvaluator",
    "TableMeanEvaluator",
    "TrainingPlan",
    "TrainingTask",
    "ZeroCostEvaluator",
]


def __getattr__(name: str) -> Any:
    """The proxies are many, and few runs ask for them."""
    if name != "ZeroCostEvaluator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nasgan.evaluation.zero_cost.evaluator import ZeroCostEvaluator

    return ZeroCostEvaluator
