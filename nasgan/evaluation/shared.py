"""Scores with shared weights: the supernet's path of an architecture, without training it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from nasgan.architecture import Architecture
from nasgan.contracts import Cost, Evaluation, EvaluationTask, Evaluator, Proposal
from nasgan.errors import ConfigError, TrainingDiverged
from nasgan.evaluation.context import EvaluationContext
from nasgan.evaluation.sampling import evaluation_mode, image_sampler, images_of
from nasgan.metrics.harness import Sampler

__all__ = ["SharedEvaluator"]


class SharedEvaluator(Evaluator):
    """Scores architectures by images that the supernet generates along their paths.

    At a stage of a progressive search the images are smaller; they are enlarged to the data's size
    and held against the same reference, as AutoGAN's code does (its Inception network enlarges all
    images alike). Scores of different stages do not compare.

    Args:
        context: the run's.
        num_images: generated images behind a score (AutoGAN: 5,000).
        batch_norm: ``running``: the running statistics, which all architectures share (published);
            ``batch``: those of each batch, which belong to the architecture scored.
        together: the most architectures whose images share feature batches.
        metrics: ``objective``: what the search goes by alone (the published searches compute no
            more); ``all``: everything that the protocol has, which can cost as much again.
    """

    fidelity = "shared"
    needs_shared_weights = True

    def __init__(
        self,
        context: EvaluationContext,
        *,
        num_images: int = 5000,
        batch_norm: str = "running",
        together: int = 16,
        metrics: Literal["objective", "all"] = "objective",
    ) -> None:
        if metrics not in ("objective", "all"):
            raise ConfigError(f"evaluator.metrics must be objective or all, got {metrics!r}")
        scored = (context.objective.metric,) if metrics == "objective" else context.harness.metrics
        context.check_num_images(num_images, scored)
        if batch_norm not in ("running", "batch"):
            raise ConfigError(f"evaluator.batch_norm must be running or batch, got {batch_norm!r}")
        if together < 1:
            raise ConfigError(f"evaluator.together must be at least 1, got {together}")
        self._context = context
        self._num_images = num_images
        self._batch_statistics = batch_norm == "batch"
        self._together = together
        self._metrics = scored

    @property
    def together(self) -> int:
        """See `Evaluator.together`."""
        return self._together

    def begin(
        self,
        architecture: Architecture,
        *,
        generator_steps: int | None = None,
        stage: int | None = None,
    ) -> EvaluationTask:
        """See `Evaluator.begin`; there is no training, so ``generator_steps`` must be None."""
        proposal = Proposal(architecture, generator_steps, stage)
        self._check(proposal)
        return _SharedTask(self, proposal)

    def score(self, proposals: Sequence[Proposal]) -> list[Evaluation]:
        """See `Evaluator.score`; all candidates are shown the same latents."""
        context = self._context
        for proposal in proposals:
            self._check(proposal)
        affordable = context.ledger.allow("architectures", len(proposals))
        # As in a training, an image limit ends with the score that passes it.
        images = context.ledger.allow("images", affordable * self._num_images)
        chosen = proposals[: -(-images // self._num_images)]
        started = time.perf_counter()
        shared = context.shared_weights()
        with evaluation_mode(shared.supernet.generator, batch_statistics=self._batch_statistics):
            scores = context.harness.evaluate_each(
                [self._sampler(proposal) for proposal in chosen],
                num_images=self._num_images,
                metrics=self._metrics,
            )
        seconds = (time.perf_counter() - started) / len(chosen)
        cost = Cost(architectures=1, images=self._num_images, device_seconds=seconds)
        evaluations = []
        for proposal, found in zip(chosen, scores, strict=True):
            context.ledger.charge(cost)
            failure = found.reason if isinstance(found, TrainingDiverged) else ""
            metrics = {} if isinstance(found, TrainingDiverged) else dict(found)
            evaluations.append(
                Evaluation(
                    proposal.architecture,
                    metrics,
                    metrics.get(context.objective.metric),
                    self.fidelity,
                    cost=cost,
                    failure=failure,
                    stage=self._stage(proposal),
                )
            )
        return evaluations

    def _check(self, proposal: Proposal) -> None:
        if proposal.generator_steps is not None:
            raise ConfigError(
                "evaluator=shared scores without training; a strategy that sets the length of a "
                "training needs evaluator=scratch"
            )
        space = self._context.space
        if proposal.stage is None:
            return
        if space.num_stages == 1:
            raise ConfigError(
                f"the search space {space.name!r} has no stages, so nothing can be scored at one"
            )
        if not 0 <= proposal.stage < space.num_stages:
            raise ConfigError(
                f"the search space {space.name!r} has {space.num_stages} stages, counted from 0; "
                f"there is no stage {proposal.stage}"
            )

    def _stage(self, proposal: Proposal) -> int | None:
        """The stage, unless it is the last: those are the full networks."""
        last = self._context.space.num_stages - 1
        return None if proposal.stage in (None, last) else proposal.stage

    def _sampler(self, proposal: Proposal) -> Sampler:
        context = self._context
        shared = context.shared_weights()
        stage = self._stage(proposal)
        network = context.space.network
        weights = context.space.one_hot(proposal.architecture, stage=stage).generator
        given: dict[str, Any] = {} if stage is None else {"stage": stage}
        generate = images_of(shared.supernet.generator, weights=weights, **given)

        def full_size(z: Tensor, labels: Tensor | None) -> Tensor:
            images = generate(z, labels)
            if images.shape[-1] == network.image_size:
                return images
            size = (network.image_size, network.image_size)
            return F.interpolate(images, size=size, mode="bilinear", align_corners=False)

        return image_sampler(
            full_size,
            latent_dim=network.latent_dim,
            num_classes=network.num_classes,
            seed=context.seed,
            device=context.device,
            generator_step=shared.generator_steps,
        )


class _SharedTask(EvaluationTask):
    """One score, done in a single piece: generating some thousand images takes seconds."""

    def __init__(self, evaluator: SharedEvaluator, proposal: Proposal) -> None:
        self._evaluator = evaluator
        self._proposal = proposal
        self._result: Evaluation | None = None

    def advance(self) -> None:
        (self._result,) = self._evaluator.score([self._proposal])

    @property
    def result(self) -> Evaluation | None:
        return self._result

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing was kept: a task is either not begun or done."""
