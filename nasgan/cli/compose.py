"""Compose a verb's configuration from overrides, for the command line and for `nasgan.search`."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from nasgan.cli.config_folders import config_folders, read_yaml
from nasgan.cli.config_options import config_folder, register_plugin_configs
from nasgan.cli.hydra_rules import guard_hydra
from nasgan.cli.key_values import READING_VERBS, settings_of
from nasgan.cli.messages import COMPOSITION_ERRORS, explain
from nasgan.cli.paths import refuse_empty_paths, settled_paths
from nasgan.cli.resolvers import experiment_name, register_resolvers
from nasgan.cli.schema import check_config, strip_foreign
from nasgan.errors import ConfigError
from nasgan.objects import described, label_of
from nasgan.run_settings import flat, with_home

__all__ = [
    "RUN_VERBS",
    "VERSION_BASE",
    "compose",
    "compose_run",
    "composed",
    "explained",
    "flags_last",
    "overruled",
    "refuse_without_effect",
    "resolved",
    "settle",
    "single_valued",
    "sweep_jobs",
    "with_homes",
]

VERSION_BASE = "1.3"

RUN_VERBS = ("search", "train")
"""Those that leave a run."""
# A path that begins with ~, as a value or as one of several.
_AT_HOME = re.compile(r"(?<=[=,\[])~[\w.-]*(?:/[^,\[\]{}()'\"]*)?(?=[,\]]|$)")
_FOR_HYDRA_ITSELF = ("hydra.run.dir=", "hydra.sweep.dir=")
_HYDRAS_OWN = re.compile(r"[+~]*hydra([./@]|$)")


def compose(verb: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The configuration of ``nasgan VERB OVERRIDES...`` as plain data, checked but for its nodes.

    Args:
        verb: ``"search"``, ``"train"``, ``"evaluate"``, ``"sample"`` or ``"leaderboard"``.
        overrides: as on the command line: ``"strategy=random"``, ``"trainer.n_critic=2"``.

    Raises:
        ConfigError: an override is malformed or names something unknown.
    """
    return (
        settings_of(verb, overrides) if verb in READING_VERBS else compose_run(verb, overrides)[0]
    )


def compose_run(
    verb: str, overrides: Sequence[str] = (), objects: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], Path]:
    """`compose`, and the folder that the command line would give the run (``.`` if it has none).

    Args:
        verb: as for `compose`.
        overrides: as for `compose`.
        objects: by setting, what is given as it is, see `nasgan.objects`.

    Raises:
        ConfigError: as `compose`.
    """
    whole = composed(verb, overrides)
    with read_write(whole), open_dict(whole):
        for name, given in (objects or {}).items():
            node = described(given)
            if name == "dataset":
                node["suggested"] = whole.dataset.get("suggested")
            whole[name] = node
            whole.hydra.runtime.choices[name] = label_of(given)
    return settle(verb, whole)


def composed(verb: str, overrides: Sequence[str] = (), *, name: str | None = None) -> DictConfig:
    """The configuration of ``nasgan VERB OVERRIDES...`` as Hydra has it, its own part in it.

    Args:
        verb: as for `compose`.
        overrides: as on the command line.
        name: of the primary configuration, if it is not ``verb``.

    Raises:
        ConfigError: as `compose`.
    """
    register_plugin_configs()
    register_resolvers()
    undo = guard_hydra()
    try:
        with (
            explained(verb),
            hydra.initialize_config_dir(str(config_folder()), version_base=VERSION_BASE),
        ):
            config = hydra.compose(
                name or verb, overrides=with_homes(overrides), return_hydra_config=True
            )
    finally:
        undo()
    refuse_empty_paths(OmegaConf.to_container(config, resolve=False))
    return config


