"""Executors: where the pieces of a search are done, here or by several workers at once."""

from nasgan.evaluation.executors.executor import Executor, InProcessExecutor
from nasgan.evaluation.executors.processes import AutoExecutor, ProcessExecutor
from nasgan.evaluation.executors.ray_cluster import RayExecutor
from nasgan.evaluation.executors.worker_pool import WorkOrder

__all__ = [
    "AutoExecutor",
    "Executor",
    "InProcessExecutor",
    "ProcessExecutor",
    "RayExecutor",
    "WorkOrder",
]
