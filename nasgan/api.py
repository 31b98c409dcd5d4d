"""Runs from Python: the same as the command line's `search`, `train` and `simulate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from nasgan.architecture import Architecture
from nasgan.cli.compose import compose_run
from nasgan.cli.key_values import settings_of
from nasgan.cli.simulate import asked_of, simulated
from nasgan.contracts import SearchStrategy
from nasgan.engine import LoadedRun, bind, load, run
from nasgan.errors import ConfigError, NasganError
from nasgan.leaderboard.study import Study
from nasgan.objects import is_plain, label_of, words_of

__all__ = ["search", "simulate", "train"]

_OBJECTS = ("dataset", "evaluator", "logger", "search_space", "strategy")
_CHANGED_BY_RUNS = ("evaluator", "search_space", "strategy")


def search(*overrides: str, run_dir: str | Path | None = None, **settings: Any) -> LoadedRun:
    """Run ``nasgan search OVERRIDES...``; resumes it, or just loads it if it is finished.

    Args:
        overrides: as on the command line: ``"strategy=random"``, ``"trainer.n_critic=2"``.
        run_dir: the run's folder; by default the one that the command line would take.
        settings: the same as arguments: ``seed=1``, ``budget={"architectures": 20}``. As
            ``strategy``, ``search_space``, ``evaluator``, ``dataset`` (a `nasgan.data.Splits`) and
            ``logger`` objects are taken, too: no package, entry point or YAML is needed. The record
            then says what they are, and whether an installed package defines them; the same call
            with the same code and arguments resumes. Strategy, space and evaluator are copied: the
            run changes none of them. Their arguments are recorded: plain values, or others that a
            property ``settings`` of the class gives in plain values by their names.

    Raises:
        NasganError: bad input, or the run failed; the message gives its reason.
    """
    return _run("search", overrides, run_dir, settings)


def train(
    architecture: str | Path | Architecture | Sequence[Any],
    *overrides: str,
    run_dir: str | Path | None = None,
    **settings: Any,
) -> LoadedRun:
    """Run ``nasgan train architecture=ARCHITECTURE OVERRIDES...``; see `search`.

    Args:
        architecture: a registered name, the path of an architecture file or of a run, an
            architecture, or (with a search space) an encoding.
        overrides: as on the command line.
        run_dir: as for `search`.
        settings: as for `search`.

    Raises:
        NasganError: as `search`.
    """
    return _run("train", overrides, run_dir, {"architecture": architecture, **settings})


def simulate(*overrides: str, **settings: Any) -> Study:
    """Run ``nasgan simulate OVERRIDES...``: many searches on a table of trained architectures.

    Args:
        overrides: as on the command line: ``"table=cifar10-16.npz"``, ``"seeds=10"``.
        settings: the same as arguments: ``out="simulated"``, ``budget={"generator_steps": 60000}``.
            ``strategy`` takes a name or a strategy, or several; with a strategy among them, of
            which each search gets a copy, all searches run in this process.

    Returns:
        The study of ``out``.

    Raises:
        NasganError: bad input.
    """
    given = settings.pop("strategy", None) or []
    several = given if isinstance(given, list | tuple) else [given]
    given_objects = [one for one in several if isinstance(one, SearchStrategy)]
    names = [one for one in several if not isinstance(one, SearchStrategy)]
    labels = Counter([*map(label_of, given_objects), *dict.fromkeys(names)])
    if labels.total() > len(labels):
        twice = labels.most_common(1)[0][0]
        raise ConfigError(f"strategy: two are called {twice}; set the `name` of one of them")
    objects = {label_of(one): one for one in given_objects}
    words = words_of(settings | ({"strategy": names} if names else {}))
    config = settings_of("simulate", [*words, *overrides])
    simulated(asked_of(config, objects), config)
    return Study(config["out"])


def _run(
    verb: str,
    overrides: Sequence[str],
    run_dir: str | Path | None,
    settings: Mapping[str, Any],
) -> LoadedRun:
    objects = {
        name: _copied(name, value)
        for name, value in settings.items()
        if not is_plain(value) and not isinstance(value, Mapping | list | tuple)
    }
    for name in objects.keys() - {*_OBJECTS, "architecture"}:
        kind = type(objects[name]).__name__
        raise ConfigError(
            f"{name}= takes plain values, got a {kind}; objects are taken as {', '.join(_OBJECTS)}"
        )
    words = words_of({name: value for name, value in settings.items() if name not in objects})
    config, folder = compose_run(verb, [*words, *overrides], objects)
    outcome = run(bind(config, objects), folder if run_dir is None else Path(run_dir).expanduser())
    if outcome.status == "failed":
        raise NasganError(" ".join(outcome.summary_lines))
    return load(outcome.run_dir, search_space=objects.get("search_space"))


def _copied(name: str, value: Any) -> Any:
    """``value``, or a copy of what a run would change; a logger stays the caller's own."""
    if name not in _CHANGED_BY_RUNS:
        return value
    try:
        return deepcopy(value)
    except Exception as error:  # whatever its classes raise
        raise ConfigError(
            f"{name}: the run works with a copy, and this {type(value).__name__} cannot be copied "
            f"({type(error).__name__}: {error}): make what it holds of files, locks or the like in "
            "its setup()"
        ) from error
