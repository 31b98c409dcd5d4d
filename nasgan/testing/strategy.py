"""The conformance suite of search strategies: built-in ones and plugins run the same checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from nasgan.contracts import (
    Architecture,
    AskTellStrategy,
    Budget,
    Evaluation,
    SearchSpace,
    SearchStrategy,
    StepReport,
)
from nasgan.errors import BudgetExhausted, ConfigError, PluginError, quoted
from nasgan.pareto import dominates
from nasgan.state_files import not_plain
from nasgan.testing.expectations import expect, own_randomness_only, through_a_file
from nasgan.testing.toy_evaluator import require_valid
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import ToySpace

__all__ = ["check_strategy"]

_EVALUATORS = ("shared", "scratch")
# Training the supernet costs time here; trainings from scratch are only counted.
_BUDGETS = {
    "shared": Budget(architectures=16, generator_steps=24),
    "scratch": Budget(architectures=48, generator_steps=20_000),
}
# Shared weights score several candidates in one piece.
_TOGETHER = {"shared": 3, "scratch": 1}
_FINALISTS = 3
# Steps after which it shows whether a strategy trains the supernet.
_PROBED_STEPS = 3


def check_strategy(
    factory: Callable[[], SearchStrategy],
    *,
    evaluators: Sequence[str] | None = None,
    space: SearchSpace | None = None,
    max_steps: int = 1000,
    seed: int = 0,
) -> None:
    """Check that a strategy keeps the contract of `nasgan.contracts.SearchStrategy`.

    It runs on the CPU in seconds: in a space of tiny networks whose supernet is really trained, and
    whose architectures are scored by their distance to a known best one. A test of a plugin is one
    line::

        def test_conformance():
            check_strategy(lambda: MyStrategy(population=4))

    Args:
        factory: makes a new instance with the same settings each time; small ones, so that the
            search takes some dozen evaluations.
        evaluators: the kinds it works with, of ``shared`` (it trains the supernet, then scores
            with its weights) and ``scratch`` (every candidate is trained on its own). By default
            those that its `setup` accepts; a strategy that is no `AskTellStrategy` and trains the
            supernet itself is tried with ``shared`` alone.
        space: where it searches; a toy space by default.
        max_steps: a search that has not ended after this many calls of `step` counts as endless.
        seed: of the runs.

    Raises:
        AssertionError: a check failed; says what the strategy's author should change.
    """
    space = space or ToySpace()
    if evaluators is None:
        evaluators = _usable_evaluators(factory, space, max_steps, seed)
    expect(
        len(evaluators) > 0 and set(evaluators) <= set(_EVALUATORS),
        f"evaluators must be of {_EVALUATORS}, got {tuple(evaluators)}",
    )
    for kind in evaluators:
        case = _Case(factory, kind, space, max_steps, seed)
        _check_search(case)
        _check_small_budgets(case)
        if case.factory().many_objectives:
            _check_search(replace(case, several=True))


@dataclass(frozen=True)
class _Case:
    """One kind of run in which the strategy is tried."""

    factory: Callable[[], SearchStrategy]
    kind: str
    space: SearchSpace
    max_steps: int
    seed: int
    several: bool = False  # objectives


class _Session:
    """A strategy and its run in one process; `resumed` is the same in the next one."""

    def __init__(self, case: _Case, budget: Budget) -> None:
        self._case = case
        self._budget = budget
        self.run = ToyRun(
            case.space,
            budget,
            shared=case.kind == "shared",
            seed=case.seed,
            together=_TOGETHER[case.kind],
            several=case.several,
        )
        with own_randomness_only("`__init__` or `setup`"):
            self.strategy = case.factory()
            self.strategy.setup(self.run)

    def step(self) -> dict[str, Any] | None:
        """Do one step and check its report; None when the budget ended the search."""
        trace, before = self.run.trace, self.run.ledger.spent()
        begun, completed = len(trace.events), len(trace.completed)
        try:
            with own_randomness_only("`step`"):
                report = self.strategy.step()
        except BudgetExhausted:
            return None
        except PluginError as error:
            raise AssertionError(str(error)) from error
        expect(
            not trace.refused or self.strategy.finished,
            "the budget is spent and `step` goes on: let BudgetExhausted through",
        )
        spent = self.run.ledger.spent()
        expect(
            spent.generator_steps >= before.generator_steps
            and spent.architectures >= before.architectures,
            "`step` took charges back: only add to `run.ledger`",
        )
        paid = spent.architectures - before.architectures
        _check_report(report, trace.completed[completed:], paid)
        _check_options(self.run.space, report)
        return {
            "asked": trace.events[begun:],
            "evaluations": [_timeless(evaluation) for evaluation in report.evaluations],
            "values": dict(report.values),
            "options": {name: list(row) for name, row in report.options.items()},
            "spent": (spent.architectures, spent.generator_steps, spent.images),
            **self.answers(),
        }

    def answers(self) -> dict[str, Any]:
        """What the strategy says of its results, checked."""
        incumbent = self.strategy.incumbent()
        finalists = self.strategy.finalists(_FINALISTS)
        _check_finalists(self.run.space, incumbent, finalists)
        return {
            "incumbent": incumbent.id if incumbent is not None else None,
            "finalists": [architecture.id for architecture in finalists],
            "finished": self.strategy.finished,
        }

    def resumed(self) -> _Session:
        """A fresh instance that continues from this one's state, through a file."""
        with own_randomness_only("`state_dict`"):
            state = self.strategy.state_dict()
        complaint = not_plain(state, "state_dict()")
        expect(not complaint, complaint)
        stored = through_a_file({"run": self.run.state_dict(), "strategy": state})
        other = _Session(self._case, self._budget)
        other.run.load_state_dict(stored["run"])
        with own_randomness_only("`load_state_dict`"):
            other.strategy.load_state_dict(stored["strategy"])
        return other


