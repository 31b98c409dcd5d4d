"""Conformance suites that built-ins and plugins both run."""

from nasgan.testing.search_space import check_search_space
from nasgan.testing.strategy import check_strategy
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import StagedToySpace, ToySpace

__all__ = ["StagedToySpace", "ToyRun", "ToySpace", "check_search_space", "check_strategy"]
