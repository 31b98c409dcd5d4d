"""The conformance suite of evaluators: built-in ones and plugins run the same checks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nasgan.contracts import Budget, Cost, Evaluation, Evaluator, Proposal, SearchSpace
from nasgan.errors import BudgetExhausted, PluginError, quoted
from nasgan.randomness import numpy_generator
from nasgan.state_files import not_plain
from nasgan.testing.expectations import expect, own_randomness_only, through_a_file
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import ToySpace

__all__ = ["check_evaluator"]

_CANDIDATES = 5
_SUPERNET_STEPS = 4
_COUNTED = ("architectures", "generator_steps", "images")


def check_evaluator(
    factory: Callable[[], Evaluator],
    *,
    space: SearchSpace | None = None,
    max_steps: int = 1000,
    seed: int = 0,
) -> None:
    """Check that an evaluator keeps the contract of `nasgan.contracts.Evaluator`.

    It scores a handful of architectures on a `ToyRun`, on the CPU in seconds: networks are tiny and
    really trained, images are noise. A test of a plugin is one line::

        def test_conformance():
            check_evaluator(lambda: MyEvaluator(steps=2, num_images=16))

    Args:
        factory: makes a new instance with the same settings each time; small ones: the toy run's
            harness scores 16 images.
        space: of the architectures; a toy space by default.
        max_steps: an evaluation that has not ended after this many calls of `advance` counts as
            endless.
        seed: of the runs.

    Raises:
        AssertionError: a check failed; says what the evaluator's author should change.
    """
    with tempfile.TemporaryDirectory() as folder:
        case = _Case(factory, space or ToySpace(), max_steps, seed, Path(folder))
        whole = _Session(case, Budget())
        expected = whole.drive()
        _check_what_it_did(whole, expected)
        _check_repetition(case, expected)
        _check_interruption(case, expected)
        _check_workers(case)
        _check_small_budgets(case, whole)


@dataclass(frozen=True)
class _Case:
    """How the evaluator is tried; each session has its own folder for files."""

    factory: Callable[[], Evaluator]
    space: SearchSpace
    max_steps: int
    seed: int
    folder: Path


class _Session:
    """An evaluator in its run; `resumed` is the same in the next process."""

    def __init__(self, case: _Case, budget: Budget, folder: Path | None = None) -> None:
        self._case = case
        self._budget = budget
        self._folder = folder or Path(tempfile.mkdtemp(dir=case.folder))
        with own_randomness_only("`__init__` or `setup`"):
            self.evaluator = case.factory()
            expect(isinstance(self.evaluator, Evaluator), "the factory must make an Evaluator")
            try:
                self.run = ToyRun(
                    case.space,
                    budget,
                    evaluator=self.evaluator,
                    seed=case.seed,
                    folder=self._folder,
                )
            except PluginError as error:
                raise AssertionError(str(error)) from error
        expect(
            getattr(self.evaluator, "run", None) is self.run,
            "`setup` does not keep the run: call `super().setup(run)`",
        )
        rng = numpy_generator(case.seed, "candidates")
        self.waiting = [Proposal(case.space.sample(rng)) for _ in range(_CANDIDATES)]

    def train_supernet(self) -> None:
        """As a strategy does before it scores with shared weights."""
        rng = numpy_generator(self._case.seed, "paths")
        if self.evaluator.needs_shared_weights:
            self.run.shared_weights.train(
                lambda: self.run.space.sample(rng), generator_steps=_SUPERNET_STEPS
            )

    @property
    def spent(self) -> Cost:
        """By the evaluator, without the supernet's training."""
        steps = _SUPERNET_STEPS if self.evaluator.needs_shared_weights else 0
        images = steps * self.run.trainer_settings.images_per_generator_step
        return self.run.ledger.spent() - Cost(generator_steps=steps, images=images)

    def drive(self, cuts: Collection[int] = ()) -> list[Evaluation]:
        """Score all candidates; before the pieces of work ``cuts`` the next process takes over."""
        self.train_supernet()
        made: list[Evaluation] = []
        session, pieces = self, 0
        while session.waiting or session.run.pool.under_way:
            expect(
                pieces < self._case.max_steps,
                f"{_CANDIDATES} candidates are not scored after {pieces} calls of `advance`: give "
                "`results` when there is nothing left to do",
            )
            session._submit()
            if pieces in cuts:
                session = session.resumed()
            made += session._advance()
            pieces += 1
        self.pieces, self.run, self.evaluator = pieces, session.run, session.evaluator
        return made

    def _submit(self) -> None:
        pool = self.run.pool
        with own_randomness_only("`begin`"):
            while self.waiting and pool.room(self.evaluator.together) > 0:
                pool.submit(self.waiting.pop(0))

    def _advance(self) -> list[Evaluation]:
        before = self._networks()
        try:
            with own_randomness_only("`advance` or `score`"):
                made = self.run.pool.advance()
        except PluginError as error:
            raise AssertionError(str(error)) from error
        after = self._networks()
        expect(
            before.keys() == after.keys()
            and all(torch.equal(value, after[name]) for name, value in before.items()),
            "scoring changes the supernet, which belongs to the run: work on copies "
            "(`self.run.networks(architecture, inherit=True)`, `copy.deepcopy`), and sample with "
            "`self.run.sample`",
        )
        return made

    def _networks(self) -> dict[str, torch.Tensor]:
        if not self.run.has_shared_weights:
            return {}
        state = self.run.shared_weights.supernet.state_dict()
        return {name: value.clone() for name, value in state.items()}

    def resumed(self) -> _Session:
        """A fresh instance that continues from this one's state, through a file."""
        with own_randomness_only("`state_dict`"):
            state = self.evaluator.state_dict()
        complaint = not_plain(state, "state_dict()")
        expect(not complaint, complaint)
        try:
            stored = through_a_file(self.run.state_dict())
        except PluginError as error:
            raise AssertionError(str(error)) from error
        other = _Session(self._case, self._budget, self._folder)
        other.waiting = list(self.waiting)
        with own_randomness_only("`load_state_dict`"):
            other.run.load_state_dict(stored)
        return other


