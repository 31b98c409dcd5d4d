"""Small checks of JSON data that compose into a schema; every error names the field at fault.

A check takes a value and the path of its field and returns None, or raises `ConfigError`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from nasgan.errors import ConfigError, quoted
from nasgan.reading import MOST_NESTED

__all__ = [
    "Check",
    "check_keys",
    "instance",
    "integer",
    "json_value",
    "list_of",
    "mapping_of",
    "number",
    "one_of",
    "optional",
    "text",
    "true_or_false",
    "utc_time",
]

Check = Callable[[Any, str], None]

_SHOWN = 80
# Beyond these, statistics over a few values leave the range of floating-point numbers.
_LARGEST = 1e150
_INTEGERS = 2**64
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", re.ASCII)


def refuse(where: str, expected: str, value: object) -> ConfigError:
    """The error for a ``value`` at ``where`` that is not ``expected``."""
    return ConfigError(f"{where} must be {expected}, got {quoted(value)}")


def text(*, empty: bool = False) -> Check:
    """A text; an ``empty`` one only if allowed."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or not (value or empty):
            raise refuse(where, "a text" if empty else "a text that is not empty", value)

    return check


def integer(*, least: int = 0) -> Check:
    """A whole number of at least ``least``; true and false are not numbers."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise refuse(where, f"a whole number of at least {least}", value)
        if value >= _INTEGERS:
            raise refuse(where, "a whole number below 2^64", value)

    return check


def number(*, least: float = -math.inf) -> Check:
    """A finite number of at least ``least``."""
    expected = "a finite number" + ("" if least == -math.inf else f" of at least {least:g}")
    expected += f", at most {_LARGEST:g} from zero"

    def check(value: Any, where: str) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not abs(value) <= _LARGEST or value < least:
            raise refuse(where, expected, value)

    return check


def true_or_false(value: Any, where: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise refuse(where, "true or false", value)


def one_of(*options: str) -> Check:
    """One of the texts ``options``."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or value not in options:
            raise refuse(where, "one of " + ", ".join(map(repr, options)), value)

    return check


def optional(check: Check) -> Check:
    """Null, or what ``check`` accepts."""

    def check_optional(value: Any, where: str) -> None:
        if value is not None:
            check(value, where)

    return check_optional


def list_of(check: Check) -> Check:
    """A list in which ``check`` accepts each item."""

    def check_list(value: Any, where: str) -> None:
        if not isinstance(value, list | tuple):
            raise refuse(where, "a list", value)
        for i, item in enumerate(value):
            check(item, f"{where}[{i}]")

    return check_list


def mapping_of(check: Check) -> Check:
    """An object with any keys, in which ``check`` accepts each value."""

    def check_mapping(value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise refuse(where, "an object", value)
        for key, item in value.items():
            if not isinstance(key, str):
                raise refuse(f"a key of {where}", "a text", key)
            check(item, f"{where}.{key}")

    return check_mapping


def instance(
    checks: Mapping[str, Check], *, maybe: Mapping[str, Check] | None = None, others: bool = False
) -> Check:
    """An object with exactly the fields of ``checks``, or with ``others`` beside them.

    The fields of ``maybe`` may be there or not.
    """

    def check_instance(value: Any, where: str) -> None:
        fields = checks
        if maybe and isinstance(value, Mapping):
            fields = {**checks, **{key: maybe[key] for key in maybe if key in value}}
        check_keys(value, where, fields, others=others)
        for key, check in fields.items():
            check(value[key], f"{where}.{key}")

    return check_instance


def check_keys(value: Any, where: str, expected: Collection[str], *, others: bool = False) -> None:
    """Refuse what is no object with the keys ``expected``, or with ``others`` beside them."""
    if not isinstance(value, Mapping):
        raise refuse(where, "an object", value)
    missing = [key for key in expected if key not in value]
    unknown = [] if others else [key for key in value if key not in expected]
    if missing or unknown:
        parts = ["lacks " + ", ".join(missing)] if missing else []
        parts += ["has the unknown " + ", ".join(map(str, unknown))] if unknown else []
        raise ConfigError(f"{where} {' and '.join(parts)}")


def json_value(value: Any, where: str) -> None:
    """Anything that JSON can hold, nested at most 100 deep; NaN and infinity it cannot."""
    _json_check(MOST_NESTED)(value, where)


def _json_check(levels: int) -> Check:
    def check(value: Any, where: str) -> None:
        # Settings are large and nearly always right: the path to a fault is made if there is one.
        if _is_json(value, levels):
            return
        if levels == 0 and isinstance(value, Mapping | list | tuple):
            place = f"{where[:_SHOWN]}..."
            raise ConfigError(f"{place} is nested too deeply: {MOST_NESTED} levels are the most")
        if isinstance(value, Mapping):
            mapping_of(_json_check(levels - 1))(value, where)
        elif isinstance(value, list | tuple):
            list_of(_json_check(levels - 1))(value, where)
        raise refuse(where, "JSON data (no NaN or infinity)", value)

    return check


def _is_json(value: Any, levels: int) -> bool:
    if value is None or isinstance(value, str | int):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if levels == 0:
        return False
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return False
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    return all(_is_json(item, levels - 1) for item in value)


def utc_time(value: Any, where: str) -> None:
    """A moment as ISO 8601 text in UTC, as `nasgan.runs.times.utc_now` writes it.

    No other form of it: these sort by time.
    """
    text()(value, where)
    try:
        is_moment = _UTC.fullmatch(value) is not None and bool(datetime.fromisoformat(value))
    except ValueError:
        is_moment = False
    if not is_moment:
        raise refuse(where, "an ISO 8601 time as 2026-01-31T12:00:00.000+00:00", value)
