"""Numbers, times and costs as a person reads them."""

from __future__ import annotations

import math

__all__ = ["duration", "in_unit", "interval_text", "short_number", "shown", "with_spread"]

_LEAST_PLAIN = 1e-4


def short_number(value: float | None) -> str:
    """At most four digits, or a whole number."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def interval_text(low: float | None, high: float | None) -> str:
    """The ends of an interval."""
    return f"{short_number(low)} to {short_number(high)}"


def shown(value: float, digits: int = 3) -> str:
    """A number as a person writes it: few digits, k and M and G for large ones."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    power, unit = _unit(value, digits)
    if abs(value) < _LEAST_PLAIN:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value / power)) + 1e-12))
    text = f"{value / power:.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{unit}"


def with_spread(mean: float, spread: float) -> str:
    """``mean ± spread``, both in one unit and with as many decimals as the spread deserves."""
    largest = max(abs(mean), abs(spread))
    if not spread or not math.isfinite(largest) or largest < _LEAST_PLAIN:
        return f"{shown(mean, 4)} ± {shown(spread, 2)}"
    power, unit = _unit(largest, 4)
    # Four digits are enough of the mean, however small the spread.
    finest = 3 - math.floor(math.log10(largest / power) + 1e-12)
    wanted = 1 - math.floor(math.log10(abs(spread) / power) + 1e-12)
    decimals = max(0, min(finest, wanted))
    return f"{mean / power:.{decimals}f}{unit} ± {spread / power:.{decimals}f}{unit}"


def _unit(value: float, digits: int) -> tuple[float, str]:
    """What to divide by, and its letter."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit * (1 - 0.5 * 10**-digits):
            return (1e3 if unit == "k" else limit), unit
    return 1.0, ""


def duration(seconds: float | None) -> str:
    """A time in at most two units."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{shown(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _two(minutes, "min", rest, "s")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return _two(hours, "h", minutes, "min")
    days, hours = divmod(hours, 24)
    return _two(days, "d", hours, "h")


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large} {unit} {small} {smaller}" if small else f"{large} {unit}"


def in_unit(value: float | None, unit: str) -> str:
    """An amount of a cost."""
    if value is None:
        return ""
    return duration(value) if unit == "device_seconds" else shown(value)
