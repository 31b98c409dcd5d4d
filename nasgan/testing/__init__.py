"""Conformance suites that built-ins and plugins both run."""

from nasgan.testing.evaluator import check_evaluator
from nasgan.testing.features import check_feature_extractor
from nasgan.testing.search_space import check_search_space
from nasgan.testing.strategy import check_strategy
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import StagedToySpace, ToySpace

__all__ = [
    "StagedToySpace",
    "ToyRun",
    "ToySpace",
    "check_evaluator",
    "check_feature_extractor",
    "check_search_space",
    "check_strategy",
]
