"""``nasgan simulate``: many searches on a table of trained architectures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasgan.cli.console import say, table
from nasgan.cli.key_values import roots_of, run_reading
from nasgan.errors import ConfigError

if TYPE_CHECKING:
    from nasgan.contracts import SearchStrategy
    from nasgan.engine.simulations import Simulations

__all__ = ["asked_of", "run", "simulated"]

_RANDOM = "random"
_ALONE = "_scratch"  # ends the name of a strategy's form without shared weights
_ENDS = ("brackets", "num_candidates")  # null: until the budget is spent
_TRAININGS = 100  # of full length, that the default budget pays for


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.key_values.run_reading`."""
    return run_reading("simulate", _simulate, arguments)


def asked_of(
    settings: Mapping[str, Any], objects: Mapping[str, SearchStrategy] | None = None
) -> Simulations:
    """What ``settings`` ask for, with the strategies composed for the table's lengths.

    Args:
        settings: of the verb.
        objects: further strategies, by name.

    Raises:
        NasganError: bad input.
    """
    from nasgan.engine.simulations import Simulations
    from nasgan.tabular.table import load_table

    if objects and _RANDOM in objects:
        raise ConfigError(f"strategy: {_RANDOM} is what all are held against; set another `name`")
    steps = load_table(settings["table"]).steps
    budget = dict(settings["budget"])
    if all(limit is None for limit in budget.values()):
        budget["generator_steps"] = _TRAININGS * steps[-1]
    asked = Simulations(
        table=settings["table"],
        strategies=_strategies(roots_of(settings["strategy"] or []), steps) | dict(objects or {}),
        seeds=settings["seeds"],
        budget=budget,
        metric=settings["objective"],
        baseline=_RANDOM,
    )
    is_said = objects or settings["strategy"] is not None
    return asked if is_said else _with_all(asked, steps)


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


def simulated(asked: Simulations, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run the searches; their records, sorted by strategy and seed.

    Raises:
        NasganError: the table does not fit, or a file cannot be written.
    """
    from nasgan.engine.simulations import run_simulations
    from nasgan.machine import usable_cores

    workers = settings["workers"] or usable_cores()
    records = run_simulations(asked, Path(settings["out"]), workers=workers)
    return sorted(records, key=lambda record: (record["strategy"], record["seed"]))


def _simulate(settings: Mapping[str, Any]) -> int:
    from nasgan.leaderboard.searches import summary_of
    from nasgan.report.simulated import cells_of, heads_of, sentence, write_summary
    from nasgan.runs.simulations import SEARCHES_FILE, SimulationFile

    asked = asked_of(settings)
    records = simulated(asked, settings)
    out = Path(settings["out"])
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


def _strategies(names: Iterable[str], steps: Sequence[int]) -> dict[str, Any]:
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
