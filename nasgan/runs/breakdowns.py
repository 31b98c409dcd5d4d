"""What a record says of trainings that broke down although the run has a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasgan.runs.checks import instance, integer, one_of, text

__all__ = ["BREAKDOWN", "PHASED_BREAKDOWN", "breakdown_words"]

_FIELDS = {"reason": text(), "generator_step": integer()}

BREAKDOWN = instance(_FIELDS)
"""The check of a `nasgan.contracts.Breakdown` as JSON data."""

PHASED_BREAKDOWN = instance({**_FIELDS, "phase": one_of("search", "final")})
"""The same with the phase of the run in which it was."""

_WHERE = {
    "search": ("the search's supernet", "the best known by then went on"),
    "final": ("the training", "its best moment before counts"),
}


def breakdown_words(item: Mapping[str, Any]) -> str:
    """An item of `RunRecord.breakdowns` for a person."""
    what, outcome = _WHERE[item["phase"]]
    step, reason = item["generator_step"], item["reason"]
    return f"{what} broke down at generator step {step} ({reason}); {outcome}"
