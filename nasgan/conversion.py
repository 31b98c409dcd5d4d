"""Check plain configuration values against type annotations, and convert where that is safe.

Configurations hold what YAML can say; settings are annotated Python. Nothing is guessed: a text is
never read as a number, and ``true`` is not 1.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from annotated_types import BaseMetadata, GroupedMetadata

from nasgan.errors import ConfigError, quoted

__all__ = ["Nested", "convert", "describe"]

Nested: TypeAlias = Callable[[Mapping[str, Any], type, str], Any]
"""Turns a mapping into an instance of a class: ``nested(mapping, class, where)``."""

_SEQUENCES: tuple[Any, ...] = (list, Sequence, Iterable)
_MAPPINGS: tuple[Any, ...] = (dict, Mapping)
_NAMES: Mapping[Any, str] = {
    int: "int",
    float: "float",
    bool: "true or false",
    str: "str",
    Path: "a path",
    type(None): "null",
}
_RANGES = {"greater than or equal to": "at least", "less than or equal to": "at most"}


def convert(
    value: Any, annotation: Any, where: str, nested: Nested, *, expected: str | None = None
) -> Any:
    """``value`` as ``annotation`` wants it.

    A range that ``Annotated`` adds (``Annotated[int, Ge(1)]``: at least 1) is held by pydantic,
    what else it adds is a note. An int is taken for a float, a list for a tuple, a text for a path;
    a mapping becomes an instance of the annotated class through ``nested``. Annotations that say
    nothing about plain values (type variables, protocols of functions) accept anything.

    Args:
        value: null, bool, int, float, str, or lists and dicts of these.
        annotation: an evaluated type annotation.
        where: the value's place, for messages: ``"trainer.n_critic"``.
        nested: builds (or checks) instances from mappings.
        expected: what messages say was expected, if not what ``annotation`` says.

    Raises:
        ConfigError: the value does not fit.
    """
    expected = expected or describe(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        made = convert(value, get_args(annotation)[0], where, nested, expected=expected)
        if any(isinstance(note, BaseMetadata | GroupedMetadata) for note in get_args(annotation)):
            _hold(made, annotation, where)
        return made
    if origin in (Union, types.UnionType):
        return _convert_union(value, get_args(annotation), where, nested, expected)
    if origin is Literal:
        if any(value == option and type(value) is type(option) for option in get_args(annotation)):
            return value
        raise _mismatch(value, where, expected)
    kind = origin or annotation
    if kind is tuple:
        return _convert_tuple(value, get_args(annotation), where, nested, expected)
    if kind in _SEQUENCES or kind in (set, frozenset, AbstractSet):
        items = _items(value, where, expected)
        member = (get_args(annotation) or (Any,))[0]
        made = [convert(item, member, f"{where}[{i}]", nested) for i, item in enumerate(items)]
        return made if kind in _SEQUENCES else frozenset(made)
    if kind in _MAPPINGS:
        return _convert_mapping(value, get_args(annotation), where, nested, expected)
    return _convert_plain(value, annotation, where, nested, expected)


def describe(annotation: Any) -> str:
    """``annotation`` in words: ``"int or null"``, ``"'a' or 'b'"``, ``"a list of str"``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return describe(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    kind = origin or annotation
    if kind is tuple and args and args[-1] is not Ellipsis:
        return f"a list of {len(args)}: {', '.join(describe(arg) for arg in args)}"
    if kind is tuple or kind in _SEQUENCES:
        return f"a list of {describe(args[0])}" if args else "a list"
    if kind in _MAPPINGS:
        return "a mapping"
    if annotation is None:
        return "null"
    return str(_NAMES.get(annotation) or getattr(annotation, "__name__", annotation))


def _hold(value: Any, annotation: Any, where: str) -> None:
    from pydantic import TypeAdapter, ValidationError  # only where there is a range

    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        words = error.errors(include_url=False)[0]["msg"].removeprefix("Input should be ")
        for theirs, ours in _RANGES.items():
            words = words.replace(theirs, ours)
        raise ConfigError(f"{where} must be {words}, got {quoted(value)}") from None


def _convert_plain(value: Any, annotation: Any, where: str, nested: Nested, expected: str) -> Any:
    made: Any
    if annotation is None or annotation is type(None):
        fits, made = value is None, None
    elif annotation is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        made = float(value) if fits else None
    elif annotation is Path:
        fits = isinstance(value, (str, Path))
        made = Path(value) if fits else None
    elif annotation in (int, bool, str):
        fits, made = type(value) is annotation, value
    elif isinstance(annotation, type) and annotation not in (Any, object):
        if isinstance(value, Mapping) and not _is_instance(value, annotation):
            return nested(value, annotation, where)
        fits, made = _is_instance(value, annotation), value
    else:
        return value
    if not fits:
        raise _mismatch(value, where, expected)
    return made


def _is_instance(value: Any, annotation: type) -> bool:
    try:
        return isinstance(value, annotation)
    except TypeError:  # a protocol that cannot be checked at run time
        return True


def _convert_union(
    value: Any, options: tuple[Any, ...], where: str, nested: Nested, expected: str
) -> Any:
    if type(value) in options:
        return value
    candidates = [option for option in options if option is not type(None)]
    if len(candidates) == 1 and value is not None:
        return convert(value, candidates[0], where, nested, expected=expected)
    for option in candidates:
        with suppress(ConfigError):
            return convert(value, option, where, nested)
    raise _mismatch(value, where, expected)


def _convert_tuple(
    value: Any, members: tuple[Any, ...], where: str, nested: Nested, expected: str
) -> tuple[Any, ...]:
    items = _items(value, where, expected)
    if not members:
        return tuple(items)
    if members[-1] is Ellipsis:
        members = (members[0],) * len(items)
    if len(members) != len(items):
        raise _mismatch(value, where, expected)
    pairs = zip(items, members, strict=True)
    return tuple(
        convert(item, member, f"{where}[{i}]", nested) for i, (item, member) in enumerate(pairs)
    )


def _convert_mapping(
    value: Any, members: tuple[Any, ...], where: str, nested: Nested, expected: str
) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _mismatch(value, where, expected)
    key_type, value_type = members or (Any, Any)
    return {
        convert(key, key_type, f"{where}: key", nested): convert(
            item, value_type, f"{where}.{key}", nested
        )
        for key, item in value.items()
    }


def _items(value: Any, where: str, expected: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise _mismatch(value, where, expected)
    return value


def _mismatch(value: Any, where: str, expected: str) -> ConfigError:
    return ConfigError(f"{where} must be {expected}, got {quoted(value)}")
