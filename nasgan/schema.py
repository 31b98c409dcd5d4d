"""Data of others, checked against annotations by pydantic; every error names the field at fault."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache, wraps
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainValidator,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic_core.core_schema import no_info_wrap_validator_function
from typing_extensions import TypedDict, dataclass_transform

from nasgan.errors import ConfigError, quoted, shortened
from nasgan.reading import MOST_NESTED

__all__ = [
    "Amount",
    "Count",
    "Fault",
    "JsonObject",
    "Many",
    "Number",
    "OpenPart",
    "Part",
    "Shape",
    "Text",
    "UtcTime",
    "check",
    "made_of",
    "model",
    "number",
    "whole",
]

_STRICT = ConfigDict(strict=True, extra="forbid")
_OPEN = ConfigDict(strict=True, extra="allow")

T = TypeVar("T")

# Beyond these, statistics over a few values leave the range of floating-point numbers.
_LARGEST = 1e150
_INTEGERS = 2**64
_LONGEST_NAME = 80
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", re.ASCII)
_KEYS = ("missing", "extra_forbidden", "unexpected_keyword_argument")
_EXPECTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "literal_error": "{expected}",
    "string_type": "a text",
    "greater_than_equal": "at least {ge}",
}
"""What is asked for in words, by pydantic's name of the fault; for others pydantic's own words."""


class Fault(ValueError):  # noqa: N818 - no error until pydantic has added the place
    """What a check of ours raises; pydantic adds the place.

    Args:
        expected: what the value must be.
        value: what it is.
        place: keys and indices below the checked value, where it lies inside.
    """

    def __init__(self, expected: str, value: object, *place: object) -> None:
        super().__init__(f"must be {expected}, got {quoted(value)}")
        self.place = place


class Part(TypedDict):
    """The base of typed dictionaries: JSON objects with exactly these keys, nothing converted."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]


