"""The settings of configuration files: names, defaults, types and meanings.

Names and defaults come from the YAML, meanings from its comments and from the docstring of the
class or function that ``_target_`` names, types from that one's annotations.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, is_typeddict

import yaml  # type: ignore[import-untyped]  # comes with OmegaConf

from nasgan.contracts import Budget, Cost, NetworkSettings, SearchSpace
from nasgan.conversion import describe
from nasgan.nodes import type_hints
from nasgan.registry import EXTRACTORS, load_plugin, plugins

__all__ = ["ConfigFile", "Setting", "parameters_of", "read_config"]

_TARGET = "_target_"
_SECTION = re.compile(r"^(Args|Attributes):\s*$", re.MULTILINE)
_ENTRY = re.compile(r"^    (\*{0,2}\w+)(?: \([^)]*\))?: ?(.*)$")
_ELSEWHERE = re.compile(
    r"(?:as (?:there|above|in `\w+`)|see `[\w.]+`(?: for this.*)?)(?:[;,] (?P<rest>.*))?[.]?",
    re.DOTALL,
)
_YAML_TYPES = {"bool": bool, "int": int, "float": float, "str": str}
# A comment with this share of its words in the docstring says nothing more.
_REPEATS = 0.6
# Classes whose arguments another one explains.
_EXPLAINED_BY: Mapping[type, type] = {Budget: Cost, SearchSpace: NetworkSettings}


@dataclass(frozen=True)
class Parameter:
    """One argument of a target.

    Attributes:
        annotation: evaluated; None if it cannot be.
        default: as Python writes it; None if it must be given.
        meaning: of the docstring; may be empty.
    """

    annotation: Any
    default: str | None
    meaning: str


@dataclass(frozen=True)
class Setting:
    """One row of a table.

    Attributes:
        key: with dots below the option: ``health.patience``.
        default: as the file writes it; empty for a part that has settings of its own.
        type: in words; may be empty.
        meaning: Markdown.
        remark: a comment of the file about this setting and those after it.
        is_listed: whether the file has it; if not, the command line adds it with ``+``.
    """

    key: str
    default: str
    type: str
    meaning: str
    remark: str = ""
    is_listed: bool = True


@dataclass(frozen=True)
class ConfigFile:
    """One YAML file.

    Attributes:
        summary: its first comment.
        target: what ``_target_`` names; empty without.
        defaults: its defaults list.
        settings: in its order.
    """

    summary: str
    target: str
    defaults: tuple[Any, ...]
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class _Leaf:
    """A key of the file: ``value`` is None for a part with keys of its own."""

    path: tuple[str, ...]
    value: str | None
    yaml_type: type | None
    comment: str
    above: str


def read_config(
    path: Path,
    *,
    schema: type | None = None,
    fallback: Mapping[str, Setting] | None = None,
) -> ConfigFile:
    """Read ``path``, a file of a group or the primary configuration of a verb.

    Args:
        path: the file.
        schema: the settings class of a verb, for a file without ``_target_``.
        fallback: settings by key, for those that say nothing about themselves.
    """
    text = path.read_text(encoding="utf-8")
    plain = yaml.safe_load(text) or {}
    target = str(plain.get(_TARGET, ""))
    maker = _locate(target) if target else schema
    known = parameters_of(maker) if maker is not None else {}
    features = plain.get("features", {}).get("name", "") if "features" in plain else ""
    settings = []
    for leaf in _leaves(text):
        if leaf.path[0] in (_TARGET, "defaults", "hydra"):
            continue
        parameter = _parameter(leaf.path, known, features)
        settings.append(_setting(leaf, parameter, fallback or {}))
    if target:
        settings += _unlisted(known, {setting.key for setting in settings})
    return ConfigFile(_summary(text), target, tuple(plain.get("defaults", ())), tuple(settings))


def _setting(leaf: _Leaf, parameter: Parameter | None, fallback: Mapping[str, Setting]) -> Setting:
    key = ".".join(leaf.path)
    other = fallback.get(key)
    annotation = parameter.annotation if parameter is not None else None
    of_type = "" if annotation in (None, Any) or is_dataclass(annotation) else _words(annotation)
    documented = parameter.meaning if parameter is not None else ""
    meaning = _joined(documented, _escaped(leaf.comment), of_type)
    remark = _escaped(leaf.above)
    if not meaning and remark:
        meaning, remark = remark, ""
    if not of_type and leaf.value is not None:
        of_type = _words(leaf.yaml_type) if leaf.yaml_type else other.type if other else ""
    part = ".".join(leaf.path[:-1])
    meaning = meaning or (other.meaning if other else "") or (f"see `{part}`" if part else "")
    return Setting(key, leaf.value or "", of_type, meaning, remark)


def _unlisted(known: Mapping[str, Parameter], listed: set[str]) -> Iterator[Setting]:
    """Arguments that the file leaves to their defaults; the run gives those that have none."""
    for name, parameter in known.items():
        given_by_the_run = name in ("image_size", "image_channels", "num_classes")
        if name in listed or parameter.default is None or given_by_the_run:
            continue
        of_type = _words(parameter.annotation) if parameter.annotation is not None else ""
        yield Setting(name, parameter.default, of_type, parameter.meaning, is_listed=False)


# The file


def _leaves(text: str) -> Iterator[_Leaf]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    lines = text.splitlines()
    if isinstance(root, yaml.MappingNode):
        yield from _below(root, (), lines, text)


def _below(
    node: yaml.MappingNode, path: tuple[str, ...], lines: list[str], text: str
) -> Iterator[_Leaf]:
    for key, value in node.value:
        here = (*path, str(key.value))
        above = _comment_above(lines, key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            comment = _comment_after(lines, key.end_mark.line, key.end_mark.column + 1)
            yield _Leaf(here, None, None, comment, above)
            yield from _below(value, here, lines, text)
        else:
            end = value.end_mark
            shown = text[value.start_mark.index : end.index]
            is_reference = shown.startswith("${")
            kind = None if is_reference else _YAML_TYPES.get(value.tag.rpartition(":")[2])
            yield _Leaf(here, shown, kind, _comment_after(lines, end.line, end.column), above)


def _comment_after(lines: list[str], line: int, column: int) -> str:
    rest = lines[line][column:] if line < len(lines) else ""
    return rest.strip().lstrip("#").strip() if rest.strip().startswith("#") else ""


def _comment_above(lines: list[str], line: int) -> str:
    """The comment lines that end right above; the first comment of a file is about the file."""
    first = line
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(text.strip().lstrip("#").strip() for text in lines[first:line] if first > 0)


def _summary(text: str) -> str:
    found = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        found += [line.lstrip("# ").strip()] if "@package" not in line else []
    return " ".join(found)


def _escaped(comment: str) -> str:
    for character in "*<":
        comment = comment.replace(character, f"\\{character}")
    return comment.replace(" | ", ", ").replace("|", "&#124;")


def _joined(documented: str, comment: str, of_type: str) -> str:
    """Docstring and comment; without the comment where it says nothing more."""
    if not documented or not comment:
        return documented or comment
    words = [set(re.findall(r"\w+", text.lower())) for text in (documented + of_type, comment)]
    if words[0] <= words[1]:
        return comment
    repeated = len(words[0] & words[1]) / max(1, len(words[1]))
    return documented if repeated >= _REPEATS else f"{documented}<br>{comment}"


def _words(annotation: Any) -> str:
    """The type as messages name it, options as code; that a path may be a text goes unsaid."""
    text = describe(annotation).replace("str or a path", "a path").replace("str", "text")
    text = text.replace("list of Any", "list")
    return re.sub(r"'([^']*)'", r"`\1`", text)


# The target


def parameters_of(target: Any) -> dict[str, Parameter]:
    """The keyword arguments of a class or function; ``**kwargs`` of a class are its parents'."""
    if is_typeddict(target):
        return {name: Parameter(hint, None, "") for name, hint in type_hints(target).items()}
    makers = [target]
    if isinstance(target, type):
        own = [vars(owner).get("__init__") for owner in target.__mro__]
        makers = [maker for maker in own if inspect.isfunction(maker)]
    meanings = _meanings(target)
    found: dict[str, Parameter] = {}
    for maker in makers:
        hints = type_hints(maker)
        signature = inspect.signature(maker).parameters.values()
        for item in signature:
            if item.name == "self" or item.kind in (item.VAR_KEYWORD, item.VAR_POSITIONAL):
                continue
            default = None if item.default is item.empty else _shown(item.default)
            parameter = Parameter(hints.get(item.name), default, meanings.get(item.name, ""))
            found.setdefault(item.name, parameter)
        if not any(item.kind is item.VAR_KEYWORD for item in signature):
            break
    return found