def _check_what_it_did(session: _Session, made: list[Evaluation]) -> None:
    evaluator, run = session.evaluator, session.run
    expect(bool(made), "nothing was scored")
    for evaluation in made:
        expect(
            evaluation.fidelity == evaluator.fidelity,
            f"Evaluation.fidelity is {quoted(evaluation.fidelity)}: give `self.fidelity`",
        )
        expect(
            evaluation.score is None
            or evaluator.objective is not None
            or evaluation.metrics.get(run.final_objective.metric) == evaluation.score,
            "a score is not the run's objective: give the evaluator an objective = "
            "Objective(NAME, 'min') or Objective(NAME, 'max')",
        )
    expect(
        any(evaluation.score is not None for evaluation in made),
        f"every candidate failed: {quoted(made[0].failure)}",
    )
    paid, own = sum((evaluation.cost for evaluation in made), Cost()), session.spent
    for unit in _COUNTED:
        expect(
            getattr(paid, unit) == getattr(own, unit),
            f"the evaluations cost {getattr(paid, unit)} {unit} and the ledger was charged "
            f"{getattr(own, unit)}: `Evaluation.cost` and `run.ledger.charge` must agree",
        )


def _check_repetition(case: _Case, expected: list[Evaluation]) -> None:
    _expect_same(
        _Session(case, Budget()).drive(),
        expected,
        "two runs of one seed differ: draw random numbers from the run only (`self.run.rng`, "
        "`self.run.trainer`, `self.run.sample`), and share nothing between instances",
    )


def _check_interruption(case: _Case, expected: list[Evaluation]) -> None:
    """A hand-over before each piece loses all that is not in the state; one in the middle, too."""
    pieces = case.max_steps
    for cuts in (range(pieces), (1,)):
        _expect_same(
            _Session(case, Budget()).drive(cuts),
            expected,
            "evaluations that are saved and loaded in between go on differently: whatever they "
            "change must be in `state_dict` (of the task, of the evaluator, or in files under "
            "`run.folder` that it names), and come back by `load_state_dict`",
        )


def _check_workers(case: _Case) -> None:
    """What is asked of an evaluator that others may score for."""
    session = _Session(case, Budget())
    evaluator = session.evaluator
    proposal = session.waiting[0]
    expected = evaluator.expected_cost(proposal)
    expect(
        isinstance(expected, Cost) and expected.architectures == 1,
        f"`expected_cost` gives {quoted(expected)}: give a Cost(architectures=1, ...)",
    )
    if evaluator.needs_shared_weights:
        return
    (first, *_) = session.drive()
    for unit in _COUNTED:
        expect(
            getattr(first.cost, unit) <= getattr(expected, unit),
            f"a score costs {getattr(first.cost, unit)} {unit} and `expected_cost` says "
            f"{getattr(expected, unit)}: define it, so that workers never pass the budget",
        )
    kept = evaluator.kept(proposal.architecture)
    expect(json.loads(json.dumps(kept)) == kept, f"`kept` must give JSON data, got {quoted(kept)}")
    other = _Session(case, Budget()).evaluator
    other.adopt(proposal.architecture, kept)
    expect(
        other.kept(proposal.architecture) == kept,
        "`adopt` does not take over what another process `kept`",
    )


def _check_small_budgets(case: _Case, whole: _Session) -> None:
    """Budgets that end the search early, in the middle of something."""
    total = whole.run.ledger.spent()
    for unit in _COUNTED[:2]:
        limit = getattr(total, unit) - getattr(whole.spent, unit) // 2
        if getattr(whole.spent, unit) < 2:
            continue
        session = _Session(case, Budget(**{unit: limit}))
        try:
            session.drive()
        except BudgetExhausted:
            pass
        else:
            raise AssertionError(
                f"the evaluator goes on although the budget of {limit} {unit} is spent: ask "
                "`run.ledger.allow` before work, and let BudgetExhausted through"
            )
        used = getattr(session.run.ledger.spent(), unit)
        expect(
            used <= limit,
            f"spent {used} {unit} of a budget of {limit}: ask `run.ledger.allow` before work",
        )


def _expect_same(found: list[Evaluation], expected: list[Evaluation], message: str) -> None:
    expect(len(found) == len(expected), f"{message} ({len(found)} scores, not {len(expected)})")
    for a, b in zip(found, expected, strict=True):
        same = _without_time(a) == _without_time(b)
        expect(same, f"{message} (first difference: {a.architecture.id}, {a.score} or {b.score})")


def _without_time(evaluation: Evaluation) -> Any:
    return replace(evaluation, cost=replace(evaluation.cost, device_seconds=0.0)).to_json()
