"""Conformance suites that built-ins and plugins both run."""

from nasgan.testing.search_space import check_search_space
from nasgan.testing.strategy import check_strategy

__all__ = ["check_search_space", "check_strategy"]
