"""Objects where a configuration names classes: what a record says of them.

A strategy that is made in a notebook has no place from which anybody else could import it. In its
configuration stands what identifies it: its class, the settings it was made with and, where no
installed package defines the class, a digest of its code. Whoever changes the code has another run.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nasgan.architecture import Architecture
from nasgan.errors import ConfigError
from nasgan.nodes import is_accepted

__all__ = ["OBJECT", "described", "is_plain", "label_of", "not_installed", "words_of"]

OBJECT = "_object_"


def described(value: Any) -> dict[str, Any]:
    """What a configuration holds in place of ``value``, as JSON data.

    ``settings`` are the arguments that it keeps under their own names, as far as they are plain.
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
    return value is None or isinstance(value, bool | int | float | str | Path)


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
            raise ConfigError(f"{name}= takes plain values, got a {type(value).__name__}")


def _text(value: Any) -> str:
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
    named = inspect.signature(type(value)).parameters
    held = {name: getattr(value, name) for name in named if hasattr(value, name)}
    whole = getattr(value, "settings", None)
    if isinstance(whole, Mapping):  # a search space says what rebuilds it
        held |= whole
    plain = {name: item for name, item in held.items() if is_plain(item)}
    made: dict[str, Any] = json.loads(json.dumps(plain, default=str))
    return made


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
        code = function.__code__
        return f"{code.co_code.hex()} {code.co_names} {[c for c in code.co_consts if is_plain(c)]}"
