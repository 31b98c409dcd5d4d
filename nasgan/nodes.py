"""From a configuration node to the object that it describes, checked before anything runs.

A node is a mapping with a ``_target_``, the dotted path of a class or function, and the keyword
arguments to call it with. Only targets that nasgan or an installed plugin defines are accepted, and
the arguments are held against the target's signature and annotations first.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias, TypeVar

from nasgan.conversion import convert
from nasgan.errors import ConfigError, PluginError, nearest_names, quoted, shortened
from nasgan.registry import load_plugin, package_owners, plugin_packages

__all__ = [
    "Checked",
    "build_node",
    "build_settings",
    "check_node",
    "check_values",
    "is_accepted",
    "make_plugin",
    "named_targets",
    "type_hints",
    "with_defaults",
]

TARGET = "_target_"

T = TypeVar("T")

_Target: TypeAlias = "type[Any] | types.FunctionType"
_PUBLIC_PATH = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")


def check_node(
    node: Mapping[str, Any],
    *,
    where: str,
    base: type | None = None,
    supplied: Collection[str] = (),
    ignore: Collection[str] = (),
) -> None:
    """Refuse ``node`` if `build_node` would, without building it.

    Args:
        node: the configuration node.
        where: its place, for messages: ``"trainer"``.
        base: the class that the target must be (a subclass of), or return.
        supplied: names of the arguments that the caller of `build_node` will add.
        ignore: keys of the node that are not arguments.

    Raises:
        ConfigError: the target is not allowed or does not exist, or an argument is unknown,
            missing or of a wrong type.
        PluginError: the target's module cannot be imported.
    """
    target = _locate(node, where, base)
    _bind(target, node, where, supplied, (TARGET, *ignore), build=False)


def build_node(
    node: Mapping[str, Any],
    /,
    *,
    where: str,
    base: type | None = None,
    ignore: Collection[str] = (),
    **supplied_values: Any,
) -> Any:
    """Check ``node`` and call its target.

    Args:
        node: the configuration node.
        where: as in `check_node`.
        base: as in `check_node`.
        ignore: as in `check_node`.
        supplied_values: arguments that the configuration does not hold, passed as they are.

    Returns:
        The target's instance or return value.

    Raises:
        ConfigError: as in `check_node`, or raised by the target itself.
        PluginError: as in `check_node`.
    """
    target = _locate(node, where, base)
    bound = _bind(target, node, where, supplied_values, (TARGET, *ignore), build=True)
    made = target(**bound, **supplied_values)
    if base is not None and not isinstance(made, base):
        raise ConfigError(
            f"{where}.{TARGET} gave a {type(made).__name__}, where a {base.__name__} is needed"
        )
    return made


def make_plugin(
    group: str, name: str, base: type, settings: Mapping[str, Any], *, where: str
) -> Any:
    """An instance of the class that is registered as ``name`` in ``group``.

    Args:
        group: of `nasgan.registry`.
        name: what a user types.
        base: the class that it must be a subclass of.
        settings: its keyword arguments.
        where: their place, for messages.

    Raises:
        UnknownNameError: no such name; lists the nearest.
        ConfigError: a setting is unknown, missing or of a wrong type.
        PluginError: the package that registers it is broken.
    """
    made = load_plugin(group, name)
    if not (isinstance(made, type) and issubclass(made, base)):
        raise PluginError(f"{group} {name!r} is registered as {made!r}, not as a {base.__name__}")
    check_values(settings, made, where=where)
    return made(**settings)


def check_values(values: Mapping[str, Any], settings: type, *, where: str = "") -> None:
    """Hold ``values`` against the parameters of the class ``settings``; see `check_node`.

    Raises:
        ConfigError: a key is unknown or missing, or its value is of a wrong type.
    """
    _bind(settings, values, where, build=False)


def build_settings(kind: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """An instance of the dataclass ``kind`` of the fields ``values``; see `check_node`.

    Raises:
        ConfigError: a key is unknown or missing, or its value is wrong.
    """
    return kind(**_bind(kind, values, where, build=True))


class Checked:
    """Base of dataclasses whose fields, however one is made, are held against their annotations.

    Raises:
        ConfigError: a field is of a wrong type or out of its range; named as in ``where``.
    """

    where: ClassVar[str] = ""

    def __post_init__(self) -> None:
        own: Any = self
        values = {field.name: getattr(self, field.name) for field in fields(own)}
        check_values(values, type(self), where=self.where)


# The target


def named_targets(node: object) -> Iterator[str]:
    """All targets in a configuration, from the outside in; none is looked at or imported."""
    if isinstance(node, list | tuple):
        for item in node:
            yield from named_targets(item)
    elif isinstance(node, Mapping):
        target = node.get(TARGET)
        if isinstance(target, str):
            yield target
        for item in node.values():
            yield from named_targets(item)


def is_accepted(target: str) -> bool:
    """Whether ``target`` is, by its name, in nasgan or an installed plugin."""
    return target.partition(".")[0] in plugin_packages()


def with_defaults(held: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """``held``, and of the settings that it lacks those that ``node`` leaves at their defaults.

    A configuration of before does not know the settings that came since.

    Args:
        held: a configuration, or a node of one.
        node: the same as it is now, checked.
    """
    filled = {
        key: with_defaults(value, node[key])
        if isinstance(value, Mapping) and isinstance(node.get(key), Mapping)
        else value
        for key, value in held.items()
    }
    if TARGET in node and held.get(TARGET) == node[TARGET]:
        parameters = inspect.signature(_locate(node, "configuration", None)).parameters
        for key in node.keys() - held.keys():
            if key in parameters and parameters[key].default == node[key]:
                filled[key] = node[key]
    return filled


def _locate(node: object, where: str, base: type | None) -> _Target:
    path = node.get(TARGET) if isinstance(node, Mapping) else None
    if not isinstance(path, str):
        raise ConfigError(f"{where} must be a mapping with a {TARGET}, got {quoted(node)}")
    if not _PUBLIC_PATH.fullmatch(path) or not is_accepted(path):
        allowed = ", ".join(sorted(plugin_packages()))
        raise ConfigError(
            f"{where}.{TARGET}={quoted(path)} is refused: a {TARGET} outside nasgan and installed "
            f"plugins. It must be a public class or function of one of: {allowed}"
        )
    module_name, _, name = path.rpartition(".")
    module = _module(module_name, path, where)
    try:
        target = getattr(module, name)
    except AttributeError as error:
        near = nearest_names(name, [key for key in dir(module) if not key.startswith("_")])
        raise ConfigError(
            f"{where}.{TARGET}: {module.__name__} has no {quoted(name)}.{_did_you_mean(near)}"
        ) from error
    # Its package defines it: no re-exports of ``os``, ``sys`` and the like.
    package = path.partition(".")[0]
    if (
        not isinstance(target, (type, types.FunctionType))
        or str(target.__module__).partition(".")[0] != package
    ):
        raise ConfigError(
            f"{where}.{TARGET}={quoted(path)} is refused: it must be a class or function that the "
            f"package {package} itself defines"
        )
    _check_base(target, path, where, base)
    return target


def _module(name: str, path: str, where: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"{where}.{TARGET}={quoted(path)}: there is no module {name!r}"
            ) from error
        raise PluginError(_import_failed(path, where, error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever leaves the program, too
        raise PluginError(_import_failed(path, where, error)) from error


def _import_failed(path: str, where: str, error: BaseException) -> str:
    owner = package_owners().get(path.partition(".")[0], "nasgan")
    return (
        f"{where}.{TARGET}={quoted(path)} of the package {owner} cannot be imported: "
        f"{type(error).__name__}: {shortened(str(error), 600)}"
    )


def _check_base(target: _Target, path: str, where: str, base: type | None) -> None:
    if base is None:
        return
    # A function has to say what it returns: it is refused before it is called.
    made = target if isinstance(target, type) else type_hints(target).get("return")
    made = made if isinstance(made, type) else object
    if not issubclass(made, base):
        raise ConfigError(f"{where}.{TARGET}={quoted(path)} does not make a {base.__name__}")
    if inspect.isabstract(made):
        missing = ", ".join(sorted(getattr(made, "__abstractmethods__", ())))
        raise ConfigError(
            f"{where}.{TARGET}={quoted(path)} is abstract: it does not define {missing}"
        )


# Its arguments


@dataclass(frozen=True)
class _Signature:
    """Parameters by name (annotation, whether required); ``open_ended`` takes any others too."""

    parameters: Mapping[str, tuple[Any, bool]]
    open_ended: bool


def _bind(
    target: _Target,
    values: Mapping[str, Any],
    where: str,
    supplied: Collection[str] = (),
    ignore: Collection[str] = (),
    *,
    build: bool,
) -> dict[str, Any]:
    """The arguments among ``values``, converted; instances of nested nodes only if ``build``."""
    signature = _signature(target)
    given = {str(name): value for name, value in values.items() if name not in ignore}
    known = signature.parameters
    at = f"{where}." if where else ""
    for name in given:
        if name in supplied:
            raise ConfigError(f"{at}{name} is set by the run itself; remove it")
        if name not in known and not signature.open_ended:
            options = sorted(set(known) - set(supplied))
            near = _did_you_mean([f"{at}{hit}" for hit in nearest_names(name, options)])
            raise ConfigError(f"unknown setting {at}{name}.{near} Known: {_listed(options)}.")
    if not signature.open_ended and not set(supplied) <= set(known):
        extra = ", ".join(sorted(set(supplied) - set(known)))
        raise PluginError(f"{where}: {target.__qualname__} does not take the argument(s) {extra}")
    required = [name for name, (_, is_required) in known.items() if is_required]
    missing = [f"{at}{name}" for name in required if name not in given and name not in supplied]
    if missing:
        raise ConfigError(f"missing: {', '.join(missing)} must be given ({target.__qualname__})")

    nested = partial(_nested, build=build)
    anything = (Any, False)
    return {
        name: convert(value, known.get(name, anything)[0], f"{at}{name}", nested)
        for name, value in given.items()
    }


def _nested(mapping: Mapping[str, Any], wanted: type, where: str, *, build: bool) -> Any:
    """An instance of ``wanted``: from a node with a target, or of a dataclass from its fields."""
    if TARGET in mapping:
        if build:
            return build_node(mapping, where=where, base=wanted)
        return check_node(mapping, where=where, base=wanted)
    if not is_dataclass(wanted):
        raise ConfigError(f"{where} must be a {wanted.__name__}: a mapping with a {TARGET}")
    bound = _bind(wanted, mapping, where, build=build)
    return wanted(**bound) if build else None


def _signature(target: _Target) -> _Signature:
    """The keyword parameters of ``target``; ``**kwargs`` of a class stand for its parents'."""
    if isinstance(target, types.FunctionType):
        makers = [target]
    else:
        own = [vars(owner).get("__init__") for owner in target.__mro__]
        makers = [maker for maker in own if isinstance(maker, types.FunctionType)]
    parameters: dict[str, tuple[Any, bool]] = {}
    for maker in makers:
        # Of a dataclass, names of the modules of its parents, too.
        hints = type_hints(maker) | (type_hints(target) if is_dataclass(target) else {})
        open_ended = False
        listed = list(inspect.signature(maker).parameters.values())
        for parameter in listed[1:] if isinstance(target, type) else listed:
            if parameter.kind is parameter.VAR_KEYWORD:
                open_ended = True
            elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                annotation = hints.get(parameter.name, Any)
                is_required = parameter.default is parameter.empty
                parameters.setdefault(parameter.name, (annotation, is_required))
        if not open_ended:
            return _Signature(parameters, open_ended=False)
    return _Signature(parameters, open_ended=bool(makers))


def type_hints(maker: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function or class that can be evaluated, each by itself.

    A name may exist for type checkers alone (TYPE_CHECKING): that costs its own argument's type and
    no other's.
    """
    maker = inspect.unwrap(maker)
    try:
        return typing.get_type_hints(maker, include_extras=True)
    except (NameError, TypeError, AttributeError):
        own = getattr(maker, "__annotations__", {})
        scope = getattr(maker, "__globals__", vars(sys.modules.get(maker.__module__, typing)))
        return {name: hint for name in own for hint in _hint(own[name], scope)}


def _hint(annotation: Any, scope: dict[str, Any]) -> list[Any]:
    """The evaluated annotation; none if it cannot be."""
    alone = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return list(typing.get_type_hints(alone, globalns=scope, include_extras=True).values())
    except (NameError, TypeError, AttributeError):
        return []


def _did_you_mean(near: Collection[str]) -> str:
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) if names else "none"