def _shown(default: Any) -> str:
    """As YAML would write it."""
    if default is None or isinstance(default, bool):
        return {None: "null", True: "true", False: "false"}[default]
    return str(default)


def _parameter(
    path: tuple[str, ...], known: Mapping[str, Parameter], features: str
) -> Parameter | None:
    if path[0] == "features" and len(path) > 1 and features in _extractors():
        known, path = parameters_of(load_plugin(EXTRACTORS, features)), path[1:]
    parameter = known.get(path[0])
    for key in path[1:]:
        if parameter is None or not is_dataclass(parameter.annotation):
            return None
        parameter = parameters_of(parameter.annotation).get(key)
    return parameter


def _extractors() -> set[str]:
    return {plugin.name for plugin in plugins(EXTRACTORS)}


def _meanings(target: Any) -> dict[str, str]:
    """What the docstrings of ``target`` and its parents say about arguments, nearest first."""
    owners = list(target.__mro__) if isinstance(target, type) else [target]
    owners += [_EXPLAINED_BY[owner] for owner in owners if owner in _EXPLAINED_BY]
    found: dict[str, str] = {}
    added: dict[str, str] = {}
    for owner in owners:
        # A class without a docstring of its own must not show its parent's as its own.
        docstring = vars(owner).get("__doc__") if isinstance(owner, type) else owner.__doc__
        above = ""
        for name, written in _section(docstring).items():
            text = above if written.strip(".") == "as above" else written
            above = text
            reference = _ELSEWHERE.fullmatch(text)
            if reference is None:
                found.setdefault(name, text)
            elif reference["rest"]:
                added.setdefault(name, reference["rest"])
    for name, text in added.items():
        found[name] = f"{found[name].rstrip('.')}; {text}" if name in found else text
    return found


def _section(docstring: str | None) -> dict[str, str]:
    """``Args`` or ``Attributes`` of a google-style docstring."""
    text = inspect.cleandoc(docstring or "")
    start = _SECTION.search(text)
    found: dict[str, str] = {}
    name = ""
    for line in text[start.end() :].strip("\n").splitlines() if start else ():
        entry = _ENTRY.match(line)
        if entry:
            name = entry[1]
            found[name] = entry[2].strip()
        elif line.startswith("     ") and name:
            found[name] = f"{found[name]} {line.strip()}".strip()
        elif line.strip():
            break
    return {key: _code(value) for key, value in found.items()}


def _code(text: str) -> str:
    """``"text"`` and None are `text` and null to who writes YAML."""
    text = re.sub(r"``\"?([^`\"]*)\"?``", r"`\1`", text)
    return re.sub(r"\bNone\b", "null", text).replace("|", "&#124;")


def _locate(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
