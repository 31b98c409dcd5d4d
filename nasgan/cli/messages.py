"""One clean message for each thing that Hydra can find wrong with a command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeGuard

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigKeyError,
    InterpolationKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)
from yaml import YAMLError  # type: ignore[import-untyped]  # comes with OmegaConf

from nasgan.cli.config_folders import PAIRED
from nasgan.cli.config_options import options
from nasgan.errors import (
    ConfigError,
    MissingDependencyError,
    MissingSettingError,
    NasganError,
    PluginError,
    UnknownNameError,
    nearest_names,
    quoted,
    shortened,
)
from nasgan.registry import plugins

__all__ = ["COMPOSITION_ERRORS", "explain"]

COMPOSITION_ERRORS = (
    HydraException,
    OmegaConfBaseException,
    ValueError,
    RecursionError,
    YAMLError,
)
"""What composing a configuration raises: hand it to `explain`."""

_KEY = re.compile(r"Could not (?:override|append|delete) (?:from config\. )?'([^'@]+)")
_LAUNCHERS = "hydra/launcher"
# Which of nasgan's extras brings them; `basic` is Hydra's own.
_EXTRA_OF = {
    "basic": "",
    "joblib": "joblib",
    "ray": "ray",
    "slurm": "submitit",
    "submitit_local": "submitit",
    "submitit_slurm": "submitit",
}
_RESOLVING = "raised while resolving interpolation: "
_CHOICES = "hydra.runtime.choices."
_PICKED_TWICE = re.compile(r"(\S+) appears more than once in the final defaults list")


def explain(error: BaseException, verb: str) -> NasganError:
    """``error``, raised by Hydra or OmegaConf for ``nasgan VERB``, as one to act on."""
    # What a resolver has raised is a cause of OmegaConf's own error.
    causes = list(_chain(error))
    for find in (_said_already, _of_hydra, _of_omegaconf):
        for cause in causes:
            found = find(cause, verb)
            if found is not None:
                return found
    return _explain_text(str(error), verb)


def _said_already(cause: BaseException, verb: str) -> NasganError | None:
    if isinstance(cause, NasganError):
        return cause
    if isinstance(cause, MissingMandatoryValue) and cause.full_key:
        return MissingSettingError(str(cause.full_key))
    return _unknown_key(cause, verb) if _is_of_choices(cause) else None


def _of_hydra(cause: BaseException, verb: str) -> NasganError | None:
    del verb
    if isinstance(cause, RecursionError):
        return ConfigError("the configuration is nested too deeply")
    if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
        return _no_file(str(cause.missing_cfg_file))
    if isinstance(cause, OverrideParseException):
        return _unreadable(cause)
    if isinstance(cause, YAMLError):
        reason = shortened(" ".join(str(cause).split()), 600)
        return ConfigError(f"a configuration is no YAML: {reason}")
    return None


def _of_omegaconf(cause: BaseException, verb: str) -> NasganError | None:
    if isinstance(cause, InterpolationResolutionError):
        return _leads_nowhere(cause)
    if isinstance(cause, ConfigKeyError) or type(cause).__name__ == "ConfigAttributeError":
        return _unknown_key(cause, verb)
    return None


def _no_file(path: str) -> NasganError:
    group, _, name = path.rpartition("/")
    if group == _LAUNCHERS:
        return _no_launcher(name)
    group, _, name = path.partition("/")
    if not name:
        return ConfigError(f"--config-name {group}: there is no such configuration")
    return _no_option(group, name)


def _is_of_choices(error: BaseException) -> bool:
    return str(getattr(error, "full_key", "")).startswith(_CHOICES)


def _leads_nowhere(error: InterpolationResolutionError) -> ConfigError:
    where, reason = error.full_key or "a setting", _first_line(error)
    if isinstance(error, InterpolationKeyError):
        return ConfigError(f"{where} refers to {reason.removeprefix('Interpolation key ')}")
    return ConfigError(f"{where}: {reason.partition(_RESOLVING)[2] or reason}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _no_option(group: str, name: str) -> NasganError:
    for plugin in plugins(PAIRED.get(group, "")):
        if plugin.name == name:
            return PluginError(
                f"{group} {quoted(name)} is registered by {plugin.distribution} {plugin.version}, "
                f"but no configuration {group}/{name}.yaml was found; see nasgan doctor"
            )
    known = [option.name for option in options(group) if not option.is_stand_in]
    return UnknownNameError(group, name, known)


def _no_launcher(name: str) -> NasganError:
    if name in _EXTRA_OF:
        extra = _EXTRA_OF[name]
        return MissingDependencyError(
            f"{_LAUNCHERS}={name} needs a package: pip install nasgan[{extra}]"
        )
    return UnknownNameError(_LAUNCHERS, name, _EXTRA_OF)


def _unreadable(error: OverrideParseException) -> ConfigError:
    if "=" not in error.override:
        return ConfigError(
            f"cannot read {quoted(error.override)}: a setting is written key=value, a group's "
            "option group=option"
        )
    reason = _first_line(error).removeprefix("LexerNoViableAltException: ")
    return ConfigError(
        f"cannot read {quoted(error.override)}: {shortened(reason)}; put values with spaces or "
        "special characters into quotes of their own: 'key=\"some value\"'"
    )


def _unknown_key(error: BaseException, verb: str) -> ConfigError:
    key = str(getattr(error, "full_key", "") or getattr(error, "key", ""))
    parent = getattr(error, "parent_node", None)
    if key.startswith(_CHOICES):
        return ConfigError(f"nasgan {verb} needs a {key.removeprefix(_CHOICES)}=OPTION")
    siblings = [str(name) for name in parent] if _is_mapping(parent) else []
    prefix, _, last = key.rpartition(".")
    known = [name for name in siblings if name not in ("hydra", "_target_")]
    dotted = [f"{prefix}.{name}" if prefix else name for name in nearest_names(last, known)]
    if not prefix and _is_mapping(parent):
        # It may have been written without the name of its group.
        nodes = [(name, parent._get_node(name)) for name in known]
        dotted += [f"{name}.{last}" for name, node in nodes if _is_mapping(node) and last in node]
    hint = f" Did you mean {' or '.join(dotted)}?" if dotted else ""
    within = f" in {prefix}" if prefix else ""
    listed = f" Known{within}: {', '.join(known)}." if known else ""
    return ConfigError(f"nasgan {verb} has no setting {quoted(key)}.{hint}{listed}")


def _is_mapping(node: object) -> TypeGuard[DictConfig]:
    return isinstance(node, DictConfig) and not node._is_none() and not node._is_missing()


def _explain_text(text: str, verb: str) -> ConfigError:
    ambiguous = re.search(r"Ambiguous value for argument '(.+?)'\n", text)
    if ambiguous:
        key, _, values = ambiguous[1].partition("=")
        return ConfigError(
            f"{quoted(ambiguous[1])} gives several values: add -m to run one after the other (a "
            f"sweep), or write {shortened(f'{key}=[{values}]')} for a list"
        )
    twice = _PICKED_TWICE.search(text)
    if twice:
        group = shortened(twice[1])
        return ConfigError(f"{group} is chosen already; write {group}=OPTION without the +")
    key = _KEY.search(text)
    if key and "No match in the defaults list" in text:
        group = key[1]
        added = re.search(r"use (\+experiment=\S+)", text)
        if added:
            return ConfigError(f"an experiment is added to the defaults: write {added[1]}")
        return ConfigError(f"nasgan {verb} does not use the group {quoted(group)}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return ConfigError(
        shortened("; ".join(lines[:2]), 600) if lines else "the configuration cannot be composed"
    )


def _first_line(error: BaseException) -> str:
    text = str(getattr(error, "msg", None) or error)
    return (text.strip().splitlines() or [type(error).__name__])[0]
