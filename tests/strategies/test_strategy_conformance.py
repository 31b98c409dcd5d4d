"""The built-in strategies pass the suite that plugins run, and the suite catches broken ones."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from nasgan.contracts import AskTellStrategy, Budget, Cost, Proposal, SearchStrategy, StepReport
from nasgan.errors import BudgetExhausted, ConfigError
from nasgan.testing import check_search_space, check_strategy
from nasgan.testing import strategy as suite
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import ToySpace
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_strategies.adversarial.strategy import AdversarialSearch
from nasgan_strategies.random.strategy import RandomSearch


def small_random_search():
    return RandomSearch(num_candidates=9, min_steps=2, max_steps=18)


@pytest.mark.parametrize("kind", ["shared", "scratch"])
def test_random_search_conforms(kind):
    check_strategy(small_random_search, evaluators=(kind,))


def test_random_search_conforms_with_brackets():
    check_strategy(
        lambda: RandomSearch(num_candidates=3, min_steps=2, max_steps=8, brackets=3),
        evaluators=("scratch",),
    )


def test_random_search_conforms_without_early_stopping_and_in_a_real_space():
    space = AutoGANSpace(
        image_size=16, generator_channels=4, discriminator_channels=4, latent_dim=4
    )
    check_strategy(
        lambda: RandomSearch(num_candidates=3, halving_factor=None),
        evaluators=("scratch",),
        space=space,
    )


def test_the_toy_space_is_a_search_space():
    check_search_space(ToySpace(spectral_norm=True))


class Sequential(AskTellStrategy):
    """A small correct strategy to break: some architectures from one stream, one after another."""

    name = "sequential"
    count = 8

    def ask(self):
        return Proposal(self.run.space.sample(self.run.rng("candidates")))

    @property
    def finished(self):
        return len(self.evaluations) >= self.count


class Endless(Sequential):
    @property
    def finished(self):
        return False


@pytest.mark.parametrize("strategy", [Sequential, Endless])
def test_a_strategy_with_or_without_a_plan_conforms(strategy):
    check_strategy(strategy)


class Unlabelled(Sequential):
    """Goes by one name, however its candidates are scored."""

    label = "mine"


class FreeWork(Endless):
    """Never evaluates, never spends, never ends."""

    def step(self):
        return StepReport("thinking")


class ForeignProposal(Sequential):
    def ask(self):
        space = AutoGANSpace(
            image_size=16, generator_channels=4, discriminator_channels=4, latent_dim=4
        )
        return Proposal(space.sample(self.run.rng("candidates")))


class Unseeded(Sequential):
    def __init__(self):
        super().__init__()
        self._own = np.random.default_rng()

    def ask(self):
        return Proposal(self.run.space.sample(self._own))


class OwnSeededGenerator(Sequential):
    """The same for one seed, but its position is not part of the state."""

    def __init__(self):
        super().__init__()
        self._own = np.random.default_rng(3)

    def ask(self):
        return Proposal(self.run.space.sample(self._own))


class GlobalNumpy(Sequential):
    def ask(self):
        np.random.random()
        return super().ask()


class GlobalTorch(Sequential):
    def ask(self):
        torch.rand(1)
        return super().ask()


class GlobalPython(Sequential):
    def setup(self, run):
        random.random()
        super().setup(run)


class ForgottenState(Sequential):
    """The position in its plan is in no checkpoint."""

    def __init__(self):
        super().__init__()
        self._count = 0

    def ask(self):
        self._count += 1
        rng = np.random.default_rng(self._count)
        return Proposal(self.run.space.sample(rng))


class LateForgottenState(Sequential):
    """Loses what matters many steps later, and only once."""

    def __init__(self):
        super().__init__()
        self._first = None

    def tell(self, evaluation):
        self._first = self._first or evaluation.architecture

    def ask(self):
        if len(self.evaluations) == self.count - 1 and self._first is not None:
            return Proposal(self._first)
        return super().ask()


class SharedBetweenInstances(Sequential):
    memory: list = []  # noqa: RUF012 - the fault under test

    def ask(self):
        self.memory.append(1)
        return Proposal(self.run.space.sample(np.random.default_rng(len(self.memory))))


class ObjectsInState(Sequential):
    def proposer_state(self):
        return {"evaluations": [e.architecture for e in self.evaluations]}


class NumpyInState(Sequential):
    def proposer_state(self):
        return {"temperature": np.float64(1.0)}


class SwallowsTheBudget(Endless):
    def step(self):
        try:
            return super().step()
        except BudgetExhausted:
            self._task = None
            return StepReport("carrying on")


class TakesChargesBack(Sequential):
    def step(self):
        report = super().step()
        if report.evaluations:
            self.run.ledger.charge(Cost(architectures=-2))
        return report


class UnpaidEvaluations(Sequential):
    def step(self):
        report = super().step()
        return StepReport(report.message, report.progress, report.evaluations * 2)


class HidesEvaluations(Sequential):
    def step(self):
        super().step()
        return StepReport("done something")


class ProgressInPercent(Sequential):
    def progress(self):
        return 100 * len(self.evaluations) / self.count


class WorstFirst(Sequential):
    def finalists(self, count):
        return list(reversed(super().finalists(100)))[:count]


class IgnoresTheDirection(Sequential):
    """Takes more for better, whatever the objective says."""

    def finalists(self, count):
        scored = [e for e in self.evaluations if e.score is not None]
        scored.sort(key=lambda e: -e.score)
        return list(dict.fromkeys(e.architecture for e in scored))[:count]


class RepeatsFinalists(Sequential):
    def finalists(self, count):
        return super().finalists(1) * count


class TooManyFinalists(Sequential):
    def finalists(self, count):
        return super().finalists(100)


class FailedFinalists(Sequential):
    """Ranks candidates without a score at the top."""

    count = 30

    def finalists(self, count):
        ranked = [e.architecture for e in reversed(self.ranking())]
        return ranked[:count]


class NamesAnIncumbentAtOnce(Sequential):
    def incumbent(self):
        return super().incumbent() or self.run.space.architecture([0, 0, 0, 0])


class NoResult(Sequential):
    def finalists(self, count):
        return []


class PlansLengthsForShared(Sequential):
    def ask(self):
        return Proposal(super().ask().architecture, 5)


class NeedsScratch(Sequential):
    def setup(self, run):
        if run.evaluator.needs_shared_weights:
            raise ConfigError("needs evaluator=scratch")
        super().setup(run)


@pytest.mark.parametrize(
    ("broken", "kind", "complaint"),
    [
        (FreeWork, "scratch", "has not ended after"),
        (Unlabelled, "scratch", "`label` is 'mine' with evaluator=scratch"),
        (ForeignProposal, "scratch", "no valid architecture"),
        (Unseeded, "scratch", "two runs of one seed differ"),
        (SharedBetweenInstances, "scratch", "two runs of one seed differ"),
        (OwnSeededGenerator, "scratch", "saved and loaded .* goes on differently"),
        (ForgottenState, "scratch", "saved and loaded .* goes on differently"),
        (LateForgottenState, "scratch", "saved and loaded .* goes on differently"),
        (GlobalNumpy, "scratch", "global generator of numpy"),
        (GlobalTorch, "shared", "global generator of torch"),
        (GlobalPython, "scratch", "global generator of python"),
        (ObjectsInState, "scratch", r"\['evaluations'\]\[0\] is a nasgan.architecture"),
        (NumpyInState, "scratch", "is a numpy.float64"),
        (SwallowsTheBudget, "scratch", "let BudgetExhausted through"),
        (SwallowsTheBudget, "shared", "let BudgetExhausted through"),
        (TakesChargesBack, "scratch", "took charges back"),
        (UnpaidEvaluations, "scratch", "nobody paid for"),
        (HidesEvaluations, "scratch", "not in StepReport.evaluations"),
        (ProgressInPercent, "scratch", r"progress must be in \[0, 1\]"),
        (WorstFirst, "scratch", "not best first"),
        (IgnoresTheDirection, "scratch", "not best first"),
        (RepeatsFinalists, "scratch", "names an architecture twice"),
        (TooManyFinalists, "scratch", "gives 4 architectures"),
        (FailedFinalists, "scratch", "failed: evaluations with score None"),
        (NamesAnIncumbentAtOnce, "scratch", "before the first step"),
        (NoResult, "scratch", "ended without an incumbent"),
        (PlansLengthsForShared, "shared", "leave it None"),
        (NeedsScratch, "shared", "evaluators="),
    ],
)
def test_a_broken_strategy_is_told_what_to_fix(broken, kind, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_strategy(broken, evaluators=(kind,), max_steps=200)


def test_a_strategy_that_needs_one_evaluator_says_so():
    check_strategy(NeedsScratch, evaluators=("scratch",))
    with pytest.raises(AssertionError, match="evaluators must be of"):
        check_strategy(NeedsScratch, evaluators=("table",))


def test_the_toy_scores_have_the_known_best():
    run = ToyRun(ToySpace(), Budget(), shared=False, seed=0)
    rng = run.rng("all")
    scored = {a: run.scores(a, 10) for a in (run.space.sample(rng) for _ in range(500))}
    assert len(scored) == run.space.size
    failed = {a for a, score in scored.items() if score is None}
    assert 0 < len(failed) < len(scored) / 3
    assert min(scored.keys() - failed, key=scored.get) == run.scores.best


def test_the_suite_runs_any_search_strategy_class():
    class Greedy(SearchStrategy):
        """Without the ask/tell base, and with a result of its own making."""

        name = "greedy"

        def __init__(self):
            self._steps = 0

        def step(self):
            self.run.ledger.allow("generator_steps", 1)
            self.run.ledger.charge(Cost(generator_steps=1))
            self._steps += 1
            return StepReport("a step", self._steps / 5, values={"loss": 0.5})

        @property
        def finished(self):
            return self._steps >= 5

        def incumbent(self):
            return self.run.space.architecture([0, 0, 0, 0]) if self._steps else None

        def state_dict(self):
            return {"steps": self._steps}

        def load_state_dict(self, state):
            self._steps = state["steps"]

    check_strategy(Greedy)


def kinds_tried(factory, monkeypatch):
    """The evaluators that the default check takes for a strategy."""
    tried = []
    monkeypatch.setattr(suite, "_check_search", lambda case: tried.append(case.kind))
    monkeypatch.setattr(suite, "_check_small_budgets", lambda case: None)
    check_strategy(factory)
    return tried


def test_the_default_check_takes_the_evaluators_that_a_strategy_uses(monkeypatch):
    assert kinds_tried(Sequential, monkeypatch) == ["shared", "scratch"]
    assert kinds_tried(NeedsScratch, monkeypatch) == ["scratch"]
    # By gradient: another evaluator changes nothing, and its budget is for trainings from scratch.
    assert kinds_tried(lambda: AdversarialSearch(generator_steps=None), monkeypatch) == ["shared"]


def test_a_strategy_with_a_step_of_its_own_that_trains_no_supernet_is_tried_with_both(monkeypatch):
    class OwnStep(SearchStrategy):
        name = "own_step"
        best = None
        finished = property(lambda self: self.best is not None)

        def step(self):
            self.run.ledger.allow("architectures", 1)
            task = self.run.evaluator.begin(Proposal(self.run.space.sample(self.run.rng("one"))))
            while task.results is None:
                task.advance()
            self.best = task.results[0].architecture
            return StepReport("scored", evaluations=tuple(task.results))

        def incumbent(self):
            return self.best

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    assert kinds_tried(OwnStep, monkeypatch) == ["shared", "scratch"]
