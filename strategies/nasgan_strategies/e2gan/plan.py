"""How a search divides its budget into trajectories, and these into stages."""

from __future__ import annotations

from dataclasses import dataclass

from nasgan.contracts import Budget
from nasgan.errors import ConfigError

__all__ = ["Plan", "plan_trajectories"]

_TRAJECTORIES = 100
# A stage trained for less tells nothing; small budgets have fewer trajectories instead.
_LEAST_STEPS = 5


@dataclass(frozen=True)
class Plan:
    """Trajectories of equal length.

    Attributes:
        trajectories: how many.
        exploring: so many of them first, the others exploit.
        stage_steps: generator steps of each stage of each.
    """

    trajectories: int
    exploring: int
    stage_steps: int


def plan_trajectories(
    trajectories: int | None,
    stage_steps: int | None,
    exploiting: float,
    *,
    budget: Budget,
    stages: int,
) -> Plan:
    """Plan a search.

    Args:
        trajectories: asked for; None: as many as the budget holds, at most the published 100.
        stage_steps: asked for; None: the trajectory's share of the budget.
        exploiting: share of the trajectories.
        budget: of the search; each stage costs its steps and a score.
        stages: of the space.

    Raises:
        ConfigError: no trajectory fits, or their length cannot be told.
    """
    steps = budget.generator_steps
    if stage_steps is None and steps is None:
        raise ConfigError(
            "e2gan needs its length: set budget.generator_steps or strategy.stage_steps"
        )
    count = trajectories or _TRAJECTORIES
    if budget.architectures is not None:
        count = min(count, budget.architectures // stages)
    if steps is not None:
        least = stage_steps or min(_LEAST_STEPS, steps // stages)
        count = min(count, steps // (stages * max(1, least)))
    if count < 1:
        raise ConfigError(
            f"the budget ends within the first trajectory of strategy=e2gan, which trains and "
            f"scores each of {stages} stages: raise budget.generator_steps "
            f"(now {steps}) or budget.architectures (now {budget.architectures})"
        )
    if stage_steps is None:
        assert steps is not None
        stage_steps = steps // (count * stages)
    return Plan(count, round(count * (1 - exploiting)), stage_steps)
