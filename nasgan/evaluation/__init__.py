"""The run, and its evaluators: how architectures are scored."""

from nasgan.evaluation.pool import InProcessPool
from nasgan.evaluation.run import Run
from nasgan.evaluation.scratch import ScratchEvaluator
from nasgan.evaluation.shared import SharedEvaluator
from nasgan.evaluation.table import NamedTableEvaluator, TableMeanEvaluator
from nasgan.evaluation.training_task import DerivedPair, TrainingPlan, TrainingTask

__all__ = [
    "DerivedPair",
    "InProcessPool",
    "NamedTableEvaluator",
    "Run",
    "ScratchEvaluator",
    "SharedEvaluator",
    "TableMeanEvaluator",
    "TrainingPlan",
    "TrainingTask",
]
