"""Budget and ledger: what a run may spend, and what it has spent, in units that compare methods."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

from nasgan.errors import BudgetExhausted, ConfigError, quoted

__all__ = [
    "Budget",
    "Cost",
    "Ledger",
    "rung_lengths",
]


@dataclass(frozen=True)
class Cost:
    """An amount spent.

    Attributes:
        architectures: evaluations of architectures; one that is trained further and scored again
            (successive halving) counts again.
        generator_steps: generator updates.
        images: images that passed through a network in training or scoring, real and generated.
        device_seconds: wall-clock seconds of the device.
    """

    architectures: int = 0
    generator_steps: int = 0
    images: int = 0
    device_seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(**{unit: spent + vars(other)[unit] for unit, spent in vars(self).items()})

    def __sub__(self, other: Cost) -> Cost:
        return Cost(**{unit: spent - vars(other)[unit] for unit, spent in vars(self).items()})

    def to_json(self) -> dict[str, float]:
        """The four amounts by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cost:
        """Read what `to_json` wrote."""
        return cls(**{field.name: data[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Budget:
    """Limits of a search, in the units of `Cost`; ``None`` is no limit.

    The search ends at the first limit it would pass. The final phase is not part of the budget: it
    costs the same for every strategy and is recorded apart.

    Raises:
        ConfigError: a limit is not positive.
    """

    architectures: int | None = None
    generator_steps: int | None = None
    images: int | None = None
    device_seconds: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None and (isinstance(limit, bool) or not limit > 0):
                raise ConfigError(
                    f"budget.{field.name} must be above 0 or null, got {quoted(limit)}"
                )

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return any(limit is not None for limit in self.to_json().values())

    def require_limit(self, setting: str) -> None:
        """Refuse a search without an end, for who would go on until the budget is spent.

        Args:
            setting: that is null.

        Raises:
            ConfigError: there is no limit.
        """
        if not self.is_limited:
            raise ConfigError(
                f"{setting}=null goes on until the budget is spent: set budget.generator_steps or "
                "budget.architectures"
            )

    def to_json(self) -> dict[str, float | None]:
        """The limits by unit."""
        return asdict(self)


class Ledger:
    """What a run has spent, by phase; charges to the search phase are held against its budget.

    Args:
        budget: limits of the phase ``"search"``.
    """

    SEARCH = "search"
    FINAL = "final"

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self._spent: dict[str, Cost] = {}
        self._is_timed = False

    def spent(self, phase: str | None = None) -> Cost:
        """What was spent in ``phase``, or in all phases."""
        if phase is not None:
            return self._spent.get(phase, Cost())
        return sum(self._spent.values(), Cost())

    def charge(self, cost: Cost, phase: str = SEARCH) -> None:
        """Book ``cost``. Booking never fails: what was spent, was spent."""
        self._spent[phase] = self.spent(phase) + cost

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Charge the block's seconds to the search; of nested blocks those of the outermost."""
        if self._is_timed:
            yield
            return
        self._is_timed, started = True, time.perf_counter()
        try:
            yield
        finally:
            self._is_timed = False
            self.charge(Cost(device_seconds=time.perf_counter() - started))

    def remaining(self, unit: str, phase: str = SEARCH) -> float:
        """What is left of ``unit`` in ``phase``; infinite without a limit."""
        limit = getattr(self.budget, unit) if phase == self.SEARCH else None
        if limit is None:
            return float("inf")
        return max(0.0, float(limit - getattr(self.spent(phase), unit)))

    @property
    def share(self) -> float | None:
        """How much of the budget is spent, in [0, 1], by its nearest limit; None: no limit."""
        spent = self.spent(self.SEARCH).to_json()
        limits = {unit: limit for unit, limit in self.budget.to_json().items() if limit is not None}
        return max((min(1.0, spent[unit] / limit) for unit, limit in limits.items()), default=None)

    def allow(self, unit: str, amount: int, phase: str = SEARCH) -> int:
        """How much of ``amount`` may still be spent: ask before the work, charge after it.

        Raises:
            BudgetExhausted: nothing of this unit is left, or the time limit is over.
        """
        for checked in (unit, "device_seconds"):
            if self.remaining(checked, phase) <= 0:
                raise BudgetExhausted(checked, getattr(self.budget, checked))
        return int(min(amount, self.remaining(unit, phase)))

    def require(self, cost: Cost) -> None:
        """Ask for all of ``cost`` from the search's budget.

        Raises:
            BudgetExhausted: less than that is left of a unit.
        """
        for unit, amount in cost.to_json().items():
            if amount > self.remaining(unit):
                raise BudgetExhausted(unit, getattr(self.budget, unit))

    def state_dict(self) -> dict[str, Any]:
        """The amounts by phase, as plain numbers."""
        return {phase: cost.to_json() for phase, cost in self._spent.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._spent = {phase: Cost.from_json(cost) for phase, cost in state.items()}


def rung_lengths(min_steps: int, max_steps: int, factor: float) -> list[int]:
    """Generator steps of each rung: ``max_steps`` divided by ``factor`` down to ``min_steps``.

    Args:
        min_steps: least length of the first rung.
        max_steps: length of the last rung.
        factor: from rung to rung.

    Raises:
        ConfigError: they make no rungs; names the setting.
    """
    if factor < 2:
        raise ConfigError(f"strategy.factor must be at least 2, got {factor:g}")
    if not 1 <= min_steps <= max_steps:
        raise ConfigError(
            f"strategy.min_steps must be at least 1 and at most max_steps, got {min_steps} and "
            f"{max_steps}"
        )
    lengths = [max_steps]
    while (length := max_steps / factor ** len(lengths)) >= min_steps - 0.5:
        lengths.append(max(1, round(length)))
    return sorted(set(lengths))