def settle(verb: str, whole: DictConfig) -> tuple[dict[str, Any], Path]:
    """What `compose_run` gives, of the composed configuration ``whole``.

    Raises:
        ConfigError: a value is missing or of a wrong type.
    """
    with explained(verb), _known_to_hydra(whole):
        folder = Path(str(whole.hydra.run.dir))
        with read_write(whole.hydra), open_dict(whole.hydra):
            whole.hydra.runtime.output_dir = str(folder.absolute())
        settings = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
        return resolved(verb, settings, whole.hydra), folder


@contextmanager
def explained(verb: str) -> Iterator[None]:
    """Raise what Hydra and OmegaConf find wrong as an error to act on."""
    try:
        yield
    except COMPOSITION_ERRORS as error:
        logging.getLogger(__name__).debug("composition failed", exc_info=error)
        raise explain(error, verb) from error


def single_valued(verb: str, overrides: Sequence[str]) -> list[str]:
    """``overrides`` without those of several values, which Hydra leaves out of a sweep's own part.

    Raises:
        ConfigError: one is malformed.
    """
    with explained(verb):
        return [
            override.input_line
            for override in OverridesParser.create().parse_overrides(with_homes(overrides))
            if not override.is_sweep_override() and override.input_line is not None
        ]


def sweep_jobs(settings: DictConfig, overrides: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep, in order.

    Args:
        settings: Hydra's own part of the sweep's configuration.
        overrides: as on the command line.

    Raises:
        ConfigError: there is none: a pattern matches nothing, or a range is empty.

    Returns:
        Nothing where they cannot be known before the sweep: a sweeper that is not Hydra's own finds
        them on its way, and Hydra refuses malformed ones itself.
    """
    if not str(settings.sweeper.get("_target_")).endswith(".BasicSweeper"):
        return []
    texts = [f"{key}={value}" for key, value in (settings.sweeper.params or {}).items()]
    try:
        with hydra.initialize_config_dir(str(config_folder()), version_base=VERSION_BASE):
            parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
            parsed = parser.parse_overrides([*texts, *overrides])
            task = [o for o in parsed if not _HYDRAS_OWN.match(o.get_key_element())]
            empty = [o for o in task if o.is_sweep_override() and not any(_values(o))]
            (jobs,) = BasicSweeper.split_arguments(task, None)
    except COMPOSITION_ERRORS:
        return []
    if empty:
        raise ConfigError(
            f"{empty[0].input_line} stands for no value, so the sweep has no job: see nasgan list "
            "for the options that a pattern can match"
        )
    return [tuple(job) for job in jobs]


def _values(override: Override) -> Iterator[bool]:
    return (True for _ in override.sweep_string_iterator())


@contextmanager
def _known_to_hydra(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:...}`` refer to Hydra's part of ``config``, as it does while a job runs."""
    known = HydraConfig.instance()
    before = known.cfg
    known.set_config(config)
    try:
        yield
    finally:
        known.cfg = before


def resolved(verb: str, settings: DictConfig, hydra_settings: Any) -> dict[str, Any]:
    """``settings`` as plain data: references resolved, nothing missing, checked.

    Args:
        verb: the verb.
        settings: the composed configuration without Hydra's own part ...
        hydra_settings: ... and that part, which knows the experiment's name.

    Raises:
        ConfigError: a value is missing or of a wrong type.
        OmegaConfBaseException: a reference leads nowhere (see `nasgan.cli.messages.explain`).
    """
    plain = OmegaConf.to_container(settings, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    config = strip_foreign(verb, {str(key): value for key, value in plain.items()})
    if verb in RUN_VERBS:
        config["experiment"] = experiment_name(hydra_settings)
    check_config(verb, config)
    if verb == "search":
        refuse_without_effect(config, hydra_settings.overrides.task)
    return settled_paths(config, hydra_settings.runtime.cwd)


def flags_last(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with the overrides first: flags may stand anywhere among them."""
    found, _ = get_args_parser().parse_known_intermixed_args(list(arguments))
    flags = list(arguments)
    for override in found.overrides:
        flags.remove(override)
    return [*found.overrides, *flags]


def with_homes(overrides: Sequence[str]) -> list[str]:
    """``overrides`` with quotes around paths that begin with ``~``, which Hydra wants there."""
    return [_with_homes(text) for text in overrides]


def _with_homes(text: str) -> str:
    if text.startswith(_FOR_HYDRA_ITSELF):
        return _AT_HOME.sub(lambda found: f"'{with_home(found[0])}'", text)
    return _AT_HOME.sub(r"'\g<0>'", text)


_MOST_NAMED = 4
# Of the final phase, beside its own evaluator.
_OF_THE_TRAINING = ("generator_steps", "eval_every", "keep")
# Not settings of the option itself.
_BESIDE = ("defaults", "suggested")


def overruled(settings: DictConfig, hydra_settings: Any) -> list[str]:
    """A sentence for each option of the command line that the experiment's settings change.

    A setting that is written by hand wins over an experiment; an option (``budget=unlimited``) is
    chosen first, and the experiment's settings are put into it.

    Args:
        settings: the composed configuration without Hydra's own part ...
        hydra_settings: ... and that part.
    """
    experiment = experiment_name(hydra_settings)
    if experiment is None:
        return []
    written = [text.lstrip("+~").partition("=") for text in hydra_settings.overrides.task]
    whole: Any = OmegaConf.to_container(settings, resolve=False)
    by_hand = {key for key, _, _ in written}
    composed = flat(whole)
    notes = []
    for group, _, name in written:
        own = _option(group, name)
        changed = {
            f"{group}.{key}": composed[f"{group}.{key}"]
            for key, value in own.items()
            if f"{group}.{key}" not in by_hand and composed.get(f"{group}.{key}", value) != value
        }
        if changed:
            notes.append(_sentence(f"{group}={name}", experiment, changed, own, group))
    return notes


def refuse_without_effect(config: Mapping[str, Any], written: Iterable[str]) -> None:
    """Refuse how the final training goes where it is written by hand and there is none.

    Args:
        config: of a search.
        written: the settings by hand, as on the command line.

    Raises:
        ConfigError: there is such a setting.
    """
    evaluator, trains = config["final"]["evaluator"], config["final"].get("top_k", 1) > 0
    if evaluator is None and trains:
        return
    instead = "final.evaluator stands for" if trains else "final.top_k=0 leaves out"
    by_hand = {text.lstrip("+~").partition("=")[0] for text in written}
    for name in _OF_THE_TRAINING:
        if f"final.{name}" in by_hand:
            takes = trains and isinstance(evaluator, Mapping) and name in evaluator
            told = f"set final.evaluator.{name}, or leave" if takes else "leave"
            raise ConfigError(
                f"final.{name} is of the final training, which {instead}: it would "
                f"have no effect; {told} it out"
            )


def _option(group: str, name: str) -> dict[str, Any]:
    """The settings of an option's file and of those it builds on; none if it is no option."""
    if "." in group or not name:
        return {}
    files = (folder.usable(group).get(f"{group}/{name}") for folder in config_folders())
    path = next(filter(None, files), None)
    node: Any = {} if path is None else OmegaConf.to_container(read_yaml(path))
    own: Mapping[str, Any] = node if isinstance(node, Mapping) else {}
    bases = [base for base in own.get("defaults", ()) if isinstance(base, str) and base != "_self_"]
    settings = [_option(group, base) for base in bases if base != name]
    settings.append(flat({key: value for key, value in own.items() if key not in _BESIDE}))
    return {key: value for one in settings for key, value in one.items()}


def _sentence(
    choice: str, experiment: str, changed: Mapping[str, Any], own: Mapping[str, Any], group: str
) -> str:
    named = [f"{key}={_text(value)}" for key, value in changed.items()]
    more = len(named) - _MOST_NAMED
    shown = ", ".join(named[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    first = next(iter(changed))
    wanted = _text(own[first.removeprefix(f"{group}.")])
    return (
        f"{choice}: the experiment {experiment} still sets {shown}; write {first}={wanted} to have "
        "the option's own value"
    )


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)
