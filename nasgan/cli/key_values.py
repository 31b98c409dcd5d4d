"""Settings of the verbs that only read results, from words as ``key=value``: no Hydra application.

Defaults are the file of the verb's name among the configurations; `nasgan.cli.schema` checks the
rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import yaml  # type: ignore[import-untyped]  # comes with OmegaConf
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import PlainValidator

from nasgan.cli.console import log_shown, say
from nasgan.cli.paths import config_folder, settled_paths
from nasgan.errors import ConfigError, MissingSettingError, nearest_names, quoted, shortened
from nasgan.reading import read_text
from nasgan.run_settings import Count, Positive, flat
from nasgan.schema import Fault, Part, check

__all__ = ["READING_VERBS", "names_of", "roots_of", "run_reading", "settings_of", "texts_of"]


def _texts(value: Any) -> Any:
    several = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in several):
        raise Fault("a text or a list of texts", value)
    return value


_Texts = Annotated[str | list[str], PlainValidator(_texts)]


class _Leaderboard(Part):
    runs: _Texts
    out: _Texts
    protocol: _Texts | None
    rank_by: str | None
    group_by: _Texts | None
    published: bool
    where: dict[str, Any]


class _Publish(Part):
    runs: _Texts
    to: str
    title: str
    protocol: str | None
    rank_by: str | None
    where: dict[str, Any]


class _Report(Part):
    runs: _Texts
    out: str
    protocol: str | None
    rank_by: str | None
    table: _Texts | None


class _Simulate(Part):
    table: str
    out: str
    strategy: _Texts | None
    seeds: Positive
    objective: str
    workers: Positive | None
    budget: dict[str, Any]


class _Watch(Part):
    runs: _Texts
    host: str
    port: Count
    protocol: str | None
    rank_by: str | None


READING_VERBS: Mapping[str, type] = {
    "leaderboard": _Leaderboard,
    "publish": _Publish,
    "report": _Report,
    "simulate": _Simulate,
    "watch": _Watch,
}
"""The verbs that read, with their settings; the defaults are in the file of their name."""

_FLAGS = ("-h", "--help", "--cfg", "--resolve")
_SEVERAL = re.compile(r"runs|out|protocol|table|group_by|strategy|where\.\w+")
_PARTS = re.compile(r"""\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"|([^,]+))\s*(?:,|$)""")
# As in Hydra's grammar, where 012 is a text.
_WHOLE = r"(?:0|[1-9][0-9]*)"
_PLAIN = re.compile(rf"null|true|false|[-+]?(?:{_WHOLE}|{_WHOLE}?\.[0-9]+)", re.IGNORECASE)


def run_reading(verb: str, work: Callable[[dict[str, Any]], int], arguments: Sequence[str]) -> int:
    """Run ``nasgan VERB ARGUMENTS...``: its help, its settings (``--cfg job``), or its work.

    Args:
        verb: one of `READING_VERBS`.
        work: what it does with its settings; gives the exit code.
        arguments: what follows the verb.

    Raises:
        ConfigError: a word is malformed, or a setting unknown or wrong.
    """
    words, flags = _apart(verb, arguments)
    if {"-h", "--help"} & flags:
        say(*_help(verb, words))
        return 0
    if flags:
        say(OmegaConf.to_yaml(_merged(verb, words)).rstrip())
        return 0
    settings = settings_of(verb, words)
    with log_shown():
        return work(settings)


def _apart(verb: str, arguments: Sequence[str]) -> tuple[list[str], set[str]]:
    """Words that are settings, and flags."""
    words, flags, rest = [], set(), iter(arguments)
    for word in rest:
        flag, equals, value = word.partition("=")
        if not word.startswith("-"):
            words.append(word)
            continue
        if flag not in _FLAGS or (equals and flag != "--cfg"):
            raise ConfigError(f"unknown flag {word}; see nasgan {verb} --help")
        if flag == "--cfg" and (value if equals else next(rest, "")) != "job":
            raise ConfigError(f"--cfg takes one word: nasgan {verb} --cfg job")
        flags.add(flag)
    return words, flags


