"""Checks of the settings of `RLSearch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from nasgan.contracts import Budget
from nasgan.errors import ConfigError, quoted
from nasgan_strategies.rl.reinforce import Update

__all__ = ["Finalists", "check_scratch_search", "check_settings"]

Finalists = Literal["scored", "last"]


def check_settings(
    update: object,
    children: int,
    finalists: object,
    counts: Mapping[str, int | None],
    fractions: Mapping[str, float],
) -> None:
    """Refuse what no search can use.

    Raises:
        ConfigError: an unknown update or choice of finalists, a count below 1, a fraction outside
            [0, 1).
    """
    if update not in get_args(Update):
        raise ConfigError(f"strategy.update must be corrected or published, got {quoted(update)}")
    if finalists not in get_args(Finalists):
        raise ConfigError(f"strategy.finalists must be scored or last, got {quoted(finalists)}")
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


def check_scratch_search(
    budget: Budget, finalists: Finalists, *, multi_level: bool, needed: int
) -> None:
    """Refuse a search without weight sharing that would not end, or not score anything.

    Args:
        budget: of the search.
        finalists: see `RLSearch`.
        multi_level: see `RLSearch`.
        needed: generator steps of a candidate.

    Raises:
        ConfigError: it has no shared weights to grow, or to score last candidates with; the budget
            has no limit, or is below the cost of one candidate.
    """
    if finalists == "last":
        raise ConfigError(
            "strategy.finalists=last takes the candidates scored with the final shared weights; "
            "with evaluator=scratch there are none: use strategy.finalists=scored"
        )
    if not multi_level:
        raise ConfigError(
            "strategy.multi_level=false is about the growth of shared weights, and here are none: "
            "use strategy=rl_scratch"
        )
    if not budget.is_limited:
        raise ConfigError(
            "reinforcement learning with evaluator=scratch goes on until its budget ends: set "
            "budget.architectures or another limit"
        )
    limit = budget.generator_steps
    if limit is not None and limit < needed:
        raise ConfigError(
            f"budget.generator_steps={limit} ends before the first candidate is scored, which "
            f"takes {needed}: raise it (budget=unlimited budget.architectures=20), or shorten the "
            "candidates' training (evaluator.generator_steps)"
        )
