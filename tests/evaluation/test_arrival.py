"""What evaluators and strategies give is checked where it arrives, here and in workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nasgan.contracts import (
    AskTellStrategy,
    Budget,
    Cost,
    Evaluation,
    EvaluationTask,
    Evaluator,
    Ledger,
    Proposal,
    StepReport,
)
from nasgan.errors import BudgetExhausted, PluginError
from nasgan.evaluation import InProcessPool
from nasgan.evaluation.arrival import checked_evaluation, checked_report
from nasgan.evaluation.executors import candidate
from nasgan.testing import check_strategy
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import ToySpace

SPACE = ToySpace()
ARCHITECTURE = SPACE.architecture([0, 1, 2, 1])
GOOD = Evaluation(ARCHITECTURE, {"fid": 3.0}, 3.0, "table", cost=Cost(architectures=1))
NAME = r"^evaluator a\.B: "


class Task(EvaluationTask):
    """Gives what it was made with."""

    def __init__(self, evaluator: FixedEvaluator, made: Any) -> None:
        self.evaluator, self.made, self.done = evaluator, made, False

    def advance(self) -> None:
        self.evaluator.ledger.allow("architectures", 1)
        if self.evaluator.charges:
            self.evaluator.ledger.charge(Cost(architectures=1))
        self.done = True

    @property
    def results(self) -> Any:
        return self.made if self.done else None

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


class FixedEvaluator(Evaluator):
    """Gives ``change`` of a good evaluation to whoever asks."""

    fidelity = "table"

    def __init__(
        self, ledger: Ledger, change: Callable[[Evaluation], Any], *, charges: bool = True
    ) -> None:
        self.ledger, self.change, self.charges = ledger, change, charges

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        made = [replace(GOOD, architecture=proposal.architecture) for proposal in proposals]
        return Task(self, [self.change(each) for each in made])


class Together(FixedEvaluator):
    together = 4

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        return Task(self, self.change(GOOD))


def changed(**fields: Any) -> Callable[[Evaluation], Evaluation]:
    return lambda made: replace(made, **fields)


def scored(change: Callable[[Evaluation], Any], **settings: Any) -> list[Evaluation]:
    """The evaluation as a strategy in this process hears it."""
    ledger = Ledger(Budget(architectures=2))
    pool = InProcessPool(FixedEvaluator(ledger, change, **settings), ledger)
    pool.submit(Proposal(ARCHITECTURE))
    return pool.advance()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, np.int64, np.uint8])
def test_numpy_scalars_become_plain_numbers(kind: Any) -> None:
    costs = Cost(np.int64(1), np.int32(2), np.int64(3), np.float32(0.5))  # type: ignore[arg-type]
    (made,) = scored(changed(score=kind(3), metrics={"fid": kind(3)}, cost=costs))
    plain = int if issubclass(kind, np.integer) else float
    assert (made.score, made.metrics) == (3, {"fid": 3})
    assert type(made.score) is type(made.metrics["fid"]) is plain
    assert made.cost == Cost(1, 2, 3, 0.5)
    assert [type(n) for n in made.cost.to_json().values()] == [int, int, int, float]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), np.float32("nan")])
@pytest.mark.parametrize("field", ["score", "metrics"])
def test_a_number_that_is_not_finite_is_a_failed_candidate_with_its_reason(
    field: str, number: float
) -> None:
    change = changed(score=number) if field == "score" else changed(metrics={"kid": number})
    (made,) = scored(change)
    name = "score" if field == "score" else "kid"
    assert (made.score, made.metrics) == (None, {})
    assert made.failure == f"its {name} is {float(number)}"


def test_a_failed_candidate_keeps_its_own_reason_and_one_without_gets_one() -> None:
    (made,) = scored(changed(score=float("nan"), failure="the table has a gap"))
    assert (made.score, made.failure) == (None, "the table has a gap")
    (made,) = scored(changed(score=None, metrics={}))
    assert made.failure == "it was given no score, and no reason"


def test_a_good_evaluation_arrives_as_it_is() -> None:
    assert scored(lambda made: made) == [GOOD]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (changed(score="3.0"), r"Evaluation\.score is '3.0' \(str\), not a number"),
        (changed(score=True), r"Evaluation\.score is True \(bool\)"),
        (changed(score=np.bool_(True)), r"Evaluation\.score is .*bool"),
        (changed(score=np.ones(1)), r"Evaluation\.score is .*\(ndarray\)"),
        (changed(score=3 + 0j), r"Evaluation\.score is .*\(complex\)"),
        (changed(metrics={"fid": "low"}), r"Evaluation\.metrics\['fid'\] is 'low'"),
        (changed(metrics={"fid": None}), r"Evaluation\.metrics\['fid'\] is None"),
        (changed(metrics=[3.0]), r"Evaluation\.metrics is \[3.0\] \(list\), not a mapping"),
        (changed(failure=None), r"Evaluation\.failure is None"),
        (changed(fidelity=3), r"Evaluation\.fidelity is 3"),
        (changed(generator_steps=2.5), r"Evaluation\.generator_steps is 2.5 .*whole number"),
        (changed(cost=None), r"Evaluation\.cost is None \(NoneType\), not a Cost"),
        (changed(cost=Cost()), r"Evaluation\.cost\.architectures is 0, .*no budget would end"),
        (changed(cost=Cost(1, -5)), r"Evaluation\.cost\.generator_steps is -5"),
        (
            changed(cost=Cost(1, device_seconds=float("nan"))),
            r"Evaluation\.cost\.device_seconds is nan",
        ),
        (
            changed(cost=Cost(1, images="many")),  # type: ignore[arg-type]
            r"Evaluation\.cost\.images is 'many'",
        ),
        (
            changed(architecture=SPACE.architecture([0, 0, 0, 0])),
            r"Evaluation\.architecture is .* was to be scored",
        ),
        (lambda made: 3.0, r"gave 3.0 \(float\), not an Evaluation"),
        (lambda made: made.to_json(), r"gave .* \(dict\), not an Evaluation"),
    ],
)
def test_what_is_no_evaluation_is_refused_with_plugin_and_field(
    change: Callable[[Evaluation], Any], complaint: str
) -> None:
    with pytest.raises(PluginError, match=NAME + complaint):
        checked_evaluation(change(GOOD), "evaluator a.B", ARCHITECTURE)
    with pytest.raises(PluginError, match=rf"^evaluator \w+\.FixedEvaluator: {complaint}"):
        scored(change)


def test_an_evaluation_that_nobody_charged_is_refused_also_after_a_resumption() -> None:
    with pytest.raises(PluginError, match=r"FixedEvaluator: .* not charged.*ledger\.charge"):
        scored(lambda made: made, charges=False)
    ledger = Ledger()
    evaluator = FixedEvaluator(ledger, lambda made: made)
    first = InProcessPool(evaluator, ledger)
    first.submit(Proposal(ARCHITECTURE))
    first.advance()
    second = InProcessPool(evaluator, ledger)
    second.load_state_dict(first.state_dict())
    second.submit(Proposal(ARCHITECTURE))
    evaluator.charges = False
    with pytest.raises(PluginError, match="not charged"):
        second.advance()


@pytest.mark.parametrize(("made", "count"), [([], 0), ([GOOD] * 3, 3)])
def test_several_scores_in_one_piece_are_counted(made: list[Evaluation], count: int) -> None:
    ledger = Ledger()
    pool = InProcessPool(Together(ledger, lambda good: made), ledger)
    pool.submit(Proposal(ARCHITECTURE))
    pool.submit(Proposal(ARCHITECTURE))
    with pytest.raises(PluginError, match=f"returned {count} evaluations of 2 proposals"):
        pool.advance()


def test_an_evaluator_that_scores_at_once_is_told_to_give_a_task() -> None:
    class AtOnce(FixedEvaluator):
        def begin(self, *proposals: Proposal) -> Any:
            return GOOD

    ledger = Ledger()
    with pytest.raises(PluginError, match=r"AtOnce: `begin` returned .* not an EvaluationTask"):
        InProcessPool(AtOnce(ledger, lambda made: made), ledger).submit(Proposal(ARCHITECTURE))


def test_a_workers_evaluation_is_checked_before_it_is_sent() -> None:
    ledger = Ledger()
    order = {"proposal": Proposal(ARCHITECTURE).to_json(), "kept": {}}
    order |= {"folder": None, "every_seconds": 60.0}
    unbounded = FixedEvaluator(ledger, changed(score=np.float32("inf")))
    made = candidate._scored(unbounded, ledger, order)
    assert made["evaluation"]["failure"] == "its score is inf"
    with pytest.raises(PluginError, match=r"Evaluation\.cost\.architectures is 0"):
        candidate._scored(FixedEvaluator(ledger, changed(cost=Cost())), ledger, order)


class Asking(AskTellStrategy):
    """Proposes what it is told to."""

    name = "asking"
    given: Any = None

    @property
    def finished(self) -> bool:
        return len(self.evaluations) == 3

    def ask(self) -> Any:
        return self.given


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (ARCHITECTURE, r"`ask` returned a Architecture: return Proposal\(architecture\), or None"),
        ([0, 1, 2, 1], r"`ask` returned a list: return Proposal"),
        (
            Proposal(ARCHITECTURE, np.int64(3)),  # type: ignore[arg-type]
            r"Proposal\.generator_steps is a int64: give an int",
        ),
    ],
)
def test_what_ask_returns_is_checked_and_the_strategy_told_what_to_return(
    monkeypatch: pytest.MonkeyPatch, given: Any, complaint: str
) -> None:
    monkeypatch.setattr(Asking, "given", given)
    strategy = Asking()
    strategy.setup(ToyRun(SPACE, Budget(architectures=3), shared=False, seed=0))
    with pytest.raises(PluginError, match=rf"strategy \w+\.Asking: {complaint}"):
        strategy.step()
    with pytest.raises(AssertionError, match=complaint):
        check_strategy(Asking, evaluators=("scratch",))


def test_a_strategys_report_is_held_to_the_same() -> None:
    run = ToyRun(SPACE, Budget(), shared=False, seed=0)
    giver = (Asking(), run.evaluator, run.objective)
    report = StepReport(
        "x",
        evaluations=(replace(GOOD, score=float("nan")),),
        values={"loss": np.float32(0.5), "count": np.int64(3)},  # type: ignore[dict-item]
        options={"layer1": [np.float64(0.25), 0.75]},
    )
    made = checked_report(report, *giver)
    assert made.evaluations[0].failure == "its score is nan"
    assert [type(v) for v in made.values.values()] == [float, int]
    assert [type(p) for p in made.options["layer1"]] == [float, float]
    with pytest.raises(PluginError, match=r"Asking: StepReport\.values\['loss'\] is 'low'"):
        checked_report(StepReport("x", values={"loss": "low"}), *giver)  # type: ignore[dict-item]
    with pytest.raises(PluginError, match=r"Asking: `step` returned None \(NoneType\)"):
        checked_report(None, *giver)


def test_the_end_of_the_budget_passes_through() -> None:
    ledger = Ledger(Budget(architectures=1))
    pool = InProcessPool(FixedEvaluator(ledger, lambda made: made), ledger)
    pool.submit(Proposal(ARCHITECTURE))
    assert pool.advance() == [GOOD]
    pool.submit(Proposal(ARCHITECTURE))
    with pytest.raises(BudgetExhausted):
        pool.advance()
