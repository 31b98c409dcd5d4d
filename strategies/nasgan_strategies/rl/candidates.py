"""From what a policy draws to architectures that may be trained and scored, and their ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasgan.architecture import Architecture, Decision
from nasgan.contracts import Evaluation, Objective, SearchSpace
from nasgan.errors import ConfigError
from nasgan_strategies.rl.policy import Child, Policy
from nasgan_strategies.rl.reward import Costs, Limits

__all__ = ["Candidates", "by_score"]

_MOST_DRAWS = 1000


class Candidates:
    """The architectures of one search: completed, repaired and within the hard limits.

    Args:
        space: of the search.
        stages: in which the networks grow; 1 decides everything at once.
        limits: on the generators.
        costs: of the generators.
    """

    def __init__(self, space: SearchSpace, stages: int, limits: Limits, costs: Costs) -> None:
        self._space = space
        self._stages = stages
        self._limits = limits
        self._costs = costs

    def decisions(self, stage: int) -> list[Decision]:
        """What the policy of ``stage`` decides."""
        if self._stages == 1:
            return list(self._space.decisions)
        return [decision for decision in self._space.decisions if decision.stage == stage]

    def complete(self, choices: Sequence[int]) -> Architecture:
        """``choices`` of the first stages, later decisions by their first option, repaired."""
        space = self._space
        order = [decision for stage in range(self._stages) for decision in self.decisions(stage)]
        chosen = dict(zip((decision.name for decision in order), choices, strict=False))
        indices = tuple(chosen.get(decision.name, 0) for decision in space.decisions)
        return space.architecture(space.repair(indices))

    def within_limits(
        self, child: Child, policy: Policy, rng: np.random.Generator
    ) -> tuple[Child, Architecture]:
        """``child`` of ``policy``, or the first one drawn instead of it that keeps the limits.

        Raises:
            ConfigError: none is found.
        """
        for _ in range(_MOST_DRAWS):
            architecture = self.complete(policy.prefix(child) + child.actions)
            if not self._limits.any or self._limits.allow(self._costs(architecture)):
                return child, architecture
            (child,) = policy.sample(1, rng)
        raise ConfigError(
            f"strategy.max_parameters and max_macs: {_MOST_DRAWS} candidates in a row were above "
            "the limits; raise them, or grow in one level (strategy.multi_level=false)"
        )


def by_score(evaluations: Sequence[Evaluation], objective: Objective) -> list[Evaluation]:
    """Best first, failed ones last; of each architecture the best."""
    ranked: dict[Architecture, Evaluation] = {}
    for evaluation in sorted(evaluations, key=lambda e: -objective.reward(e.score)):
        ranked.setdefault(evaluation.architecture, evaluation)
    return list(ranked.values())
