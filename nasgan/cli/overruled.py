"""What an experiment changes in options that were chosen by hand, to be said at the start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nasgan.cli.config_folders import config_folders, read_yaml
from nasgan.cli.resolvers import experiment_name
from nasgan.errors import ConfigError
from nasgan.run_settings import flat

__all__ = ["overruled", "refuse_without_effect"]

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
