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

_SETS: tuple[Any, ...] = (set, frozenset, AbstractSet)
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
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        made = convert(value, args[0], where, nested, expected=expected)
        if any(isinstance(note, BaseMetadata | GroupedMetadata) for note in args):
            _hold(made, annotation, where)
        return made
    if origin in (Union, types.UnionType):
        if type(value) in args:
            return value
        options = [option for option in args if option is not type(None)]
        if len(options) == 1 and value is not None:
            return convert(value, options[0], where, nested, expected=expected)
        for option in options:
            with suppress(ConfigError):
                return convert(value, option, where, nested)
        raise _mismatch(value, where, expected)
    if origin is Literal:
        if any(value == option and type(value) is type(option) for option in args):
            return value
        raise _mismatch(value, where, expected)
    kind = origin or annotation
    if kind in (tuple, *_SEQUENCES, *_SETS):
        return _convert_items(value, kind, args, where, nested, expected)
    if kind in _MAPPINGS:
        if not isinstance(value, Mapping):
            raise _mismatch(value, where, expected)
        of_key, of_value = args or (Any, Any)
        return {
            convert(key, of_key, f"{where}: key", nested): convert(
                item, of_value, f"{where}.{key}", nested
            )
            for key, item in value.items()
        }
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


def _convert_items(
    value: Any, kind: Any, members: tuple[Any, ...], where: str, nested: Nested, expected: str
) -> Any:
    """A list as the list, tuple or set of ``kind``."""
    is_of_places = kind is tuple and bool(members) and members[-1] is not Ellipsis
    if not isinstance(value, (list, tuple)) or (is_of_places and len(members) != len(value)):
        raise _mismatch(value, where, expected)
    wanted = members if is_of_places else (*members, Any)[:1] * len(value)
    pairs = zip(value, wanted, strict=True)
    made = [
        convert(item, member, f"{where}[{i}]", nested) for i, (item, member) in enumerate(pairs)
    ]
    if kind is tuple:
        return tuple(made)
    return made if kind in _SEQUENCES else frozenset(made)


def _mismatch(value: Any, where: str, expected: str) -> ConfigError:
    return ConfigError(f"{where} must be {expected}, got {quoted(value)}")
