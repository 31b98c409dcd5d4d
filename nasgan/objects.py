"""Objects where a configuration names classes: what a record says of them.

A strategy that is made in a notebook has no place from which anybody else could import it. In its
configuration stands what identifies it: its class, the arguments it was made with and, where no
installed package defines the class, a digest of its code: of the text of its methods and the plain
values among its attributes, with those of its parents that no package defines either. Whoever
changes these has another run. What the methods use from elsewhere, functions and constants of their
module or variables around them, is not in the digest.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from nasgan.architecture import Architecture
from nasgan.errors import ConfigError
from nasgan.nodes import is_accepted

__all__ = [
    "OBJECT",
    "KeepsArguments",
    "described",
    "is_plain",
    "label_of",
    "not_installed",
    "words_of",
]

OBJECT = "_object_"

_ARGUMENTS = "_made_with"


class KeepsArguments:
    """Remembers what its objects were made with, whatever their classes do with it."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Have the class's own ``__init__`` keep its arguments."""
        super().__init_subclass__(**keywords)
        if "__init__" in vars(cls):
            setattr(cls, "__init__", _keeping(vars(cls)["__init__"]))  # noqa: B010 - mypy


def _keeping(init: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(init)

    @wraps(init)
    def keeping(self: Any, *given: Any, **named: Any) -> None:
        # That of a parent is called with what the class makes of its own arguments.
        if type(self).__init__ is keeping:
            vars(self)[_ARGUMENTS] = _bound(signature, self, *given, **named)
        init(self, *given, **named)

    return keeping


def _bound(signature: inspect.Signature, *given: Any, **named: Any) -> dict[str, Any]:
    """Arguments by name, those left out too; none where the call is going to fail."""
    try:
        bound = signature.bind(*given, **named)
    except TypeError:
        return {}
    bound.apply_defaults()
    held: dict[str, Any] = {}
    for name, parameter in list(signature.parameters.items())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            held |= bound.arguments[name]
        elif parameter.kind is not parameter.VAR_POSITIONAL or bound.arguments[name]:
            held[name] = bound.arguments[name]
    return held


def described(value: Any) -> dict[str, Any]:
    """What a configuration holds in place of ``value``, as JSON data.

    ``settings`` are the arguments it was made with, and what its own ``settings`` say; under
    ``.name`` what the attribute of an argument's name is, where that is something else.

    Raises:
        ConfigError: an argument of a strategy, space or evaluator cannot be said.
    """
    kind = type(value)
    node: dict[str, Any] = {
        OBJECT: f"{kind.__module__}.{kind.__qualname__}",
        "installed": is_accepted(kind.__module__),
        "settings": _settings(value),
    }
    if not node["installed"]:
        node["code"] = _code_digest(kind)
    return node


def not_installed(config: Mapping[str, Any]) -> dict[str, str]:
    """The classes in ``config`` that no installed package defines, by the setting."""
    return {
        name: node[OBJECT]
        for name, node in config.items()
        if isinstance(node, Mapping) and OBJECT in node and not node["installed"]
    }


def label_of(value: Any) -> str:
    """A short name of ``value``, for folders."""
    if isinstance(value, Architecture):
        return f"{value.space}-{value.id}"
    name = getattr(value, "name", None)
    return name if isinstance(name, str) and name else type(value).__name__


def is_plain(value: Any) -> bool:
    """Whether the command line can say ``value``."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(_python(value), bool | int | float | str | Path)


def _python(value: Any) -> Any:
    """A scalar of numpy as Python's; anything else as it is."""
    is_scalar = type(value).__module__ == "numpy" and getattr(value, "shape", None) == ()
    return value.item() if is_scalar else value


def words_of(settings: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Plain settings as the command line has them: ``{"seed": 1}`` is ``seed=1``.

    Raises:
        ConfigError: a value is neither plain nor a mapping of such.
    """
    for key, value in settings.items():
        name = f"{where}{key}"
        if isinstance(value, Mapping):
            yield from words_of(value, f"{name}.")
        elif is_plain(value):
            yield f"{'+' if name == 'experiment' else ''}{name}={_text(value)}"
        else:
            inner, odd = next(_not_plain(value, name))
            raise ConfigError(f"{inner}= takes plain values, got a {type(odd).__name__}")


def _not_plain(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_plain(item, f"{name}[{index}]")
    elif not is_plain(value):
        yield name, value


def _text(value: Any) -> str:
    value = _python(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    # Quoted, so that Hydra takes any text as it is.
    quoted = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"


def _settings(value: Any) -> dict[str, Any]:
    whole = getattr(value, "settings", None)
    said = _said(whole) if isinstance(whole, Mapping) else {}
    attributes = getattr(value, "__dict__", {})
    given = attributes.get(_ARGUMENTS, {})
    held: dict[str, Any] = {}
    for name in dict.fromkeys([*_parameters(value), *given]):
        found = [at[key] for at, key in _places(name, given, attributes) if key in at]
        if found and is_plain(found[0]):
            held[name] = found[0]
        elif found and isinstance(found[0], KeepsArguments):
            held[name] = described(found[0])
        elif isinstance(value, KeepsArguments) and name not in said:
            _refuse(value, name, found)
    held = _said(held)
    now = _said({name: attributes[name] for name in held if name in attributes})
    changed = {f".{name}": item for name, item in now.items() if item != held[name]}
    return {**held, **changed, **said}


def _places(name: str, *where: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str]]:
    """Where the argument ``name`` may be kept: as it was given, or as an attribute."""
    given, attributes = where
    return [(given, name), (attributes, name), (attributes, f"_{name}")]


def _parameters(value: Any) -> list[str]:
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = inspect.signature(type(value)).parameters.values()
    return [parameter.name for parameter in named if parameter.kind not in several]


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is plain among ``values``, as JSON data."""
    plain = {name: item for name, item in values.items() if is_plain(item)}
    made: dict[str, Any] = json.loads(json.dumps(plain, default=_json))
    return made


def _json(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else _python(value)


def _refuse(value: Any, name: str, found: list[Any]) -> None:
    kind = type(value).__qualname__
    if not found:
        raise ConfigError(
            f"{kind}: its argument {name} is kept nowhere, and what a run is made with has to be "
            f"recorded: keep it as self.{name}"
        )
    raise ConfigError(
        f"{kind}: its argument {name} is a {type(found[0]).__name__}, and what a run is made with "
        "has to be recorded: give plain values (numbers, texts, lists or mappings of them), or "
        f"have a property `settings` of {kind} give {name} in such values"
    )


def _code_digest(kind: type) -> str:
    own = [owner for owner in kind.__mro__ if not _is_elsewhere(owner)]
    text = "\n".join(
        f"{owner.__qualname__}.{name}={_source(member)}"
        for owner in own
        for name, member in vars(owner).items()
        if not name.startswith("__") or callable(member)
    )
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _is_elsewhere(owner: type) -> bool:
    return owner is object or owner.__module__ in ("abc", "typing") or is_accepted(owner.__module__)


def _source(member: Any) -> str:
    """The text of a method; of anything else its value, where that says the same each time."""
    function = getattr(member, "fget", None) or getattr(member, "__func__", member)
    if not inspect.isfunction(function):
        return repr(member) if is_plain(member) else type(member).__name__
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = inspect.unwrap(function).__code__
        return f"{code.co_code.hex()} {code.co_names} {[c for c in code.co_consts if is_plain(c)]}"
