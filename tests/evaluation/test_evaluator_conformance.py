"""What `check_evaluator` accepts and refuses; the built-in evaluators pass it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
import torch

from nasgan.contracts import (
    Cost,
    Evaluation,
    EvaluationTask,
    Evaluator,
    Objective,
    Proposal,
    SimpleEvaluator,
)
from nasgan.evaluation import ScratchEvaluator, SharedEvaluator
from nasgan.testing import check_evaluator


@pytest.mark.parametrize(
    "make",
    [
        lambda: SharedEvaluator(num_images=16),
        lambda: SharedEvaluator(num_images=16, together=2, latents="fresh", metrics="all"),
        lambda: ScratchEvaluator(generator_steps=3, num_images=16),
    ],
    ids=["shared", "shared together", "scratch"],
)
def test_the_built_in_evaluators_keep_the_contract(make: Callable[[], Evaluator]) -> None:
    check_evaluator(make)


class Fine(SimpleEvaluator):
    """A short training, scored by the objective."""

    fidelity = "fine"

    def score(self, proposal: Proposal) -> float | Mapping[str, float]:
        name = proposal.architecture.id
        trainer = self.run.trainer(self.run.networks(proposal.architecture), name=name)
        trainer.train(generator_steps=2)
        return self.run.harness.evaluate(self.run.sample(trainer.evaluated_generator))

    def expected_cost(self, proposal: Proposal) -> Cost:
        images = 2 * self.run.trainer_settings.images_per_generator_step + 16
        return Cost(architectures=1, generator_steps=2, images=images)


class Inherits(SimpleEvaluator):
    """Scores inherited weights after some steps of their own."""

    fidelity = "inherits"
    needs_shared_weights = True

    def score(self, proposal: Proposal) -> float | Mapping[str, float]:
        pair = self.run.networks(proposal.architecture, inherit=True)
        trainer = self.run.trainer(pair, name=proposal.architecture.id)
        trainer.train(generator_steps=1)
        return self.run.harness.evaluate(self.run.sample(trainer.evaluated_generator))


class Jacobian(SimpleEvaluator):
    """A zero-cost proxy: how far the images of untrained networks lie apart."""

    fidelity = "jacobian"
    objective = Objective("spread", "max")

    def score(self, proposal: Proposal) -> float | Mapping[str, float]:
        generator = self.run.networks(proposal.architecture).generator
        images = self.run.sample(generator)(8).images.double().flatten(1)
        return float(torch.pdist(images).mean())

    def expected_cost(self, proposal: Proposal) -> Cost:
        return Cost(architectures=1, images=8)


@pytest.mark.parametrize("kind", [Fine, Inherits, Jacobian])
def test_small_evaluators_keep_the_contract(kind: type[Evaluator]) -> None:
    check_evaluator(kind)


class Counting(Fine):
    """Its scores depend on what it scored before, and the state does not hold it."""

    def __init__(self) -> None:
        self.count = 0

    def score(self, proposal: Proposal) -> float:
        self.count += 1
        return float(self.count)


class Drawing(Fine):
    def score(self, proposal: Proposal) -> float:
        return random.random()


class Remembering(Fine):
    """Shares a counter between its instances."""

    calls: ClassVar[list[int]] = []

    def score(self, proposal: Proposal) -> float:
        self.calls.append(1)
        return float(len(self.calls))


class Meddling(Inherits):
    def score(self, proposal: Proposal) -> float:
        generator = self.run.shared_weights.supernet.generator
        next(generator.parameters()).data.add_(1.0)
        return 1.0


class Cheap(Fine):
    """Trains, and tells workers nothing of it."""

    def expected_cost(self, proposal: Proposal) -> Cost:
        return Cost(architectures=1)


class Unnamed(Fine):
    fidelity = "two words"


class Impostor(Fine):
    fidelity = "scratch"


class Final(Fine):
    fidelity = "final"


class Forgetful(Fine):
    def setup(self, run: Any) -> None:
        """Does not keep it."""


class Failing(Fine):
    def score(self, proposal: Proposal) -> float:
        return float("nan")


class Odd(Evaluator):
    """Charges more than it says."""

    fidelity = "odd"

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        return OddTask(self, proposals[0])


class OddTask(EvaluationTask):
    def __init__(self, evaluator: Odd, proposal: Proposal) -> None:
        self.evaluator, self.proposal = evaluator, proposal
        self.made: tuple[Evaluation, ...] | None = None

    def advance(self) -> None:
        self.evaluator.run.ledger.allow("architectures", 1)
        self.evaluator.run.ledger.charge(Cost(architectures=1, images=3))
        cost = Cost(architectures=1)
        self.made = (Evaluation(self.proposal.architecture, {"fid": 1.0}, 1.0, "odd", cost=cost),)

    @property
    def results(self) -> tuple[Evaluation, ...] | None:
        return self.made

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


class Boundless(Odd):
    """Never asks whether the budget is spent."""

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        return BoundlessTask(self, proposals[0])


class BoundlessTask(OddTask):
    def advance(self) -> None:
        cost = Cost(architectures=1)
        self.evaluator.run.ledger.charge(cost)
        self.made = (Evaluation(self.proposal.architecture, {"fid": 1.0}, 1.0, "odd", cost=cost),)


class Endless(Odd):
    def begin(self, *proposals: Proposal) -> EvaluationTask:
        return EndlessTask(self, proposals[0])


class EndlessTask(OddTask):
    def advance(self) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (Counting, "must be in `state_dict`"),
        (Drawing, "drew from the global generator of python's random"),
        (Remembering, "two runs of one seed differ"),
        (Meddling, "scoring changes the supernet"),
        (Cheap, r"`expected_cost` says 0: define it"),
        (Unnamed, "`fidelity` is 'two words'"),
        (Impostor, r"`fidelity` is 'scratch', the name of an evaluator of nasgan"),
        (Final, r"`fidelity` is 'final', the name of an evaluator of nasgan"),
        (Forgetful, r"call `super\(\).setup\(run\)`"),
        (Failing, "every candidate failed: 'its score is nan"),
        (Odd, "the evaluations cost 0 images and the ledger was charged 15"),
        (Boundless, "the evaluator goes on although the budget of 3 architectures is spent"),
        (Endless, "are not scored after 9 calls"),
    ],
)
def test_what_breaks_the_contract_is_named(kind: type[Evaluator], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_evaluator(kind, max_steps=9)
