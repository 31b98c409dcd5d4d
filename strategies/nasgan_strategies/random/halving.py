"""Successive halving: who is trained for how long."""

from __future__ import annotations

from dataclasses import dataclass

from nasgan.errors import ConfigError

__all__ = ["HalvingSchedule"]


@dataclass(frozen=True)
class HalvingSchedule:
    """Rungs of successive halving (Jamieson and Talwalkar 2016; used by Li and Talwalkar 2019).

    Each rung trains its candidates to a length; the best ``1 / factor`` of them go on to a length
    ``factor`` times as long.

    Attributes:
        candidates: in the first rung.
        min_steps: length of the first rung's trainings, in generator steps.
        max_steps: length of the last rung's.
        factor: above 1.
    """

    candidates: int
    min_steps: int
    max_steps: int
    factor: float = 3.0

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise ConfigError(f"strategy.num_candidates must be at least 1, got {self.candidates}")
        if self.factor <= 1:
            raise ConfigError(f"strategy.halving_factor must be above 1, got {self.factor}")
        if not 1 <= self.min_steps <= self.max_steps:
            raise ConfigError(
                f"strategy.min_steps must be at least 1 and at most max_steps, got "
                f"{self.min_steps} and {self.max_steps}"
            )

    @property
    def rungs(self) -> list[tuple[int, int]]:
        """``(candidates, generator steps)`` of each rung; the last one trains to ``max_steps``."""
        rungs = []
        count, steps = self.candidates, float(self.min_steps)
        while count > 1 and round(steps) < self.max_steps:
            rungs.append((count, round(steps)))
            count = max(1, int(count / self.factor))
            # At least one step more: a rung of the same length would train for nothing.
            steps = max(steps * self.factor, round(steps) + 1)
        rungs.append((count, self.max_steps))
        return rungs

    @property
    def generator_steps(self) -> int:
        """Generator steps of the whole schedule: survivors continue, nothing is repeated."""
        total, before = 0, 0
        for count, steps in self.rungs:
            total += count * (steps - before)
            before = steps
        return total
