"""Executors: where candidates are scored, in this process or by several workers at once."""

from nasgan.evaluation.executors.executor import Executor, InProcessExecutor, WorkOrder
from nasgan.evaluation.executors.processes import ProcessExecutor
from nasgan.evaluation.executors.ray_actors import RayExecutor

__all__ = ["Executor", "InProcessExecutor", "ProcessExecutor", "RayExecutor", "WorkOrder"]
