"""A run without data: scores come from a rule, networks are really trained."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from nasgan.architecture import Architecture
from nasgan.contracts import (
    Budget,
    Evaluator,
    Ledger,
    Objective,
    SearchSpace,
    StepLosses,
    TrainerSettings,
    TrainingSteps,
)
from nasgan.errors import BudgetExhausted
from nasgan.evaluation import InProcessPool, Run
from nasgan.testing.toy_evaluator import (
    METRICS,
    ToyEvaluator,
    ToyScores,
    Trace,
    require_valid,
    toy_harness,
    toy_images,
)
from nasgan.training import SupernetTraining

__all__ = ["ToyRun"]


class _TracedTraining(SupernetTraining):
    """The real training of the space's supernet on random images, with the paths written down."""

    trace: Trace

    def train(
        self,
        sample_path: Callable[[], Architecture] | None = None,
        *,
        generator_steps: int,
        stage: int | None = None,
    ) -> StepLosses:
        def path() -> Architecture:
            assert sample_path is not None, "a supernet is trained along paths: give `sample_path`"
            architecture = sample_path()
            require_valid(self.space, architecture, "`sample_path` draws")
            self.trace.events.append(("path", architecture.id, stage))
            return architecture

        train = partial(super().train, path, generator_steps=generator_steps, stage=stage)
        return self._noting_refusal(train, generator_steps)

    def train_by(
        self,
        iteration: Callable[[TrainingSteps], None],
        *,
        generator_steps: int,
        stage: int | None = None,
    ) -> StepLosses:
        train = partial(super().train_by, iteration, generator_steps=generator_steps, stage=stage)
        return self._noting_refusal(train, generator_steps)

    def reset(self) -> None:
        self.trace.events.append(("reset", "", None))
        self.trace.present = len(self.trace.completed)
        super().reset()

    def _noting_refusal(self, train: Callable[[], StepLosses], generator_steps: int) -> StepLosses:
        if generator_steps < 1:
            raise AssertionError(f"asks to train the supernet for {generator_steps} steps")
        try:
            losses = train()
            self.trace.present = len(self.trace.completed)
            return losses
        except BudgetExhausted:
            self.trace.refused = True
            raise


class ToyRun(Run):
    """Implements `nasgan.contracts.SearchRun` without data: images are noise, scores by a rule.

    Trainings are real, of tiny length; so are ``run.harness``'s scores (``is`` and ``fid``, of four
    features and 16 images). Only its evaluator looks up a rule, unless another is given.

    Args:
        space: the search space.
        budget: of the search.
        evaluator: scores the candidates; None: by `ToyScores`.
        shared: whether these stand for scores with shared weights; no matter to others.
        seed: of the run.
        together: the most that the evaluator by the rule scores in one piece.
        several: whether the search goes by both metrics.
        folder: for files of evaluations; by default one that all toy runs of this process share.
    """

    def __init__(
        self,
        space: SearchSpace,
        budget: Budget,
        *,
        evaluator: Evaluator | None = None,
        shared: bool = False,
        seed: int,
        together: int = 1,
        several: bool = False,
        folder: Path | None = None,
    ) -> None:
        images = toy_images(space, "toy images")
        super().__init__(
            space=space,
            images=images,
            held_out=toy_images(space, "toy images held out"),
            trainer_settings=TrainerSettings(
                n_critic=1, generator_batch_size=2, discriminator_batch_size=4
            ),
            harness=toy_harness(images),
            # Both directions are tried: strategies compare rewards, not scores.
            objective=_objective("is" if shared else "fid", several=several),
            ledger=Ledger(budget),
            seed=seed,
            device=torch.device("cpu"),
            folder=folder or Path(tempfile.gettempdir()) / f"nasgan-toy-{os.getpid()}",
        )
        self.trace = Trace()
        self.scores = ToyScores(space, self.objective, failures=not shared)
        if evaluator is not None:
            self.score_with(evaluator, InProcessPool)
            return
        # Not by `score_with`: it goes by the names of those for which it stands.
        self.evaluator = ToyEvaluator(
            self.scores, shared=shared, trace=self.trace, together=together
        )
        self.evaluator.setup(self)
        self.pool = InProcessPool(self.evaluator, self.ledger)

    @cached_property
    def shared_weights(self) -> SupernetTraining:
        """See `SearchRun.shared_weights`."""
        training = _TracedTraining(
            self.space,
            self.images,
            self.trainer_settings,
            ledger=self.ledger,
            seed=self.seed,
            device=self.device,
        )
        training.trace = self.trace
        return training

    @property
    def has_shared_weights(self) -> bool:
        """Whether a strategy has asked for the supernet."""
        return "shared_weights" in self.__dict__

    def state_dict(self) -> dict[str, Any]:
        """What the engine checkpoints beside the strategy."""
        return {"ledger": self.ledger.state_dict(), **super().state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.ledger.load_state_dict(state["ledger"])
        super().load_state_dict(state)


def _objective(metric: str, *, several: bool) -> Objective:
    others = [Objective(name, METRICS[name]) for name in METRICS if name != metric]
    return Objective(metric, METRICS[metric], tuple(others) if several else ())
