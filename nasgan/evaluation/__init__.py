"""Evaluators: how architectures are scored, with shared weights or from scratch."""

from nasgan.evaluation.context import EvaluationContext
from nasgan.evaluation.pool import InProcessPool
from nasgan.evaluation.scratch import ScratchEvaluator
from nasgan.evaluation.shared import SharedEvaluator
from nasgan.evaluation.training_task import DerivedPair, TrainingPlan, TrainingTask

__all__ = [
    "DerivedPair",
    "EvaluationContext",
    "InProcessPool",
    "ScratchEvaluator",
    "SharedEvaluator",
    "TrainingPlan",
    "TrainingTask",
]