class OpenPart(TypedDict):
    """The same for objects that may hold more."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]


@dataclass(frozen=True)
class Shape:
    """In an annotation, what is checked where a reader is told less; the value is left what it is.

    ``Annotated[Mapping[str, Any], Shape(Cost)]`` is a mapping to who reads it, and has to have the
    keys of the typed dictionary ``Cost``.
    """

    shape: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """What pydantic calls."""
        checked = handler.generate_schema(self.shape)
        return no_info_wrap_validator_function(_unchanged, checked)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def model(name: str, *, where: str = "") -> Callable[[type[T]], type[T]]:
    """Make a frozen dataclass whose annotations are checked whenever one is made.

    Args:
        name: what it is, in messages.
        where: what stands before the names of its fields there.

    The class raises `ConfigError` on a wrong type or value, and on a missing or unknown field.
    """

    def decorate(kind: type[T]) -> type[T]:
        made: Any = checked_dataclass(frozen=True, config=_STRICT)(kind)
        unchecked = made.__init__

        @wraps(unchecked)
        def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: N807
            try:
                unchecked(self, *args, **values)
            except ValidationError as error:
                raise ConfigError(_words(error, name, where)) from None

        made.__init__ = __init__
        made.__model_name__ = name
        found: type[T] = made
        return found

    return decorate


def made_of(kind: type[T], data: object, *, newer: Collection[str] = ()) -> T:
    """An instance of a `model` from JSON data that names every field.

    Args:
        kind: the class.
        data: the fields by name.
        newer: those that older files lack.

    Raises:
        ConfigError: it is something else; names the field.
    """
    name = getattr(kind, "__model_name__", "it")
    if not isinstance(data, dict):
        raise ConfigError(f"{name} must be an object, got {quoted(data)}")
    known: Any = kind
    names, named = [item.name for item in fields(known)], {*data, *newer}
    lacks = [each for each in names if each not in named]
    if lacks:
        raise ConfigError(f"{name} lacks {', '.join(lacks)}")
    # Before the call: the initialiser has names of its own, as ``self``.
    unknown = [shortened(str(each), _LONGEST_NAME) for each in data if each not in names]
    if unknown:
        raise ConfigError(f"{name} has the unknown {', '.join(unknown)}")
    return kind(**data)


def check(kind: Any, value: Any, where: str) -> None:
    """Hold ``value`` against a type.

    Raises:
        ConfigError: it is another; names the place in it, below ``where``.
    """
    try:
        _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise ConfigError(_words(error, where, where)) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(kind, config=_STRICT)
    except PydanticUserError:  # a typed dictionary has a configuration of its own
        return TypeAdapter(kind)


def _words(error: ValidationError, name: str, where: str) -> str:
    """The first fault in words; of keys all that its object lacks or has besides."""
    faults = error.errors(include_url=False)
    first = next((fault for fault in faults if fault["type"] in _KEYS), faults[0])
    *inner, last = first["loc"] or ("",)
    beside = [fault for fault in faults if fault["loc"][:-1] == tuple(inner)]
    lacks = [str(fault["loc"][-1]) for fault in beside if fault["type"] == "missing"]
    unknown = [
        shortened(str(fault["loc"][-1]), _LONGEST_NAME)
        for fault in beside
        if fault["type"] in _KEYS[1:]
    ]
    if first["type"] in _KEYS:
        parts = [f"lacks {', '.join(lacks)}"] if lacks else []
        parts += [f"has the unknown {', '.join(unknown)}"] if unknown else []
        return f"{_place(where, inner) or name} {' and '.join(parts)}"
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, Fault):
        return f"{_place(where, [*first['loc'], *cause.place])} {cause}"
    if cause is not None:
        place = _place(where, first["loc"])
        return f"{place}: {cause}" if place else str(cause)
    if last == "[key]":
        return f"a key of {_place(where, inner[:-1]) or name} must be a text"
    words = _EXPECTED.get(first["type"], "").format(**first.get("ctx", {}))
    words = words or first["msg"].removeprefix("Input should be ")
    return f"{_place(where, first['loc']) or name} must be {words}, got {quoted(first['input'])}"


def _place(where: str, loc: Sequence[object]) -> str:
    for part in loc:
        name = shortened(str(part), _LONGEST_NAME)
        where += f"[{part}]" if isinstance(part, int) else f".{name}" if where else name
    return where


def whole(*, least: int) -> PlainValidator:
    """The check of a whole number."""

    def validate(value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise Fault(f"a whole number of at least {least}", value)
        if value >= _INTEGERS:
            raise Fault("a whole number below 2^64", value)
        return value

    return PlainValidator(validate)


def number(*, least: float = -math.inf) -> PlainValidator:
    """The check of a finite number; whole ones stay whole, and true and false are none."""
    expected = "a finite number" + ("" if least == -math.inf else f" of at least {least:g}")
    expected += f", at most {_LARGEST:g} from zero"

    def validate(value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not abs(value) <= _LARGEST or value < least:
            raise Fault(expected, value)
        return value

    return PlainValidator(validate)


def _unchanged(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    handler(value)
    return value


def _any_list(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if not isinstance(value, list | tuple):
        raise Fault("a list", value)
    return handler(value)


def _not_empty(value: str) -> str:
    if not value:
        raise Fault("a text that is not empty", value)
    return value


def _moment(value: str) -> str:
    try:
        is_moment = _UTC.fullmatch(value) is not None and bool(datetime.fromisoformat(value))
    except ValueError:
        is_moment = False
    if not is_moment:
        raise Fault("an ISO 8601 time as 2026-01-31T12:00:00.000+00:00", value)
    return value


def _json(value: dict[str, Any]) -> dict[str, Any]:
    found = _odd_value(value, MOST_NESTED)
    if found is not None:
        raise Fault("JSON data (no NaN or infinity)", found[-1], *found[:-1])
    return value


def _odd_value(value: Any, levels: int) -> tuple[Any, ...] | None:
    """The place of what JSON cannot hold, and it; below so many ``levels`` that is all."""
    if isinstance(value, float):
        return None if math.isfinite(value) else (value,)
    is_object = isinstance(value, dict)
    if not levels or not (is_object or isinstance(value, list | tuple)):
        return (value,)
    for key, item in value.items() if is_object else enumerate(value):
        if is_object and not isinstance(key, str):
            return (value,)
        # Nearly all that there is.
        if item is not None and not isinstance(item, str | int):
            found = _odd_value(item, levels - 1)
            if found is not None:
                return (key, *found)
    return None


Text = Annotated[str, AfterValidator(_not_empty)]
"""A text that is not empty."""

Count = Annotated[int, whole(least=0)]
"""A whole number from 0; true and false are none."""

Number = Annotated[float, number()]
"""A finite number."""

Amount = Annotated[float, number(least=0.0)]
"""A finite number from 0."""

Many = Annotated[tuple[T, ...], Field(strict=False), WrapValidator(_any_list)]
"""A list or a tuple; a tuple to who reads a `model`, as the annotation says."""

UtcTime = Annotated[str, AfterValidator(_moment)]
"""A moment as `nasgan.runs.status.utc_now` writes it, in no other form: such texts sort by time."""

JsonObject = Annotated[dict[str, Any], AfterValidator(_json)]
"""An object of JSON data, nested at most 100 deep."""
