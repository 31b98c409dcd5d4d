"""The engine: runs searches and trainings to their end, and reads what they left."""

from nasgan.engine.finished import LoadedRun, evaluate_run, load, sample_run
from nasgan.engine.launch import Outcome, run, run_config
from nasgan.engine.parts import bind

__all__ = [
    "LoadedRun",
    "Outcome",
    "bind",
    "evaluate_run",
    "load",
    "run",
    "run_config",
    "sample_run",
]
