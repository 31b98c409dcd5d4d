"""``nasgan simulate``: many searches on a table of trained architectures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from nasgan.cli.console import say, table
from nasgan.errors import ConfigError, UnknownNameError, quoted

if TYPE_CHECKING:
    from nasgan.engine.simulations import Simulations

__all__ = ["asked_of", "run", "settings_of"]

_ABOUT = """\
Runs searches on a table instead of training anything: each is charged what its trainings would have
cost, and judged by the table's mean over seeds. `random` is always among the strategies: trainings
of random architectures to the end. Without strategy= it is every strategy that can run on a table.
"""
_EXAMPLES = """\
examples:
  nasgan simulate table=cifar10-16-autogan-v1.npz out=simulated     every strategy that can
  nasgan simulate table=cifar10-16-autogan-v1.npz strategy=rl_scratch seeds=100 out=simulated
  nasgan simulate table=T.npz strategy=random_scratch,rl_scratch budget.generator_steps=60000 out=S
"""
_RANDOM = "random"
_ALONE = "_scratch"  # ends the name of a strategy's form without shared weights
_ENDS = ("brackets", "num_candidates")  # null: until the budget is spent
_TRAININGS = 100  # of full length, that the default budget pays for
_DEFAULTS = {
    "table": "???",
    "out": "???",
    "strategy": None,
    "seeds": 100,
    "objective": "fid",
    "workers": None,
    "budget": {
        "architectures": None,
        "generator_steps": None,
        "images": None,
        "device_seconds": None,
    },
}


def run(arguments: Sequence[str]) -> int:
    """Run the verb.

    Raises:
        NasganError: bad input.
    """
    parser = argparse.ArgumentParser(
        prog="nasgan simulate",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("settings", nargs="*", metavar="key=value", help=", ".join(_DEFAULTS))
    words = parser.parse_args(list(arguments)).settings
    return _simulate(settings_of(words))


def settings_of(words: Sequence[str]) -> dict[str, Any]:
    """The settings in ``words``, with their defaults.

    Raises:
        ConfigError: one is unknown, malformed or missing.
    """
    for word in words:
        key = word.partition("=")[0].partition(".")[0]
        if "=" not in word:
            raise ConfigError(f"nasgan simulate takes key=value, got {quoted(word)}")
        if key not in _DEFAULTS:
            raise UnknownNameError("setting of nasgan simulate", key, _DEFAULTS)
    given = OmegaConf.to_container(OmegaConf.from_dotlist([*words]))
    merged = OmegaConf.to_container(OmegaConf.merge(_DEFAULTS, given))
    assert isinstance(merged, dict)
    for key in ("table", "out"):
        if not merged[key] or merged[key] == "???":
            raise ConfigError(f"nasgan simulate needs {key}=...")
    unknown = sorted(set(merged["budget"]) - set(_DEFAULTS["budget"]))  # type: ignore[arg-type]
    if unknown:
        raise UnknownNameError("limit of budget", unknown[0], _DEFAULTS["budget"])  # type: ignore[arg-type]
    return {str(key): value for key, value in merged.items()}


def asked_of(settings: Mapping[str, Any]) -> Simulations:
    """What ``settings`` ask for, with the strategies composed for the table's lengths.

    Raises:
        NasganError: bad input.
    """
    from nasgan.engine.simulations import Simulations
    from nasgan.tabular.table import load_table

    steps = load_table(settings["table"]).steps
    budget = dict(settings["budget"])
    if all(limit is None for limit in budget.values()):
        budget["generator_steps"] = _TRAININGS * steps[-1]
    asked = Simulations(
        table=str(settings["table"]),
        strategies=_strategies(_names(settings["strategy"]), steps),
        seeds=int(settings["seeds"]),
        budget=budget,
        metric=str(settings["objective"]),
        baseline=_RANDOM,
    )
    return asked if settings["strategy"] is not None else _with_all(asked, steps)


def _names(given: str | None) -> list[str]:
    return [name.strip() for name in str(given or "").split(",") if name.strip()]


def _with_all(asked: Simulations, steps: Sequence[int]) -> Simulations:
    """``asked`` with every strategy that can run on its table; the others are told."""
    from nasgan.cli.config_options import options
    from nasgan.engine.simulations import why_not

    known = [option.name for option in options("strategy") if option.name != _RANDOM]
    # With shared weights it is another search, and on a table the same.
    names = [name for name in known if f"{name}{_ALONE}" not in known]
    nodes = _strategies(names, steps)
    reasons = {name: why_not(asked, name, nodes[name]) for name in names}
    say(*(f"left out: {name}: {why}" for name, why in reasons.items() if why))
    return replace(asked, strategies={k: v for k, v in nodes.items() if not reasons.get(k)})


def _simulate(settings: Mapping[str, Any]) -> int:
    from nasgan.engine.simulations import run_simulations
    from nasgan.leaderboard.searches import summary_of
    from nasgan.machine import usable_cores
    from nasgan.report.simulated import cells_of, heads_of, sentence, write_summary
    from nasgan.runs.simulations import SEARCHES_FILE, SimulationFile

    asked = asked_of(settings)
    out = Path(str(settings["out"])).expanduser()
    workers = usable_cores() if settings["workers"] is None else int(settings["workers"])
    made_so_far = run_simulations(asked, out, workers=workers)
    records = sorted(made_so_far, key=lambda record: (record["strategy"], record["seed"]))
    file = SimulationFile.open(out / SEARCHES_FILE)
    made = file.made
    found = summary_of(records, asked.metric, asked.baseline)
    cells = [cells_of(line, file) for line in found]
    say(*table([heads_of(asked.metric, asked.baseline), *cells]))
    say(
        sentence(write_summary(records, file)),
        f"best known in {made['table']}: {asked.metric} {made['best_known']:.4g}; judged scores "
        f"are of the {'exact table' if made['scores'] == 'exact' else 'surrogate'}",
        f"searches  {out}",
        f"summary   {out / 'summary.md'}",
        f"report    nasgan report runs={out}",
    )
    return 0


def _strategies(names: Sequence[str], steps: Sequence[int]) -> dict[str, dict[str, Any]]:
    """The nodes of the strategies, composed as a search composes them, for the table's lengths."""
    from nasgan.cli.compose import compose

    lengths = [
        f"dataset.suggested.candidate_steps={steps[-1]}",
        f"dataset.suggested.candidate_min_steps={steps[0]}",
    ]
    whole = ["strategy=random_scratch", *lengths, "strategy.halving_factor=null"]
    nodes = {_RANDOM: compose("search", whole)["strategy"]}
    for name in names:
        if name != _RANDOM:
            nodes[name] = compose("search", [f"strategy={name}", *lengths])["strategy"]
    return {name: _endless(node) for name, node in nodes.items()}


def _endless(node: dict[str, Any]) -> dict[str, Any]:
    """``node`` with the budget as its only end, where its strategy has another: equal budgets."""
    for setting in _ENDS:
        longer = {**node, setting: None}
        if setting in node and _is_valid(longer):
            return longer
    return node


def _is_valid(node: Mapping[str, Any]) -> bool:
    from nasgan.nodes import check_node

    try:
        check_node(node, where="strategy")
    except ConfigError:
        return False
    return True
