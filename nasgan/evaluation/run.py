"""The run: what strategies and evaluators work with, and the engine checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture
from nasgan.contracts import (
    Cost,
    DiscriminatorSizes,
    Evaluation,
    EvaluationPool,
    Evaluator,
    GeneratorSizes,
    Ledger,
    NetworkPair,
    Objective,
    Proposal,
    SearchRun,
    SearchSpace,
    Supernet,
    TrainerSettings,
    inherit_weights,
)
from nasgan.data import ImageSet
from nasgan.errors import ConfigError
from nasgan.evaluation.arrival import check_name_is_free, search_objective
from nasgan.evaluation.sampling import evaluation_mode, image_sampler, images_of, last_maps
from nasgan.evaluation.training_task import DerivedPair
from nasgan.metrics import GeneratedImages, MetricHarness
from nasgan.metrics.images import Sampler
from nasgan.metrics.table import SIZES, least_images
from nasgan.randomness import RandomStreams, derive_seed
from nasgan.state_files import plugin_state
from nasgan.training import AdversarialTrainer, ChargedTrainer, SupernetTraining
from nasgan.training.replicas import ALONE, Replicas

__all__ = [
    "Run",
    "check_num_images",
    "measured_pool",
]


class Run:
    """Implements `nasgan.contracts.SearchRun`.

    Args:
        space: the search space, at the widths of the search.
        images: the training images, on the device.
        held_out: those that no training sees, on the device.
        trainer_settings: of every training.
        harness: scores images under the run's protocol.
        objective: the configured one.
        ledger: charged for the work.
        seed: of everything random.
        device: where networks live.
        folder: for files that evaluations keep until the search ends.
        shares_weights: whether there is a supernet; workers have none.
        replicas: the processes of each training from scratch, where it has several.

    Attributes:
        evaluator: see `score_with`; without it the run can train, and score what it trained.
        pool: as above.
    """

    evaluator: Evaluator
    pool: EvaluationPool

    def __init__(
        self,
        *,
        space: SearchSpace,
        images: ImageSet,
        held_out: ImageSet | None = None,
        trainer_settings: TrainerSettings,
        harness: MetricHarness,
        objective: Objective,
        ledger: Ledger,
        seed: int,
        device: torch.device,
        folder: Path,
        shares_weights: bool = True,
        replicas: Replicas = ALONE,
    ) -> None:
        self.space = space
        self.replicas = replicas
        self.images = images
        self.held_out = held_out
        self.trainer_settings = trainer_settings
        self.harness = harness
        self.objective = self.final_objective = objective
        self.ledger = ledger
        self.seed = seed
        self.device = device
        self.folder = folder
        self._shares_weights = shares_weights
        self.streams = RandomStreams(seed, "strategy")

    def beside(self, space: SearchSpace, *, folder: Path) -> Run:
        """A run on the same data with ledger, folder and space of its own, without a supernet."""
        return Run(
            space=space,
            images=self.images,
            held_out=self.held_out,
            trainer_settings=self.trainer_settings,
            harness=self.harness,
            objective=self.final_objective,
            ledger=Ledger(),
            seed=self.seed,
            device=self.device,
            folder=folder,
            shares_weights=False,
        )

    def score_with(
        self,
        evaluator: Evaluator,
        make_pool: Callable[[Evaluator, Ledger], EvaluationPool] | None = None,
    ) -> None:
        """Score candidates by ``evaluator``, which is set up here.

        Args:
            evaluator: a new one.
            make_pool: where its scores are made; None in a worker, which has no pool of its own.

        Raises:
            ConfigError: it cannot score in this run.
            PluginError: it names itself or its objective wrongly.
        """
        self.evaluator = evaluator
        self.objective = search_objective(evaluator, self.final_objective)
        check_name_is_free(evaluator)
        evaluator.setup(self)
        if make_pool is not None:
            pool = make_pool(evaluator, self.ledger)
            self.pool = measured_pool(pool, self.objective, self.space)

    @cached_property
    def shared_weights(self) -> SupernetTraining:
        """See `nasgan.contracts.SearchRun.shared_weights`."""
        if not self._shares_weights:
            raise ConfigError("this process trains networks one by one; it has no shared weights")
        return SupernetTraining(
            self.space,
            self.images,
            self.trainer_settings,
            ledger=self.ledger,
            seed=self.seed,
            device=self.device,
        )

    def networks(self, architecture: Architecture, *, inherit: bool = False) -> DerivedPair:
        """See `nasgan.contracts.SearchRun.networks`."""
        seed = derive_seed(self.seed, "networks", architecture.id)
        initialisation = self.trainer_settings.initialisation
        pair = DerivedPair(self.space, architecture, seed=seed, initialisation=initialisation)
        if inherit:
            inherit_weights(pair, self.shared_weights.supernet)
        return pair.to(self.device)

    def trainer(
        self,
        pair: NetworkPair,
        *,
        name: str = "",
        images: ImageSet | None = None,
        settings: TrainerSettings | None = None,
        total_generator_steps: int | None = None,
    ) -> ChargedTrainer:
        """See `nasgan.contracts.SearchRun.trainer`."""
        settings = settings or self.trainer_settings
        is_supernet = isinstance(pair, Supernet)
        if total_generator_steps is None:
            settings = replace(settings, lr_decay="none")
        if is_supernet:
            settings = replace(settings, ema_decay=None)
        trainer = AdversarialTrainer(
            pair,
            self.images if images is None else images,
            settings,
            latent_dim=self.space.network.latent_dim,
            num_classes=self.space.network.num_classes,
            seed=derive_seed(self.seed, "trainer", name),
            device=self.device,
            total_generator_steps=total_generator_steps,
            compile_networks=not is_supernet,
            limits_end=not is_supernet,
        )
        return ChargedTrainer(trainer, self.space, self.ledger)

    def sample(self, of: Architecture | nn.Module, *, stage: int | None = None) -> Sampler:
        """See `nasgan.contracts.SearchRun.sample`."""
        given: dict[str, Any] = {} if stage is None else {"stage": stage}
        generator, step = of, 0
        if isinstance(generator, Architecture):
            given["weights"] = self.space.one_hot(generator, stage=stage).generator
            generator = self.shared_weights.supernet.generator
            step = self.shared_weights.generator_steps
        network = self.space.network
        draw = image_sampler(
            images_of(generator, **given),
            latent_dim=network.latent_dim,
            num_classes=network.num_classes,
            seed=self.seed,
            device=self.device,
            generator_step=step,
        )

        def sample(count: int) -> GeneratedImages:
            self.ledger.allow("images", 1)
            with self.ledger.timed(), evaluation_mode(generator):
                drawn = draw(count)
                draw.check()
            self.ledger.charge(Cost(images=count))
            return drawn

        return sample

    def features(
        self, of: Architecture | nn.Module, count: int, *, stage: int | None = None
    ) -> Tensor:
        """See `nasgan.contracts.SearchRun.features`."""
        generator = self.shared_weights.supernet.generator if isinstance(of, Architecture) else of
        with last_maps(generator) as seen:
            self.sample(of, stage=stage)(count)
        if not seen:
            raise ConfigError(
                f"a generator of the search space {self.space.name!r} runs no convolution, so that "
                "it has no maps to take features of"
            )
        return seen[0].float().mean(dim=(2, 3))

    def rng(self, name: str) -> np.random.Generator:
        """See `nasgan.contracts.SearchRun.rng`."""
        return self.streams[name]

    def state_dict(self) -> dict[str, Any]:
        """Random streams, evaluator, pool, and the supernet if it was built."""
        shared = self.__dict__.get("shared_weights")
        return {
            "streams": self.streams.state_dict(),
            "evaluator": plugin_state(self.evaluator, "evaluator"),
            "pool": self.pool.state_dict(),
            "shared_weights": shared.state_dict() if shared is not None else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.streams.load_state_dict(state["streams"])
        self.evaluator.load_state_dict(state["evaluator"])
        if state["shared_weights"] is not None:
            self.shared_weights.load_state_dict(state["shared_weights"])
        self.pool.load_state_dict(state["pool"])

    def release_shared_weights(self) -> None:
        """Free the supernet's memory; the final phase does not need it."""
        self.__dict__.pop("shared_weights", None)


