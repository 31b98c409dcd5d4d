"""Fits of tests are kept for the time of the tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _fits_are_kept(own_cache: None) -> None:
    """For all tests here."""
