"""Scores with shared weights: the supernet's path of an architecture, without training it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from nasgan.contracts import (
    Cost,
    Evaluation,
    EvaluationTask,
    Evaluator,
    Ledger,
    OnePieceTask,
    Proposal,
    SearchRun,
)
from nasgan.errors import ConfigError, TrainingDiverged, quoted
from nasgan.evaluation.run import check_num_images
from nasgan.evaluation.sampling import evaluation_mode, image_sampler, images_of
from nasgan.metrics.images import Sampler
from nasgan.metrics.table import Scores
from nasgan.randomness import derive_seed

__all__ = ["SharedEvaluator"]

_Metrics = Literal["objective", "all"]
_BatchNorm = Literal["running", "batch"]
_Latents = Literal["same", "fresh"]
_SmallImages = Literal["enlarged", "as_generated"]


class SharedEvaluator(Evaluator):
    """Scores architectures by images that the supernet generates along their paths.

    At a stage of a progressive search the images are smaller, and held against the same reference,
    as AutoGAN's code does. Scores of different stages do not compare.

    The discriminator takes no part: one generator scores the same with each of them. A strategy
    that goes by scores chooses a space's discriminator decisions by chance here; one by gradient
    (``strategy=adversarial``) learns them from the losses.

    Args:
        num_images: generated images behind a score (AutoGAN: 5,000).
        batch_norm: ``running``: the running statistics, which all architectures share (published);
            ``batch``: those of each batch, which belong to the architecture scored.
        together: the most architectures whose images share feature batches.
        metrics: ``objective``: what the search goes by alone (the published searches compute no
            more); ``all``: everything that the protocol has, which can cost as much again; or a
            list of these, recorded beside the objective.
        latents: ``same``: every score of a run is made from the same z, so that scores differ by
            architectures and weights alone; ``fresh``: each score draws its own (published).
        small_images: of an earlier stage: ``enlarged`` to the data's size, bilinearly, before they
            become bytes; ``as_generated``: bytes of their own size, which the features' network
            enlarges (published).
    """

    fidelity = "shared"
    needs_shared_weights = True
    scores_stages = True
    sees = ("generator",)

    def __init__(
        self,
        *,
        num_images: int = 5000,
        batch_norm: _BatchNorm = "running",
        together: int = 16,
        metrics: _Metrics | Sequence[str] = "objective",
        latents: _Latents = "same",
        small_images: _SmallImages = "enlarged",
    ) -> None:
        asked = {
            "batch_norm": (batch_norm, _BatchNorm),
            "latents": (latents, _Latents),
            "small_images": (small_images, _SmallImages),
            **({"metrics": (metrics, _Metrics)} if isinstance(metrics, str) else {}),
        }
        for name, (value, choices) in asked.items():
            if value not in (known := get_args(choices)):
                told = f"{' or '.join(known)}, got {quoted(value)}"
                raise ConfigError(f"evaluator.{name} must be {told}")
        if together < 1:
            raise ConfigError(f"evaluator.together must be at least 1, got {together}")
        self._num_images = num_images
        self._batch_statistics = batch_norm == "batch"
        self.together = together
        self._asked = metrics
        self._fresh_latents = latents == "fresh"
        self._enlarges = small_images == "enlarged"

    def setup(self, run: SearchRun) -> None:
        """See `Evaluator.setup`."""
        super().setup(run)
        self.metrics = _scored(self._asked, run)
        check_num_images(run, self._num_images, self.metrics)

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        """See `Evaluator.begin`; there is no training, so ``generator_steps`` must be None."""
        for proposal in proposals:
            self._check(proposal)
        # Generating some thousand images takes seconds.
        return OnePieceTask(lambda: self.score_together(proposals))

    def score_together(self, proposals: Sequence[Proposal]) -> tuple[Evaluation, ...]:
        """Score ``proposals`` in one piece; the latents are those of the setting.

        Returns:
            The evaluations of as many of the first proposals as the budget allows.

        Raises:
            BudgetExhausted: it allows none.
        """
        run = self.run
        affordable = run.ledger.allow("architectures", len(proposals))
        # As in a training, an image limit ends with the score that passes it.
        images = run.ledger.allow("images", affordable * self._num_images)
        chosen = proposals[: -(-images // self._num_images)]
        started = time.perf_counter()
        shared = run.shared_weights
        with evaluation_mode(shared.supernet.generator, batch_statistics=self._batch_statistics):
            scores = self._scores(chosen)
        seconds = (time.perf_counter() - started) / len(chosen)
        cost = Cost(architectures=1, images=self._num_images, device_seconds=seconds)
        evaluations = []
        for proposal, found in zip(chosen, scores, strict=True):
            run.ledger.charge(cost)
            failure = found.reason if isinstance(found, TrainingDiverged) else ""
            metrics = {} if isinstance(found, TrainingDiverged) else dict(found)
            evaluations.append(
                Evaluation(
                    proposal.architecture,
                    metrics,
                    metrics.get(run.final_objective.metric),
                    self.fidelity,
                    cost=cost,
                    failure=failure,
                    stage=self._stage(proposal),
                )
            )
        return tuple(evaluations)

    def _scores(self, proposals: Sequence[Proposal]) -> list[Scores | TrainingDiverged]:
        """Those of each; images of one size share feature batches."""
        # Every score is charged, so that this counts them, also in a run that was resumed.
        numbered = enumerate(proposals, self.run.ledger.spent(Ledger.SEARCH).architectures)
        scores: list[Scores | TrainingDiverged] = []
        for _, group in groupby(numbered, key=lambda pair: self._image_size(pair[1])):
            scores += self.run.harness.evaluate_each(
                [self._sampler(proposal, number) for number, proposal in group],
                num_images=self._num_images,
                metrics=self.metrics,
            )
        return scores

    def _check(self, proposal: Proposal) -> None:
        if proposal.generator_steps is not None:
            raise ConfigError(
                "evaluator=shared scores without training; a strategy that sets the length of a "
                "training needs evaluator=scratch"
            )
        space = self.run.space
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
        last = self.run.space.num_stages - 1
        return None if proposal.stage in (None, last) else proposal.stage

    def _image_size(self, proposal: Proposal) -> int:
        """Side of the images that the features' network gets."""
        space, stage = self.run.space, self._stage(proposal)
        if self._enlarges or stage is None:
            return space.network.image_size
        return space.stage_image_size(stage)

    def _sampler(self, proposal: Proposal, number: int) -> Sampler:
        """The images of the ``number``-th score of the run."""
        run = self.run
        shared = run.shared_weights
        stage = self._stage(proposal)
        network = run.space.network
        weights = run.space.one_hot(proposal.architecture, stage=stage).generator
        given: dict[str, Any] = {} if stage is None else {"stage": stage}
        generate = images_of(shared.supernet.generator, weights=weights, **given)
        side = self._image_size(proposal)

        def sized(z: Tensor, labels: Tensor | None) -> Tensor:
            images = generate(z, labels)
            if images.shape[-1] == side:
                return images
            return F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)

        seed = derive_seed(run.seed, "score", number) if self._fresh_latents else run.seed
        return image_sampler(
            sized,
            latent_dim=network.latent_dim,
            num_classes=network.num_classes,
            seed=seed,
            device=run.device,
            generator_step=shared.generator_steps,
        )


def _scored(metrics: str | Sequence[str], run: SearchRun) -> tuple[str, ...]:
    """The names of the scores that ``evaluator.metrics`` asks for, with the objective's."""
    present = run.harness.metrics
    if isinstance(metrics, str):
        metrics = () if metrics == "objective" else present
    for name in metrics:
        if name not in present:
            raise ConfigError(
                f"evaluator.metrics: {name!r} is not among the metrics of this run "
                f"({', '.join(present)}); add it to metrics.metrics"
            )
    objectives = (run.final_objective, *run.final_objective.others)
    wanted = {*(each.metric for each in objectives), *metrics}
    return tuple(name for name in present if name in wanted)
