"""The evaluator of the toy run: scores by a rule, in pieces, and what was asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nasgan.architecture import Architecture
from nasgan.contracts import (
    Cost,
    Evaluation,
    EvaluationTask,
    Evaluator,
    Objective,
    OnePieceTask,
    Proposal,
    SearchSpace,
)
from nasgan.data import ImageSet
from nasgan.errors import ArchitectureError, BudgetExhausted, quoted
from nasgan.metrics import FeatureExtractor, MetricHarness, Protocol, ReferenceStatistics
from nasgan.randomness import numpy_generator, torch_generator

__all__ = [
    "METRICS",
    "ToyEvaluator",
    "ToyScores",
    "Trace",
    "require_valid",
    "toy_harness",
    "toy_images",
]

_DEFAULT_STEPS = 10
_PIECES = 2


@dataclass
class Trace:
    """What a strategy asked of its run.

    Attributes:
        events: paths drawn (with the stage) and evaluations begun (with the stage, or from scratch
            with the generator steps), in order; resets.
        completed: evaluations that ended.
        present: the first of them that was scored with the shared weights as they are now.
        refused: whether some work was refused because the budget is spent.
    """

    events: list[tuple[str, str, int | None]] = field(default_factory=list)
    completed: list[Evaluation] = field(default_factory=list)
    present: int = 0
    refused: bool = False


class ToyScores:
    """The distance of an architecture to a best one that is known: 0 is best.

    Each metric has a best architecture of its own, so that there is a front between them.

    Args:
        space: any.
        objective: its direction; the distance is negated to be maximised.
        failures: whether about one architecture in seven fails, as a training that diverges.
    """

    def __init__(self, space: SearchSpace, objective: Objective, *, failures: bool) -> None:
        self._space = space
        self._objective = objective
        self._failures = failures
        self.best = space.sample(numpy_generator(7, "best architecture"))
        self._second_best = space.sample(numpy_generator(7, "best by the other metric"))

    def __call__(
        self, architecture: Architecture, generator_steps: int = 0, stage: int | None = None
    ) -> float | None:
        """The score after a training; a longer one is better; None if the architecture fails.

        Decisions after ``stage`` do not count.
        """
        metrics = self.metrics(architecture, generator_steps, stage)
        return metrics.get(self._objective.metric)

    def metrics(
        self, architecture: Architecture, generator_steps: int = 0, stage: int | None = None
    ) -> dict[str, float]:
        """As calling it, by each metric; empty if the architecture fails."""
        if self.fails(architecture):
            return {}
        scores = {}
        for metric, direction in METRICS.items():
            best = self.best if metric == self._objective.metric else self._second_best
            distance = self._distance(architecture, best, stage) + 1 / (1 + generator_steps)
            scores[metric] = distance if direction == "min" else -distance
        return scores

    def _distance(self, architecture: Architecture, best: Architecture, stage: int | None) -> float:
        indices = np.asarray(self._space.encode(architecture))
        # The weights tell apart architectures with equally many differing decisions.
        weights = 1 + np.arange(len(indices)) / 10
        wrong = indices != np.asarray(self._space.encode(best))
        if stage is not None:
            wrong &= np.array([decision.stage <= stage for decision in self._space.decisions])
        return float(weights[wrong].sum())

    def fails(self, architecture: Architecture) -> bool:
        """Whether the evaluation of ``architecture`` ends without a score."""
        return self._failures and architecture != self.best and int(architecture.id, 16) % 7 == 0


class ToyEvaluator(Evaluator):
    """Scores by `ToyScores`, in pieces, and charges the ledger as real evaluators do.

    Args:
        scores: the rule.
        shared: whether it stands for ``evaluator=shared`` (no training) or ``scratch``.
        trace: written.
        together: see `Evaluator.together`.
    """

    def __init__(self, scores: ToyScores, *, shared: bool, trace: Trace, together: int = 1) -> None:
        # The toy stands for both kinds.
        self.needs_shared_weights = self.scores_stages = shared  # type: ignore[misc]
        self.trains = self.inherits_weights = not shared  # type: ignore[misc]
        self.metrics = tuple(METRICS)
        self.fidelity = "shared" if shared else "scratch"  # type: ignore[misc]
        self.scores = scores
        self.trace = trace
        self.together = together
        self.trained: dict[str, int] = {}
        self.networks: set[str] = set()

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        """See `Evaluator.begin`."""
        if self.together > 1:
            return OnePieceTask(lambda: self._together(proposals))
        return self.begin_one(*proposals)

    def _together(self, proposals: Sequence[Proposal]) -> tuple[Evaluation, ...]:
        scored: list[Evaluation] = []
        for proposal in proposals:
            task = self.begin_one(proposal)
            try:
                while task.results is None:
                    task.advance()
            except BudgetExhausted:
                if not scored:
                    raise
                # The strategy gets fewer scores; it hears of the end when it asks again.
                self.trace.refused = False
                break
            scored += task.results
        return tuple(scored)

    def begin_one(self, proposal: Proposal) -> _ToyTask:
        """Check and note down ``proposal``, and begin to score it."""
        steps, stage = proposal.generator_steps, proposal.stage
        if stage is not None and not self.needs_shared_weights:
            raise AssertionError("a stage is set although networks from scratch have none")
        require_valid(self.run.space, proposal.architecture, "the strategy asks to score")
        if self.needs_shared_weights and steps is not None:
            raise AssertionError(
                "generator_steps is set although the evaluator does not train: leave it None where "
                "`run.evaluator.needs_shared_weights`"
            )
        if steps is not None and (type(steps) is not int or steps < 1):
            raise AssertionError(
                f"generator_steps must be an int of at least 1, or None, got {quoted(steps)}"
            )
        if proposal.parent is not None and proposal.parent.id not in self.networks:
            raise AssertionError(
                f"the parent {proposal.parent.id} has no trained networks: name one that was "
                "scored with Proposal(..., keep=True) and has not failed"
            )
        told = stage if self.needs_shared_weights else steps
        self.trace.events.append(("score", proposal.architecture.id, told))
        total = 0 if self.needs_shared_weights else steps or _DEFAULT_STEPS
        # The last stage is that of the full networks.
        growing = stage is not None and stage < self.run.space.num_stages - 1
        return _ToyTask(self, proposal, total, stage if growing else None)

    def state_dict(self) -> dict[str, Any]:
        """Lengths of the trainings so far (a longer one continues a shorter one), and parents."""
        return {"trained": dict(self.trained), "networks": sorted(self.networks)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.trained = dict(state["trained"])
        self.networks = set(state["networks"])


class _ToyTask(EvaluationTask):
    def __init__(
        self,
        evaluator: ToyEvaluator,
        proposal: Proposal,
        total: int,
        stage: int | None,
    ) -> None:
        self._evaluator = evaluator
        self._proposal = proposal
        self._architecture = architecture = proposal.architecture
        self._total = total
        self._stage = stage
        self._steps = min(evaluator.trained.get(architecture.id, 0), total)
        self._results: tuple[Evaluation, ...] | None = None

    def advance(self) -> None:
        evaluator = self._evaluator
        try:
            if self._steps < self._total:
                piece = min(-(-self._total // _PIECES), self._total - self._steps)
                steps = evaluator.run.ledger.allow("generator_steps", piece)
                self._steps += steps
                evaluator.run.ledger.charge(Cost(generator_steps=steps))
            if self._steps < self._total:
                return
            evaluator.run.ledger.allow("architectures", 1)
        except BudgetExhausted:
            evaluator.trace.refused = True
            raise
        evaluator.run.ledger.charge(Cost(architectures=1))
        evaluator.trained[self._architecture.id] = self._total
        metrics = evaluator.scores.metrics(self._architecture, self._total, self._stage)
        score = metrics.get(evaluator.run.final_objective.metric)
        result = Evaluation(
            self._architecture,
            metrics,
            score,
            evaluator.fidelity,
            generator_steps=self._total,
            cost=Cost(architectures=1, generator_steps=self._total),
            failure="the toy training diverged" if score is None else "",
            stage=self._stage,
            parent=None if self._proposal.parent is None else self._proposal.parent.id,
        )
        if score is not None and (self._proposal.keep or self._proposal.generator_steps):
            evaluator.networks.add(self._architecture.id)
        evaluator.trace.completed.append(result)
        self._results = (result,)

    @property
    def results(self) -> tuple[Evaluation, ...] | None:
        return self._results

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._steps = state["steps"]


def require_valid(space: SearchSpace, architecture: object, what: str) -> None:
    """Check that a strategy made a valid architecture.

    Raises:
        AssertionError: it is none; says what to do.
    """
    try:
        if not isinstance(architecture, Architecture):
            raise ArchitectureError("it is not a nasgan.contracts.Architecture")
        space.validate(architecture)
    except ArchitectureError as error:
        raise AssertionError(
            f"{what} {architecture!r}, which is no valid architecture: {error}; make them with "
            f"`run.space.architecture`, `sample`, `mutate` or `crossover`"
        ) from error


#: What a toy run scores, and which direction is better.
METRICS: Mapping[str, Literal["min", "max"]] = {"is": "max", "fid": "min"}
_NUM_IMAGES = 16
_SIDE = 2


def toy_images(space: SearchSpace, name: str) -> ImageSet:
    """Sixteen images of noise, of the size that ``space`` is set to; each name has its own."""
    network = space.network
    shape = (_NUM_IMAGES, network.image_channels, network.image_size, network.image_size)
    pixels = torch.randint(256, shape, generator=torch_generator(0, name))
    return ImageSet("toy", pixels.to(torch.uint8))


class ToyFeatures(FeatureExtractor):
    """Four brightnesses, the quarters of the image, and three logits made from them."""

    name = "toy"
    dim: ClassVar[int] = _SIDE**2
    num_logits: ClassVar[int] = 3

    def __init__(self, *, device: torch.device | str, batch_size: int = _NUM_IMAGES) -> None:
        weight = torch.randn((self.num_logits, self.dim), generator=torch_generator(0, "logits"))
        self._weight = weight.to(device)
        super().__init__(device=device, batch_size=batch_size)

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        grey = (images.float() / 255).mean(dim=1, keepdim=True)
        features = F.adaptive_avg_pool2d(grey, _SIDE).flatten(1)
        return features, features @ self._weight.T

    def weights(self) -> Mapping[str, Tensor]:
        return {"weight": self._weight}

    def preprocessing(self) -> str:
        return "grey x/255, mean of quarters"


def toy_harness(images: ImageSet) -> MetricHarness:
    """Scores against ``images``: ``is`` and ``fid``."""
    extractor = ToyFeatures(device="cpu")
    reference = ReferenceStatistics.from_features(
        extractor(images.images).features, num_generated=_NUM_IMAGES, metrics=tuple(METRICS)
    )
    protocol = Protocol(
        dataset="toy",
        split=images.split,
        num_images=_NUM_IMAGES,
        features=reference.settings.mark(extractor.protocol_name),
    )
    return MetricHarness(
        extractor, reference, num_images=_NUM_IMAGES, metrics=tuple(METRICS), protocol=protocol
    )
