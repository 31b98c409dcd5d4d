"""What evaluators and strategies give, checked where it arrives: the one place for all of them."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from nasgan.contracts import (
    Architecture,
    Breakdown,
    Cost,
    Evaluation,
    EvaluationTask,
    Evaluator,
    Objective,
    Proposal,
    SearchStrategy,
    StepReport,
)
from nasgan.errors import ArchitectureError, ConfigError, PluginError, plugin_name
from nasgan.metrics.table import SIZES
from nasgan.registry import EVALUATORS, load_plugin, plugins

__all__ = [
    "begin_evaluation",
    "check_name_is_free",
    "check_objectives",
    "check_parent",
    "check_scores",
    "checked_evaluation",
    "checked_evaluations",
    "checked_report",
    "search_objective",
]

# What the final phase calls its scores.
_RESERVED = ("final",)


def search_objective(evaluator: Evaluator, configured: Objective) -> Objective:
    """What the scores of ``evaluator`` are of: its own objective, or the ``configured`` one.

    Its own one stands in the place of the first of several.

    Raises:
        ConfigError: it has an objective of its own, and does not give another that is configured.
        PluginError: it names itself or its objective wrongly.
    """
    giver = f"evaluator {plugin_name(evaluator)}"
    fidelity, own = getattr(evaluator, "fidelity", None), evaluator.objective
    if not isinstance(fidelity, str) or not fidelity.isidentifier():
        raise PluginError(
            f"{giver}: `fidelity` is {_shown(fidelity)}; name in one word how it scores: labels "
            "and histories hold it"
        )
    if own is None:
        return configured
    if not isinstance(own, Objective) or own.direction not in ("min", "max") or not own.metric:
        raise PluginError(
            f"{giver}: `objective` is {_shown(own)}; give Objective(NAME, 'min') or "
            "Objective(NAME, 'max'), or None where scores are of the run's objective"
        )
    others = [other.metric for other in configured.others]
    lacking = [name for name in others if name not in SIZES]
    if own.metric in others:
        raise ConfigError(
            f"objective: evaluator {plugin_name(evaluator)} calls its own score {own.metric}; "
            "leave that one out"
        )
    if lacking:
        raise ConfigError(
            f"objective: evaluator {plugin_name(evaluator)} gives {own.metric} only, and not "
            f"{', '.join(lacking)}; beside its score it can be searched by {' and '.join(SIZES)}"
        )
    return replace(own, others=configured.others)


def check_name_is_free(evaluator: Evaluator) -> None:
    """Refuse an evaluator under the name of another.

    Raises:
        PluginError: the name is that of an evaluator that is registered, or of a final training.
    """
    fidelity = evaluator.fidelity
    owners = [plugin for plugin in plugins(EVALUATORS) if plugin.name == fidelity]
    if fidelity not in _RESERVED and not owners:
        return
    if owners and type(evaluator) is load_plugin(EVALUATORS, fidelity):
        return
    owner = owners[0].distribution if owners else "nasgan"
    raise PluginError(
        f"evaluator {plugin_name(evaluator)}: `fidelity` is {fidelity!r}, the name of an evaluator "
        f"of {owner}; labels and histories would mix their scores: give it a name of its own"
    )


def check_objectives(strategy: SearchStrategy, objective: Objective) -> None:
    """Refuse several objectives for a strategy that searches by one.

    Raises:
        ConfigError: it does; says what to do.
    """
    if objective.others and not strategy.many_objectives:
        names = [objective.metric, *(other.metric for other in objective.others)]
        raise ConfigError(
            f"objective: strategy {strategy.name!r} searches by one objective, and there are "
            f"{len(names)} ({', '.join(names)}); set objective={names[0]}, or take a strategy that "
            "searches by several (strategy=random)"
        )


def check_parent(evaluator: Evaluator, proposal: Proposal) -> None:
    """Refuse a parent that cannot be one, before anything is computed.

    Raises:
        ConfigError: the evaluator trains nothing from a parent's weights, or the parent is no
            architecture of the run's space.
        PluginError: it is no architecture at all.
    """
    parent: object = proposal.parent
    if parent is None:
        return
    if not isinstance(parent, Architecture):
        raise PluginError(f"Proposal.parent is {_shown(parent)}: give an Architecture, or None")
    if not evaluator.inherits_weights:
        raise ConfigError(
            f"Proposal.parent: evaluator {plugin_name(evaluator)} begins no training with a "
            "parent's weights; name parents only where `run.evaluator.inherits_weights` "
            "(evaluator=scratch)"
        )
    try:
        evaluator.run.space.validate(parent)
    except ArchitectureError as error:
        raise ConfigError(f"Proposal.parent: {error}") from error


def check_parent_is_kept(proposal: Proposal, kept: Container[str]) -> None:
    """Refuse a parent whose weights nobody has.

    Args:
        proposal: names the parent, if any.
        kept: the ids of those that there are weights of.

    Raises:
        ConfigError: it is not among them.
    """
    if proposal.parent is not None and proposal.parent.id not in kept:
        raise ConfigError(
            f"Proposal.parent: there are no trained weights of architecture "
            f"{proposal.parent.id}: a parent must have a score of this search, made with "
            "Proposal(..., keep=True)"
        )


def _check_stage(evaluator: Evaluator, proposal: Proposal) -> None:
    if proposal.stage is not None and not evaluator.scores_stages:
        raise ConfigError(
            f"Proposal.stage: evaluator {plugin_name(evaluator)} scores whole networks; name "
            "stages only where `run.evaluator.scores_stages` (evaluator=shared)"
        )


def begin_evaluation(evaluator: Evaluator, *proposals: Proposal) -> EvaluationTask:
    """The evaluation of ``proposals``, begun by ``evaluator``.

    Raises:
        ConfigError: the evaluator cannot score it.
        PluginError: it gave something else.
    """
    for proposal in proposals:
        check_parent(evaluator, proposal)
        _check_stage(evaluator, proposal)
    task = evaluator.begin(*proposals)
    if not isinstance(task, EvaluationTask):
        giver = f"evaluator {plugin_name(evaluator)}"
        raise PluginError(f"{giver}: `begin` returned {_shown(task)}, not an EvaluationTask")
    return task


def checked_evaluations(
    made: Sequence[object], evaluator: Evaluator, proposals: Sequence[Proposal]
) -> list[Evaluation]:
    """The `EvaluationTask.results` of ``proposals``, checked, each with the parent asked for.

    Raises:
        PluginError: they are none, or more than were asked for; or as `checked_evaluation`.
    """
    giver = f"evaluator {plugin_name(evaluator)}"
    if not 0 < len(made) <= len(proposals):
        raise PluginError(
            f"{giver}: its task returned {len(made)} evaluations of {len(proposals)} proposals: "
            "give at least one in `results`, or raise BudgetExhausted"
        )
    return [
        replace(
            checked_evaluation(each, giver, proposal.architecture),
            parent=None if proposal.parent is None else proposal.parent.id,
        )
        for each, proposal in zip(made, proposals, strict=False)
    ]


def checked_evaluation(
    made: object, giver: str, architecture: Architecture | None = None
) -> Evaluation:
    """An evaluation of plain numbers; one with a number that is not finite has failed.

    Args:
        made: what arrived.
        giver: kind and class of the plugin that gave it, see `nasgan.errors.plugin_name`.
        architecture: that was to be scored; None where that is not known.

    Raises:
        PluginError: it is no evaluation, of another architecture, holds something other than
            numbers, or charges nothing; names the plugin and the field.
    """
    if not isinstance(made, Evaluation):
        raise PluginError(f"{giver}: gave {_shown(made)}, not an Evaluation")
    if architecture not in (None, made.architecture):
        raise PluginError(
            f"{giver}: Evaluation.architecture is {_shown(made.architecture)}, and "
            f"{_shown(architecture)} was to be scored"
        )
    for field in ("fidelity", "failure"):
        if not isinstance(getattr(made, field), str):
            raise PluginError(
                f"{giver}: Evaluation.{field} is {_shown(getattr(made, field))}, not a text"
            )
    if not isinstance(made.breakdown, Breakdown | None):
        found = _shown(made.breakdown)
        raise PluginError(f"{giver}: Evaluation.breakdown is {found}, not a Breakdown or None")
    if not isinstance(made.metrics, Mapping):
        raise PluginError(f"{giver}: Evaluation.metrics is {_shown(made.metrics)}, not a mapping")
    made = replace(
        made,
        metrics={k: _number(v, giver, f"metrics[{k!r}]") for k, v in made.metrics.items()},
        score=None if made.score is None else _number(made.score, giver, "score"),
        generator_steps=_count(made.generator_steps, giver, "generator_steps"),
        stage=None if made.stage is None else _count(made.stage, giver, "stage"),
        cost=_checked_cost(made.cost, giver),
    )
    return _failed_unless_finite(made)


def _checked_cost(cost: object, giver: str) -> Cost:
    if not isinstance(cost, Cost):
        raise PluginError(f"{giver}: Evaluation.cost is {_shown(cost)}, not a Cost")
    checked = Cost(
        architectures=_count(cost.architectures, giver, "cost.architectures"),
        generator_steps=_count(cost.generator_steps, giver, "cost.generator_steps"),
        images=_count(cost.images, giver, "cost.images"),
        device_seconds=_number(cost.device_seconds, giver, "cost.device_seconds"),
    )
    for unit, amount in asdict(checked).items():
        if not 0 <= amount < math.inf:
            raise PluginError(f"{giver}: Evaluation.cost.{unit} is {amount}: it must be 0 or more")
    if checked.architectures < 1:
        raise PluginError(
            f"{giver}: Evaluation.cost.architectures is 0, so that no budget would end the search: "
            "give each evaluation a cost=Cost(architectures=1, ...), and charge it to the ledger"
        )
    return checked


def _failed_unless_finite(made: Evaluation) -> Evaluation:
    """``made``, as a failed candidate if a number is not finite or the score is missing."""
    numbers = {"score": made.score, **made.metrics}
    wrong = [
        f"its {name} is {value}"
        for name, value in numbers.items()
        if value is not None and not math.isfinite(value)
    ]
    if not wrong and made.score is not None:
        return made
    reason = made.failure or "; ".join(wrong) or "it was given no score, and no reason"
    return replace(made, metrics={}, score=None, failure=reason)


def checked_report(
    report: object, strategy: SearchStrategy, evaluator: Evaluator, objective: Objective
) -> StepReport:
    """A strategy's report of a step, of plain numbers and checked evaluations.

    Args:
        report: what `step` returned.
        strategy: that gave it.
        evaluator: that has made the evaluations.
        objective: of the search.

    Raises:
        PluginError: it is none, or holds something else; names the strategy and the field.
    """
    giver = f"strategy {plugin_name(strategy)}"
    if not isinstance(report, StepReport):
        raise PluginError(f"{giver}: `step` returned {_shown(report)}, not a StepReport")
    evaluations = tuple(checked_evaluation(made, giver) for made in report.evaluations)
    for made in evaluations:
        check_scores(made, evaluator, objective)
    return replace(
        report,
        evaluations=evaluations,
        values={
            name: _number(value, giver, f"values[{name!r}]", of="StepReport")
            for name, value in report.values.items()
        },
        options={
            name: [_number(p, giver, f"options[{name!r}]", of="StepReport") for p in row]
            for name, row in report.options.items()
        },
    )


def check_scores(made: Evaluation, evaluator: Evaluator, objective: Objective) -> None:
    """Hold the scores of an evaluation against the objectives.

    Raises:
        PluginError: a score under the objective's name is something else, or the values of further
            objectives are lacking.
    """
    named = made.metrics.get(objective.metric)
    if evaluator.objective is None and made.score != named:
        raise PluginError(
            f"evaluator {plugin_name(evaluator)}: Evaluation.score is {made.score}, and "
            f"Evaluation.metrics[{objective.metric!r}], the run's objective, is {named}: a score "
            "of another kind needs a name of its own; give the evaluator an "
            "objective = Objective(NAME, 'min') or Objective(NAME, 'max')"
        )
    lacking = [other.metric for other in objective.others if other.metric not in made.metrics]
    if made.score is not None and lacking:
        raise PluginError(
            f"evaluator {plugin_name(evaluator)}: Evaluation.metrics lacks {', '.join(lacking)}, "
            "which the search has among its objectives"
        )


def _number(value: object, giver: str, field: str, *, of: str = "Evaluation") -> float:
    """``value``, or the plain number in a numpy scalar."""
    plain = value.item() if isinstance(value, np.generic) else value
    if type(plain) in (int, float):
        assert isinstance(plain, int | float)
        return plain
    raise PluginError(f"{giver}: {of}.{field} is {_shown(value)}, not a number: give float(...)")


def _count(value: object, giver: str, field: str) -> int:
    number = _number(value, giver, field)
    if isinstance(number, int):
        return number
    raise PluginError(f"{giver}: Evaluation.{field} is {_shown(value)}, not a whole number")


def _shown(value: object) -> str:
    return f"{reprlib.repr(value)} ({type(value).__name__})"
