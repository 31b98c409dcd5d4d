"""Small checks of JSON data that compose into a schema; every error names the field at fault.

A check takes a value and the path of its field and returns None, or raises `ConfigError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from nasgan.errors import ConfigError

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
    "utc_time",
]

Check = Callable[[Any, str], None]

_SHOWN = 80


def refuse(where: str, expected: str, value: object) -> ConfigError:
    """The error for a ``value`` at ``where`` that is not ``expected``."""
    shown = repr(value)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    return ConfigError(f"{where} must be {expected}, got {shown}")


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

    return check


def number(*, least: float = -math.inf) -> Check:
    """A finite number of at least ``least``."""
    expected = "a finite number" + ("" if least == -math.inf else f" of at least {least:g}")

    def check(value: Any, where: str) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value < least:
            raise refuse(where, expected, value)

    return check


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


def instance(checks: Mapping[str, Check], *, others: bool = False) -> Check:
    """An object with exactly the fields of ``checks``, or with ``others`` beside them."""

    def check_instance(value: Any, where: str) -> None:
        check_keys(value, where, checks, others=others)
        for key, check in checks.items():
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
    """Anything that JSON can hold; NaN and infinity it cannot."""
    # Settings are large and nearly always right: the path to a fault is made only if there is one.
    if _is_json(value):
        return
    if isinstance(value, Mapping):
        mapping_of(json_value)(value, where)
    elif isinstance(value, list | tuple):
        list_of(json_value)(value, where)
    raise refuse(where, "JSON data (no NaN or infinity)", value)


def _is_json(value: Any) -> bool:
    if value is None or isinstance(value, str | int):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_is_json, value.values()))
    return isinstance(value, list | tuple) and all(map(_is_json, value))


def utc_time(value: Any, where: str) -> None:
    """A moment as ISO 8601 text in UTC, as `nasgan.results.times.utc_now` writes it."""
    text()(value, where)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() != timedelta(0):
        raise refuse(where, "an ISO 8601 time with the offset +00:00", value)
