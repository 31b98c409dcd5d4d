"""What evaluators need from the run; made by the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nasgan.contracts import Ledger, Objective, SearchSpace
from nasgan.data import ImageSet
from nasgan.errors import ConfigError
from nasgan.metrics import MetricHarness
from nasgan.metrics.table import least_images
from nasgan.training import SupernetTraining, TrainerSettings

__all__ = ["EvaluationContext"]


@dataclass(frozen=True)
class EvaluationContext:
    """The parts of a run that score architectures.

    Attributes:
        space: the search space, at the widths of the search.
        images: the training images.
        trainer: settings of every training.
        harness: scores images under the run's protocol.
        objective: the metric to optimise.
        ledger: charged for the work.
        seed: of the run.
        device: where networks live.
        folder: for files that evaluations keep until the search ends.
        shared_weights: gives the run's supernet (built on first use).
    """

    space: SearchSpace
    images: ImageSet
    trainer: TrainerSettings
    harness: MetricHarness
    objective: Objective
    ledger: Ledger
    seed: int
    device: torch.device
    folder: Path
    shared_weights: Callable[[], SupernetTraining]

    def check_num_images(self, num_images: int, metrics: Sequence[str] | None = None) -> None:
        """Refuse a number of generated images from which scores cannot be computed.

        Args:
            num_images: the number.
            metrics: the scores; None for all of the run's.

        Raises:
            ConfigError: it is too small.
        """
        wanted = self.harness.metrics if metrics is None else metrics
        least = least_images(wanted, self.space.network.num_classes)
        if num_images < least:
            raise ConfigError(
                f"evaluator.num_images must be at least {least} for {', '.join(wanted)}, got "
                f"{num_images}"
            )
