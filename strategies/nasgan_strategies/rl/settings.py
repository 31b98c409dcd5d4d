"""Checks of the settings of `RLSearch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from nasgan.contracts import Proposal, SearchRun
from nasgan.errors import ConfigError
from nasgan_strategies.rl.reinforce import Update

__all__ = ["check_scratch_budget", "check_settings"]


def check_settings(
    update: object,
    children: int,
    counts: Mapping[str, int | None],
    fractions: Mapping[str, float],
) -> None:
    """Refuse what no search can use.

    Raises:
        ConfigError: an unknown update, a count below 1, a fraction outside [0, 1).
    """
    if update not in get_args(Update):
        raise ConfigError(f"strategy.update must be corrected or published, got {update!r}")
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ConfigError(f"strategy.{name} must be at least 1, got {count}")
    for name, value in fractions.items():
        if not 0 <= value < 1:
            raise ConfigError(f"strategy.{name} must be in [0, 1), got {value}")
    if update == "published" and children != 1:
        raise ConfigError(
            f"strategy.update=published learns from one child at a time, as AutoGAN's code does; "
            f"set strategy.children=1 (got {children}), or use update=corrected"
        )


def check_scratch_budget(run: SearchRun) -> None:
    """Refuse a search without weight sharing that would not end, or not score anything.

    Raises:
        ConfigError: the budget has no limit, or is below the cost of one candidate.
    """
    budget = run.ledger.budget.to_json()
    if all(limit is None for limit in budget.values()):
        raise ConfigError(
            "reinforcement learning with evaluator=scratch goes on until its budget ends: set "
            "budget.architectures or another limit"
        )
    # Any architecture will do: the length of a candidate's training is the evaluator's.
    space = run.space
    some = space.architecture(space.repair((0,) * len(space.decisions)))
    needed = run.evaluator.expected_cost(Proposal(some)).generator_steps
    limit = budget["generator_steps"]
    if limit is not None and limit < needed:
        raise ConfigError(
            f"budget.generator_steps={limit} ends before the first candidate is scored, which "
            f"takes {needed}: raise it (budget=unlimited budget.architectures=20), or shorten the "
            "candidates' training (evaluator.generator_steps)"
        )
