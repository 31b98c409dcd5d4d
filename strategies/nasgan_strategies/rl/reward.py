"""What the policy is rewarded for: the objective, less the cost of the generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from nasgan.architecture import Architecture
from nasgan.contracts import GeneratorSizes, Objective, SearchSpace
from nasgan.errors import ConfigError, quoted

__all__ = ["Costs", "Limits", "Reward", "RewardKind"]

RewardKind = Literal["auto", "score", "inverse", "negative"]

_PROBES = 200


class Costs:
    """Parameters and multiply-adds of generators at the widths of the search; each counted once.

    Args:
        space: of the architectures.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._sizes = GeneratorSizes(space)

    def __call__(self, architecture: Architecture) -> tuple[float, float]:
        """Millions of parameters, and thousand millions of multiply-adds for one image."""
        sizes = self._sizes(architecture)
        return sizes["parameters"] / 1e6, sizes["macs"] / 1e9


@dataclass(frozen=True)
class Limits:
    """Limits that no candidate may pass.

    Attributes:
        parameters: of the generator at the widths of the search, millions.
        macs: its multiply-adds for one image, thousand millions.
    """

    parameters: float | None = None
    macs: float | None = None

    def __post_init__(self) -> None:
        for name, limit in (("max_parameters", self.parameters), ("max_macs", self.macs)):
            if limit is not None and not limit > 0:
                raise ConfigError(f"strategy.{name} must be above 0 or null, got {limit}")

    @property
    def any(self) -> bool:
        """Whether there is a limit."""
        return self.parameters is not None or self.macs is not None

    def allow(self, cost: tuple[float, float]) -> bool:
        """Whether an architecture of this `Costs` is within them."""
        return all(
            limit is None or value <= limit
            for value, limit in zip(cost, (self.parameters, self.macs), strict=True)
        )

    def check_reachable(self, space: SearchSpace, costs: Costs, rng: np.random.Generator) -> None:
        """Refuse limits that none of some random architectures keeps.

        Raises:
            ConfigError: names the least that was found.
        """
        if not self.any:
            return
        found = [costs(space.sample(rng)) for _ in range(_PROBES)]
        if not any(map(self.allow, found)):
            raise ConfigError(
                f"strategy.max_parameters={self.parameters} and max_macs={self.macs}: none of "
                f"{_PROBES} random architectures of {space.name!r} is within; the smallest "
                f"generators have {min(p for p, _ in found):.3g} million parameters and "
                f"{min(m for _, m in found):.3g} thousand million multiply-adds at this width"
            )


@dataclass(frozen=True)
class Reward:
    """The reward of a score: more is better.

    Attributes:
        kind: ``score`` as it is, ``inverse`` 1/score (AutoGAN's figure 8 for FID), ``negative``;
            ``auto`` is the score where more is better, the inverse of ``fid``, else the negative.
        parameters_weight: taken off for each million parameters of the generator.
        macs_weight: taken off for each thousand million of its multiply-adds.
    """

    kind: RewardKind = "auto"
    parameters_weight: float = 0.0
    macs_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(RewardKind):
            raise ConfigError(
                f"strategy.reward must be one of {', '.join(get_args(RewardKind))}, "
                f"got {quoted(self.kind)}"
            )
        if self.parameters_weight < 0 or self.macs_weight < 0:
            raise ConfigError("strategy.parameters_weight and macs_weight must not be negative")

    def check(self, objective: Objective) -> None:
        """Refuse a kind that rewards what the objective calls worse.

        Raises:
            ConfigError: says which kinds fit.
        """
        rising = self.kind == "score"
        if self.kind != "auto" and rising != (objective.direction == "max"):
            fitting = "score" if objective.direction == "max" else "inverse or negative"
            raise ConfigError(
                f"strategy.reward={self.kind} would reward a worse {objective.metric}, of which "
                f"{'more' if objective.direction == 'max' else 'less'} is better; use auto or "
                f"{fitting}"
            )

    def __call__(
        self, objective: Objective, score: float, architecture: Architecture, costs: Costs
    ) -> float:
        """The reward of an architecture that has ``score``."""
        kind = self.kind
        if kind == "auto":
            kind = "score" if objective.direction == "max" else "negative"
            if objective.metric == "fid":
                kind = "inverse"
        value = {"score": score, "negative": -score}.get(kind)
        if value is None:
            # A perfect FID is no reason to divide by zero.
            value = 1.0 / max(score, 1e-6)
        if self.parameters_weight or self.macs_weight:
            parameters, macs = costs(architecture)
            value -= self.parameters_weight * parameters + self.macs_weight * macs
        return value
