"""The run that strategies and evaluators are handed: the same object for both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from nasgan.contracts.budget import Ledger
from nasgan.contracts.evaluation import Evaluator, Objective
from nasgan.contracts.pool import EvaluationPool
from nasgan.contracts.search_space import SearchSpace
from nasgan.contracts.strategy import SharedWeights
from nasgan.contracts.trainer_settings import TrainerSettings

if TYPE_CHECKING:  # scores take a second to import
    from nasgan.data import ImageSet
    from nasgan.metrics import MetricHarness

__all__ = ["SearchRun"]


class SearchRun(Protocol):
    """What a strategy and an evaluator work with; made by the engine, and checkpointed by it.

    They keep no random generator and no budget of their own: they take them from here, and these
    resume with the run.
    """

    @property
    def space(self) -> SearchSpace:
        """The search space, at the widths of the search."""

    @property
    def objective(self) -> Objective:
        """What the search's scores are of, and which direction is better.

        That is the configured objective, unless the evaluator names its own.
        """

    @property
    def final_objective(self) -> Objective:
        """The configured objective: what the final phase is scored by."""

    @property
    def ledger(self) -> Ledger:
        """What was spent, and the budget."""

    @property
    def seed(self) -> int:
        """The run's."""

    @property
    def device(self) -> torch.device:
        """Where networks live."""

    @property
    def folder(self) -> Path:
        """For files that stay until the search ends, over kills and resumptions.

        It may not be there yet, see `nasgan.state_files.save_state`. Workers see the same folder.
        """

    @property
    def images(self) -> ImageSet:
        """The training images, on the device."""

    @property
    def held_out(self) -> ImageSet | None:
        """The images that no training sees (the data set's test split), on the device."""

    @property
    def trainer_settings(self) -> TrainerSettings:
        """The settings of every training."""

    @property
    def harness(self) -> MetricHarness:
        """Scores images under the run's protocol."""

    @property
    def evaluator(self) -> Evaluator:
        """Scores architectures, as configured (``evaluator=shared``, ``evaluator=scratch``)."""

    @property
    def pool(self) -> EvaluationPool:
        """Where the evaluator's scores are made: here, or by workers (``executor=...``)."""

    @property
    def shared_weights(self) -> SharedWeights:
        """The supernet and its training; built on first use.

        Raises:
            ConfigError: there are none here: the process is a worker, or scores come from a table.
        """

    def rng(self, name: str) -> np.random.Generator:
        """The random stream ``name`` of this run; its position is part of the checkpoint."""