def _usable_evaluators(
    factory: Callable[[], SearchStrategy], space: SearchSpace, max_steps: int, seed: int
) -> Sequence[str]:
    """The kinds that say something about a strategy: of what it uses, and does not refuse."""
    accepted: dict[str, _Session] = {}
    for kind in _EVALUATORS:
        with suppress(ConfigError):
            accepted[kind] = _Session(_Case(factory, kind, space, max_steps, seed), _BUDGETS[kind])
    shared = accepted.get("shared")
    if shared is not None and not isinstance(shared.strategy, AskTellStrategy):
        for _ in range(_PROBED_STEPS):
            if shared.strategy.finished or shared.step() is None:
                break
        if shared.run.has_shared_weights:
            # Training from scratch has another budget, which the supernet's would spend for long.
            return ("shared",)
    return tuple(accepted) or _EVALUATORS


def _check_search(case: _Case) -> None:
    """One whole search, repeated, and repeated with interruptions."""
    budget = _BUDGETS[case.kind]
    session = _session(case, budget)
    _check_start(session)
    expected = _drive(case, session, cuts=())
    _check_end(session)
    again = _drive(case, _session(case, budget), cuts=())
    _expect_same(
        again,
        expected,
        "two runs of one seed differ: draw random numbers from `self.run.rng(...)` only, and share "
        "nothing between instances",
    )
    # A hand-over after each step loses all that is not in the state; a single one also shows
    # what a loaded instance does wrong only later.
    count = len(expected)
    for cuts in (range(count), (count // 2,)):
        found = _drive(case, _session(case, budget), cuts=cuts)
        where = "each step" if len(cuts) > 1 else f"step {cuts[0]}"
        _expect_same(
            found,
            expected,
            f"a search that is saved and loaded before {where} goes on differently: whatever a "
            f"step changes must be in `state_dict` and come back by `load_state_dict`",
        )


def _check_small_budgets(case: _Case) -> None:
    """Budgets that end the search early, in the middle of something."""
    for limits in ({"architectures": 2}, {"generator_steps": 7}):
        budget = replace(_BUDGETS[case.kind], **limits)
        try:
            session = _Session(case, budget)
        except ConfigError:
            continue  # refusing a budget that is too small before any work is right too
        _drive(case, session, cuts=())
        for unit, limit in limits.items():
            spent = getattr(session.run.ledger.spent(), unit)
            expect(
                spent <= limit,
                f"spent {spent} {unit} of a budget of {limit}: ask `run.ledger.allow` before work",
            )
        answers = session.answers()
        expect(
            session.resumed().answers() == answers,
            "after the budget ended the search, a loaded state names other finalists",
        )


def _session(case: _Case, budget: Budget) -> _Session:
    try:
        return _Session(case, budget)
    except ConfigError as error:
        raise AssertionError(
            f"`setup` refuses evaluator={case.kind}: {error}; if that is meant, name the others in "
            f"check_strategy(..., evaluators=...)"
        ) from error


def _drive(case: _Case, session: _Session, *, cuts: Sequence[int]) -> list[dict[str, Any]]:
    """Step until the search ends; before the steps ``cuts`` a fresh instance takes over."""
    records: list[dict[str, Any]] = []
    while not session.strategy.finished:
        expect(
            len(records) < case.max_steps,
            f"the search has not ended after {case.max_steps} steps: set `finished`, or spend the "
            f"budget (work that neither the evaluator nor `run.shared_weights` does has to be "
            f"charged: `run.ledger.allow` before it, `run.ledger.charge` after)",
        )
        if len(records) in cuts:
            session = session.resumed()
        record = session.step()
        if record is None:
            records.append({"ended by the budget": True, **session.answers()})
            break
        records.append(record)
    return records


def _check_start(session: _Session) -> None:
    strategy = session.strategy
    expect(isinstance(strategy, SearchStrategy), "the factory must make a SearchStrategy")
    name = getattr(type(strategy), "name", None)
    expect(isinstance(name, str) and bool(name), "set the class attribute `name`")
    fidelity = session.run.evaluator.fidelity
    expect(
        not isinstance(strategy, AskTellStrategy)
        or fidelity == "shared"
        or fidelity in strategy.label,
        f"`label` is {quoted(strategy.label)} with evaluator={fidelity}, too: methods would share "
        "a row; add to `super().label`",
    )
    expect(not strategy.finished, "`finished` before the first step")
    expect(
        strategy.incumbent() is None and strategy.finalists(_FINALISTS) == [],
        "`incumbent` or `finalists` name an architecture before the first step: return None and []",
    )


def _check_end(session: _Session) -> None:
    """After a whole search there is a result, and the finalists are in order."""
    run, strategy = session.run, session.strategy
    spent = run.ledger.spent()
    expect(
        spent.architectures + spent.generator_steps + spent.images > 0,
        "the search spent nothing: work of the strategy's own has to be charged to `run.ledger`",
    )
    finalists = strategy.finalists(_FINALISTS)
    expect(bool(finalists), "the search ended without an incumbent: return what scored best")
    expect(strategy.finalists(0) == [], "`finalists(0)` must be empty")
    expect(strategy.finalists(1) == finalists[:1], "`finalists(1)` must be the first of more")
    # Scores of other weights and of smaller networks do not compare.
    full = [e for e in run.trace.completed[run.trace.present :] if e.stage is None]
    length = {e.architecture: e.generator_steps for e in full}
    known = [a for a in finalists if a in length]
    for architecture in known:
        expect(
            not run.scores.fails(architecture),
            f"the finalist {architecture.id} failed: evaluations with score None are no results",
        )
    if run.objective.others:
        _check_front(session, finalists)
        return
    for first, second in pairwise(known):
        scores = (run.scores(first, length[first]), run.scores(second, length[second]))
        expect(
            length[first] != length[second] or not run.objective.better(scores[1], scores[0]),
            f"`finalists` are not best first: {first.id} has the score {scores[0]}, {second.id} "
            f"{scores[1]} ({run.objective.direction} is better: compare `run.objective.reward`)",
        )


def _check_front(session: _Session, finalists: Sequence[Architecture]) -> None:
    """Of several objectives the finalists are of the front, the best in the first objective first.

    Those are held against each other alone that were trained equally long.
    """
    objective, front = session.run.objective, session.strategy.front()
    named = [evaluation.architecture for evaluation in front]
    expect(finalists == named[:_FINALISTS], "`finalists` are not the first of `front`")
    points = [objective.rewards(evaluation) for evaluation in front]
    expect(
        not any(dominates(a, b) for a in points for b in points),
        "`front` holds an evaluation that another of it beats in every objective: take "
        "`run.objective.front(evaluations)`",
    )
    expect(points[0][0] == max(points)[0], "`front` does not begin with the best in the first")


def _timeless(evaluation: Evaluation) -> dict[str, Any]:
    """What of an evaluation is the same each time."""
    cost = replace(evaluation.cost, device_seconds=0.0)
    return replace(evaluation, cost=cost).to_json()


def _check_report(report: object, completed: Sequence[object], paid: int) -> None:
    expect(isinstance(report, StepReport), f"`step` must return a StepReport, got {quoted(report)}")
    assert isinstance(report, StepReport)
    expect(isinstance(report.message, str), "StepReport.message must be a text")
    progress = report.progress
    expect(
        progress is None or 0 <= progress <= 1,
        f"StepReport.progress must be in [0, 1] or None, got {progress}",
    )
    for key, value in report.values.items():
        expect(
            type(value) in (int, float),
            f"StepReport.values[{key!r}] must be a plain number, got {type(value).__name__}",
        )
    for evaluation in completed:
        expect(
            evaluation in report.evaluations,
            "an evaluation ended in this step and is not in StepReport.evaluations: the history "
            "would lack it",
        )
    expect(
        len(report.evaluations) <= paid,
        "evaluations are reported that nobody paid for: charge Cost(architectures=1) for each",
    )


def _check_options(space: SearchSpace, report: StepReport) -> None:
    sizes = {decision.name: len(decision.options) for decision in space.decisions}
    for name, row in report.options.items():
        where = f"StepReport.options[{name!r}]"
        expect(
            sizes.get(name) == len(row),
            f"{where} must be a decision of the space, with one number for each of its options",
        )
        expect(
            all(type(p) in (int, float) and 0 <= p <= 1 for p in row),
            f"{where} must be plain numbers in [0, 1], got {list(row)}",
        )


def _check_finalists(
    space: SearchSpace, incumbent: Architecture | None, finalists: Sequence[Architecture]
) -> None:
    for architecture in finalists:
        require_valid(space, architecture, "`finalists` names")
    expect(
        len(finalists) <= _FINALISTS,
        f"`finalists({_FINALISTS})` gives {len(finalists)} architectures",
    )
    expect(len(set(finalists)) == len(finalists), "`finalists` names an architecture twice")
    expect(
        incumbent == next(iter(finalists), None),
        "`incumbent` is not the first of `finalists`: both mean the best architecture known",
    )


def _expect_same(
    found: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]], message: str
) -> None:
    for k, (a, b) in enumerate(zip(found, expected, strict=False)):
        differing = sorted(key for key in {*a, *b} if a.get(key) != b.get(key))
        expect(not differing, f"{message} (first difference in step {k}: {', '.join(differing)})")
    expect(len(found) == len(expected), f"{message} ({len(found)} steps, not {len(expected)})")