def check_num_images(
    run: SearchRun,
    num_images: int,
    metrics: Sequence[str] | None = None,
    *,
    where: str = "evaluator.num_images",
) -> None:
    """Refuse a number of generated images from which scores cannot be computed.

    Args:
        run: in which they would be.
        num_images: the number.
        metrics: the scores; None for all of the run's.
        where: the setting.

    Raises:
        ConfigError: it is too small.
    """
    wanted = run.harness.metrics if metrics is None else metrics
    least = least_images(wanted, run.space.network.num_classes)
    if num_images < least:
        raise ConfigError(
            f"{where} must be at least {least} for {', '.join(wanted)}, got {num_images}"
        )


def measured_pool(pool: EvaluationPool, objective: Objective, space: SearchSpace) -> EvaluationPool:
    """``pool``, whose evaluations also hold the sizes that are among the objectives."""
    wanted = [each.metric for each in objective.others]
    for measure in (GeneratorSizes, DiscriminatorSizes):
        names = tuple(name for name in SIZES if f"{name}{measure.suffix}" in wanted)
        if names:
            pool = _MeasuredPool(pool, measure(space, names))
    return pool


class _MeasuredPool(EvaluationPool):
    """Another pool; a candidate that failed has no sizes, as it has no scores."""

    def __init__(self, pool: EvaluationPool, sizes: GeneratorSizes | DiscriminatorSizes) -> None:
        self.begins_again = pool.begins_again  # type: ignore[misc]
        self._pool = pool
        self._sizes = sizes

    def room(self, together: int = 1) -> int:
        return self._pool.room(together)

    @property
    def under_way(self) -> int:
        return self._pool.under_way

    def submit(self, proposal: Proposal) -> None:
        self._pool.submit(proposal)

    def advance(self) -> list[Evaluation]:
        return [self._with_sizes(made) for made in self._pool.advance()]

    def _with_sizes(self, made: Evaluation) -> Evaluation:
        if made.score is None:
            return made
        return replace(made, metrics={**made.metrics, **self._sizes(made.architecture)})

    @property
    def note(self) -> str:
        return self._pool.note

    def close(self) -> None:
        self._pool.close()

    def state_dict(self) -> dict[str, Any]:
        return self._pool.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._pool.load_state_dict(state)
