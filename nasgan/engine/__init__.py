"""The engine: runs searches and trainings to their end, and reads what they left."""

from nasgan.engine.inspect import LoadedRun, evaluate_run, load, sample_run
from nasgan.engine.launch import Outcome, run_search, run_training

__all__ = [
    "LoadedRun",
    "Outcome",
    "evaluate_run",
    "load",
    "run_search",
    "run_training",
    "sample_run",
]
