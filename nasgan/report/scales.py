"""Scales of axes: from data to pixels, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nasgan.leaderboard.amounts import shown

__all__ = ["Scale", "spanning"]

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOG_RATIO = 30.0
_MARGIN = 0.05
# Far from where arithmetic on the ends of an axis would overflow.
_HUGE = 1e100


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic map from ``[low, high]`` to pixels.

    Attributes:
        low: smallest value of the axis.
        high: largest value, above ``low``.
        start: pixel of ``low``.
        end: pixel of ``high``; smaller than ``start`` on vertical axes.
        is_log: whether the logarithm is mapped; both ends are then positive.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of ``value``, which is moved to the nearest end if it lies outside."""
        low, high, at = (self._transformed(v) for v in (self.low, self.high, value))
        share = min(1.0, max(0.0, (at - low) / (high - low)))
        return self.start + share * (self.end - self.start)

    def _transformed(self, value: float) -> float:
        if not self.is_log:
            return value
        return math.log10(max(value, self.low))

    def ticks(self, count: int = 5) -> list[float]:
        """About ``count`` round values within the axis, ascending."""
        if self.is_log:
            return _log_ticks(self.low, self.high, count)
        step = _round_step((self.high - self.low) / max(1, count))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(k * step, 12) for k in range(first, last + 1)]

    def labels(self, count: int = 5) -> list[tuple[float, str]]:
        """The ticks with what is written at each: equally many decimals throughout."""
        ticks = self.ticks(count)
        if self.is_log or len(ticks) < 2:
            return [(tick, shown(tick)) for tick in ticks]
        step = ticks[1] - ticks[0]
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        if decimals and round(step * 10**decimals, 6) % 1:
            decimals += 1
        return [(tick, _grouped(tick, decimals)) for tick in ticks]


def spanning(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    log: bool | None = None,
    zero: bool = False,
) -> Scale:
    """The scale that shows all ``values`` with a little room at both ends.

    Args:
        values: finite numbers; without any the axis goes from 0 to 1.
        start: pixel of the smallest.
        end: pixel of the largest.
        log: logarithmic or not; None: as `log_is_better` says.
        zero: begin at 0 exactly, on a linear axis.
    """
    known = sorted(max(-_HUGE, min(_HUGE, value)) for value in values)
    if not known:
        return Scale(0.0, 1.0, start, end)
    low, high = known[0], known[-1]
    use_log = low > 1 / _HUGE and (log_is_better(known) if log is None else log)
    if use_log:
        ratio = max((high / low) ** _MARGIN, 1.02)
        return Scale(low / ratio, high * ratio, start, end, is_log=True)
    room = (high - low) * _MARGIN or abs(high) * _MARGIN or 0.5
    if zero and low >= 0:
        return Scale(0.0, high + (room if high > 0 else 1.0), start, end)
    return Scale(low - room, high + room, start, end)


def log_is_better(values: Iterable[float]) -> bool:
    """Whether positive values lie orders of magnitude apart."""
    known = list(values)
    return bool(known) and min(known) > 0 and max(known) / min(known) > _LOG_RATIO


def _grouped(value: float, decimals: int) -> str:
    if abs(value) >= 1e4:
        return shown(value, 4)
    return f"{value:.{decimals}f}" if value else "0"


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor for factor in _ROUND if step <= factor * power * (1 + 1e-9)) * power


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [f * 10.0**k for k in range(first, last + 1) for f in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= min(3, count):
            return ticks[:: max(1, math.ceil(len(ticks) / (count + 1)))]
    return Scale(low, high, 0, 1).ticks(count)
