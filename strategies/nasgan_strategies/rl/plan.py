"""The plan of a search with shared weights: what is done in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nasgan.errors import ConfigError

__all__ = ["Phase", "Schedule", "plan_search"]

# AutoGAN's script: 65 iterations, growing at the 15th and the 35th.
PUBLISHED_ITERATIONS = 65
_PUBLISHED_GROWTH = (15 / 65, 35 / 65)
_LEAST_STEPS = 10


@dataclass(frozen=True)
class Phase:
    """One part of the search.

    Attributes:
        kind: ``train`` the supernet; ``control``: update the policy; ``keep`` the best prefixes of
            a stage and begin the next; ``select``: score the last candidates.
        stage: of a progressive search.
        amount: generator steps, updates, or candidates.
    """

    kind: Literal["train", "control", "keep", "select"]
    stage: int
    amount: int

    @property
    def counted(self) -> str:
        """What ``amount`` counts, in words."""
        return {
            "train": "supernet step",
            "control": "update of the policy",
            "keep": "candidates of the stage",
            "select": "last candidates",
        }[self.kind]


@dataclass(frozen=True)
class Schedule:
    """Settings of the plan; None is derived from the budget.

    Attributes:
        iterations: of training and control.
        controller_steps: updates of the policy in an iteration.
        children: candidates of an update.
        candidates: scored at the end of each stage.
        grow_at: iterations before which the networks grow; None: at AutoGAN's fractions.
    """

    iterations: int | None
    controller_steps: int
    children: int
    candidates: int
    grow_at: tuple[int, ...] | None


def plan_search(
    schedule: Schedule, stages: int, generator_steps: int, architectures: float
) -> list[Phase]:
    """The phases of a search.

    What the budget of architectures leaves after the candidates of each stage is spread evenly
    over the updates of the policy.

    Args:
        schedule: settings.
        stages: 1 for a single-level search.
        generator_steps: of the supernet, in all.
        architectures: the most that may be scored; infinity without a limit.

    Raises:
        ConfigError: the search is too short for its stages.
    """
    iterations = schedule.iterations
    if iterations is None:
        iterations = max(stages, min(PUBLISHED_ITERATIONS, generator_steps // _LEAST_STEPS))
    if iterations < stages or generator_steps < iterations:
        raise ConfigError(
            f"a search of {stages} stages needs at least as many iterations, and each of them a "
            f"generator step; got {iterations} iterations and {generator_steps} generator steps "
            "(strategy.iterations, budget.generator_steps)"
        )
    growth = _growth(schedule, stages, iterations)
    if architectures < stages:
        raise ConfigError(
            f"a search of {stages} stages scores candidates at the end of each: budget."
            f"architectures must be at least {stages}, got {architectures:g}"
        )
    candidates = int(min(schedule.candidates, max(1, architectures / (2 * stages))))
    updates = iterations * schedule.controller_steps
    updates = int(min(updates, (architectures - stages * candidates) / schedule.children))
    phases: list[Phase] = []
    stage = 0
    for k in range(iterations):
        if k in growth:
            phases.append(Phase("keep", stage, candidates))
            stage += 1
        steps = _share(generator_steps, k, iterations)
        phases.append(Phase("train", stage, steps))
        phases.append(Phase("control", stage, _share(updates, k, iterations)))
    phases.append(Phase("select", stage, candidates))
    return [phase for phase in phases if phase.amount > 0]


def _growth(schedule: Schedule, stages: int, iterations: int) -> tuple[int, ...]:
    if stages == 1:
        return ()
    given = schedule.grow_at
    if given is None:
        fractions = (
            _PUBLISHED_GROWTH if stages == 3 else tuple(k / stages for k in range(1, stages))
        )
        given = tuple(
            min(max(k, round(fraction * iterations)), iterations - stages + k)
            for k, fraction in enumerate(fractions, 1)
        )
    valid = len(given) == stages - 1 and list(given) == sorted(set(given))
    if not valid or given[0] < 1 or given[-1] >= iterations:
        raise ConfigError(
            f"strategy.grow_at must name {stages - 1} rising iterations from 1 to "
            f"{iterations - 1}, got {list(given)}"
        )
    return given


def _share(total: int, k: int, parts: int) -> int:
    """The k-th of nearly equal parts."""
    return total * (k + 1) // parts - total * k // parts
