from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from run_comparison import TINY

from nasgan.cli.compose import compose


@pytest.fixture
def tiny() -> Callable[..., dict[str, Any]]:
    """The configuration of a run that ends in seconds: ``tiny("search", "seed=3")``."""

    def configuration(verb: str, *overrides: str) -> dict[str, Any]:
        return compose(verb, [*TINY, *overrides])

    return configuration
