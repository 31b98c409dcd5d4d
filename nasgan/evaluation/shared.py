"""Scores with shared weights: the supernet's path of an architecture, without training it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nasgan.architecture import Architecture
from nasgan.contracts import Cost, Evaluation, EvaluationTask, Evaluator
from nasgan.errors import ConfigError, TrainingDiverged
from nasgan.evaluation.context import EvaluationContext
from nasgan.evaluation.sampling import evaluation_mode, finite_images, image_sampler

__all__ = ["SharedEvaluator"]


class SharedEvaluator(Evaluator):
    """Scores an architecture by images that the supernet generates along its path.

    Args:
        context: the run's.
        num_images: generated images behind a score (AutoGAN: 5,000).
        batch_norm: ``running``: the running statistics, which all architectures share (published);
            ``batch``: those of each batch, which belong to the architecture scored.
    """

    fidelity = "shared"
    needs_shared_weights = True

    def __init__(
        self, context: EvaluationContext, *, num_images: int = 5000, batch_norm: str = "running"
    ) -> None:
        context.check_num_images(num_images)
        if batch_norm not in ("running", "batch"):
            raise ConfigError(f"evaluator.batch_norm must be running or batch, got {batch_norm!r}")
        self._context = context
        self._num_images = num_images
        self._batch_statistics = batch_norm == "batch"

    def begin(
        self,
        architecture: Architecture,
        *,
        generator_steps: int | None = None,
        stage: int | None = None,
    ) -> EvaluationTask:
        """See `Evaluator.begin`; there is no training, so ``generator_steps`` must be None."""
        if generator_steps is not None:
            raise ConfigError(
                "evaluator=shared scores without training; a strategy that sets the length of a "
                "training needs evaluator=scratch"
            )
        return _SharedTask(self, architecture)

    def evaluate(self, architecture: Architecture) -> Evaluation:
        """Score ``architecture`` now.

        Raises:
            BudgetExhausted: no evaluation is left.
        """
        context = self._context
        context.ledger.allow("architectures", 1)
        # As in a training, an image limit ends with the score that passes it.
        context.ledger.allow("images", self._num_images)
        shared = context.shared_weights()
        generator = shared.supernet.generator
        weights = context.space.one_hot(architecture).generator

        def generate(z: Tensor, labels: Tensor | None) -> Tensor:
            images = (
                generator(z, weights) if labels is None else generator(z, weights, labels=labels)
            )
            return finite_images(images, generator_step=shared.generator_steps)

        started = time.perf_counter()
        network = context.space.network
        sample = image_sampler(
            generate,
            latent_dim=network.latent_dim,
            num_classes=network.num_classes,
            seed=context.seed,
            device=context.device,
        )
        metrics: dict[str, float] = {}
        score, failure = None, ""
        try:
            with evaluation_mode(generator, batch_statistics=self._batch_statistics):
                metrics = context.harness.evaluate(sample, num_images=self._num_images)
            score = metrics[context.objective.metric]
        except TrainingDiverged as error:
            failure = error.reason
        cost = Cost(
            architectures=1,
            images=self._num_images,
            device_seconds=time.perf_counter() - started,
        )
        context.ledger.charge(cost)
        return Evaluation(architecture, metrics, score, self.fidelity, cost=cost, failure=failure)


class _SharedTask(EvaluationTask):
    """One score, done in a single piece: generating some thousand images takes seconds."""

    def __init__(self, evaluator: SharedEvaluator, architecture: Architecture) -> None:
        self._evaluator = evaluator
        self._architecture = architecture
        self._result: Evaluation | None = None

    def advance(self) -> None:
        self._result = self._evaluator.evaluate(self._architecture)

    @property
    def result(self) -> Evaluation | None:
        return self._result

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing was kept: a task is either not begun or done."""