def settings_of(verb: str, words: Sequence[str] = ()) -> dict[str, Any]:
    """The settings of ``nasgan VERB WORDS...`` as plain data, checked.

    Raises:
        ConfigError: as `run_reading`.
    """
    try:
        plain = OmegaConf.to_container(_merged(verb, words), resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise MissingSettingError(str(error.full_key)) from error
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0].rpartition("interpolation: ")[2]
        raise ConfigError(f"{error.full_key}: {shortened(reason, 600)}") from error
    assert isinstance(plain, dict)
    config = settled_paths({str(key): value for key, value in plain.items()}, ".")
    check(READING_VERBS[verb], config, "")
    return config


def roots_of(setting: str | Sequence[str]) -> list[str]:
    """The values of a setting that takes one or several: ``runs=a`` or ``runs=a,b``."""
    return [setting] if isinstance(setting, str) else list(setting)


def names_of(verb: str) -> list[str]:
    """The settings of ``verb``, with dots."""
    return list(flat(yaml.safe_load(read_text(config_folder() / f"{verb}.yaml"))))


def texts_of(word: str) -> list[str]:
    """`values_of` what follows the ``=`` of ``word``, all as the texts that they are.

    Raises:
        ConfigError: a quote or bracket is not closed.
    """
    try:
        return values_of(word.partition("=")[2], as_texts=True)
    except ValueError as error:
        raise _unreadable(word) from error


def values_of(text: str, *, as_texts: bool = False) -> list[Any]:
    """The values in ``a,b``, ``[a,b]`` or ``a``; those in quotes are texts, with commas in them.

    Args:
        text: what follows the ``=``.
        as_texts: whether ``1.10`` is a text, too.

    Raises:
        ValueError: a quote or bracket is not closed.
    """
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    values, end = [], 0
    while end < len(inner):
        found = _PARTS.match(inner, end)
        if found is None or inner[end] == "[":
            raise ValueError(text)
        single, double, bare = found.groups()
        if bare is not None:
            values.append(_plain(bare.strip(), as_texts=as_texts))
        else:
            values.append(re.sub(r"\\(.)", r"\1", single if single is not None else double))
        end = found.end()
    return values


def _plain(text: str, *, as_texts: bool = False) -> Any:
    if text.startswith(("'", '"', "{")):
        raise ValueError(text)
    if as_texts:
        return text
    return yaml.safe_load(text.lower()) if _PLAIN.fullmatch(text) else text


def _merged(verb: str, words: Sequence[str]) -> DictConfig:
    defaults = yaml.safe_load(read_text(config_folder() / f"{verb}.yaml"))
    config, known = OmegaConf.create(defaults), list(flat(defaults))
    assert isinstance(config, DictConfig)
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"cannot read {quoted(word)}: a setting is written key=value")
        if key not in known:
            raise ConfigError(_unknown(verb, key, known))
        value = _value(key, text, word)
        try:
            OmegaConf.update(config, key, value, force_add=False)
        except OmegaConfBaseException as error:  # a reference to a setting that is not closed
            raise _unreadable(word) from error
    return config


def _value(key: str, text: str, word: str) -> Any:
    is_list = text.startswith("[")
    try:
        if not _SEVERAL.fullmatch(key) and not is_list:
            is_quoted = text[:1] in ("'", '"') and text[-1:] == text[:1] and len(text) > 1
            return values_of(text)[0] if is_quoted else _plain(text)
        values = values_of(text)
    except (ValueError, IndexError) as error:
        raise _unreadable(word) from error
    if is_list or len(values) > 1:
        return values
    return values[0] if values else ""


def _unreadable(word: str) -> ConfigError:
    return ConfigError(
        f"cannot read {quoted(word)}; put values with special characters into quotes of their "
        "own: 'key=\"some value\"'"
    )


def _unknown(verb: str, key: str, known: Sequence[str]) -> str:
    prefix, _, last = key.rpartition(".")
    siblings = [name for name in known if name.rpartition(".")[0] == prefix] or list(known)
    # Between names with the same beginning, what follows decides.
    ends = {name.rpartition(".")[2]: name for name in siblings}
    near = [ends[end] for end in nearest_names(last, ends)]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"nasgan {verb} has no setting {quoted(key)}.{hint} Known: {', '.join(siblings)}."


def _help(verb: str, words: Sequence[str]) -> Iterator[str]:
    path = config_folder() / "hydra" / "help" / f"{verb}.yaml"
    text: Mapping[str, str] = yaml.safe_load(read_text(path))
    shown = text["template"].replace("${hydra.help.header}", text["header"].strip() + "\n")
    yield shown.replace("$CONFIG", OmegaConf.to_yaml(_merged(verb, words))).rstrip()
