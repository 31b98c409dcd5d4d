"""Training of one architecture from scratch, in pieces, with scores along the way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from nasgan.architecture import Architecture
from nasgan.contracts import (
    Breakdown,
    Cost,
    Evaluation,
    EvaluationTask,
    SearchRun,
    SearchSpace,
    TrainerSettings,
)
from nasgan.contracts.supernet import inherit_fitting
from nasgan.errors import TrainingDiverged
from nasgan.evaluation.sampling import evaluation_mode, image_sampler, images_of
from nasgan.metrics import Scores
from nasgan.networks.initialise import initialise
from nasgan.randomness import derive_seed, seeded
from nasgan.run_settings import TrainingSettings
from nasgan.training import AdversarialTrainer
from nasgan.training.charged import affordable_steps
from nasgan.training.replicas import ALONE, Replicas

__all__ = ["DerivedPair", "TrainingPlan", "TrainingTask"]

# A piece of work between two possible checkpoints lasts about this long.
_PIECE_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class TrainingPlan(TrainingSettings):
    """A training that is paid for and scored.

    Attributes:
        phase: phase of the ledger that pays.
        fidelity: name of the score.
        num_images: generated images behind a score; None: the protocol's number.
    """

    phase: str = "search"
    fidelity: str = "scratch"
    num_images: int | None = None


class DerivedPair(nn.Module):
    """The stand-alone networks of one architecture, with initial values from a seed."""

    def __init__(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, initialisation: str
    ) -> None:
        super().__init__()
        with seeded(seed, "networks"):
            self.generator = space.build_generator(architecture)
            self.discriminator = space.build_discriminator(architecture)
            initialise(self, initialisation)


class TrainingTask(EvaluationTask):
    """Trains one architecture and scores it under the run's protocol.

    A training that breaks down ends there, and its best moment before is its result; without one
    it has failed.

    The result depends on the architecture, the plan and the seed alone, not on what ran before or
    on where a checkpoint parted it.

    Args:
        run: in which it is trained.
        space: builds the networks (the final phase uses wider ones than the search).
        architecture: of that space.
        plan: length and scores.
        settings: of the trainer; None: the run's.
    """

    def __init__(
        self,
        run: SearchRun,
        space: SearchSpace,
        architecture: Architecture,
        plan: TrainingPlan,
        settings: TrainerSettings | None = None,
    ) -> None:
        self.architecture = architecture
        self.plan = plan
        self.curve: list[dict[str, Any]] = []
        self.kept: dict[str, Any] | None = None
        self._run = run
        # Runs of others' tests may know none.
        self._replicas: Replicas = getattr(run, "replicas", ALONE)
        self._settings = settings or run.trainer_settings
        self._space = space
        self._trainer: AdversarialTrainer | None = None
        self._cost = Cost()
        self._breakdown: Breakdown | None = None
        self._done = False

    @property
    def trainer(self) -> AdversarialTrainer:
        """The trainer; the networks are built on first use."""
        if self._trainer is None:
            run = self._run
            seed = derive_seed(run.seed, self.plan.fidelity, self.architecture.id)
            pair = DerivedPair(
                self._space,
                self.architecture,
                seed=seed,
                initialisation=self._settings.initialisation,
            )
            self._trainer = AdversarialTrainer(
                pair,
                run.images,
                self._settings,
                latent_dim=self._space.network.latent_dim,
                num_classes=self._space.network.num_classes,
                seed=seed,
                device=run.device,
                total_generator_steps=self.plan.generator_steps,
                replicas=self._replicas,
            )
        return self._trainer

    @property
    def generator_steps(self) -> int:
        """Generator steps trained so far."""
        return self._trainer.generator_steps if self._trainer is not None else 0

    @property
    def cost(self) -> Cost:
        """Spent so far."""
        return self._cost

    def advance(self) -> None:
        """Train for a moment, or score; see `EvaluationTask.advance`."""
        if self._breakdown is None:
            self._advance_to(self.plan.next_score(self.generator_steps))
        if self._breakdown is not None:
            self._done = True
        if self._done:
            self._charge(Cost(architectures=1))

    def _advance_to(self, due: int) -> None:
        try:
            self._train(due)
            if self.generator_steps == due:
                self.trainer.check_health()
                self._score()
        except TrainingDiverged as error:
            self._breakdown = Breakdown(error.reason, error.generator_step)

    def _train(self, until: int) -> None:
        settings = self._settings
        wanted = until - self.generator_steps
        ledger = self._run.ledger
        ledger.allow("architectures", 1, self.plan.phase)
        allowed = affordable_steps(ledger, wanted, settings, self.plan.phase)
        started = time.perf_counter()
        before = self.generator_steps
        try:
            for _ in range(allowed):
                self.trainer.iteration()
                if time.perf_counter() - started > _PIECE_SECONDS:
                    break
        finally:
            steps = self.generator_steps - before
            self._charge(
                Cost(
                    generator_steps=steps,
                    images=steps * settings.images_per_generator_step,
                    device_seconds=self._device_seconds(started),
                )
            )

    def _score(self) -> None:
        started = time.perf_counter()
        scores = self._scores()
        score = scores[self._run.final_objective.metric]
        better = self._run.final_objective.better
        best = max(self.curve, key=self._reward, default=None)
        self._done = self.generator_steps >= self.plan.generator_steps
        if self._takes_last or best is None or better(score, best["score"]):
            self.kept = self._networks()
        point = {"generator_steps": self.generator_steps, "score": score, "metrics": dict(scores)}
        if scores.per_class:
            point["per_class"] = scores.per_class
        self.curve.append(point)
        count = self.plan.num_images or self._run.harness.num_images
        self._charge(Cost(images=count, device_seconds=self._device_seconds(started)))

    def _scores(self) -> Scores:
        generator = self.trainer.evaluated_generator
        network = self._space.network
        sample = image_sampler(
            images_of(generator),
            latent_dim=network.latent_dim,
            num_classes=network.num_classes,
            seed=self._run.seed,
            device=self._run.device,
            generator_step=self.generator_steps,
        )
        with evaluation_mode(generator):
            return self._run.harness.evaluate(sample, num_images=self.plan.num_images)

    def _reward(self, point: Mapping[str, Any]) -> float:
        return self._run.final_objective.reward(point["score"])

    def _networks(self) -> dict[str, Any]:
        trainer = self.trainer
        networks = {
            "generator": trainer.evaluated_generator,
            "discriminator": trainer.discriminator,
        }
        return {
            name: {key: value.detach().cpu().clone() for key, value in net.state_dict().items()}
            for name, net in networks.items()
        }

    def _device_seconds(self, started: float) -> float:
        """Since ``started``, of all its devices: they wait while the first one scores."""
        return (time.perf_counter() - started) * self._replicas.count

    def _charge(self, cost: Cost) -> None:
        self._cost = self._cost + cost
        self._run.ledger.charge(cost, self.plan.phase)

    @property
    def _takes_last(self) -> bool:
        return self.plan.keep == "last" and self._done and self._breakdown is None

    @property
    def kept_point(self) -> Mapping[str, Any] | None:
        """The point of ``curve`` whose networks are kept; None before the first score."""
        if not self.curve:
            return None
        return self.curve[-1] if self._takes_last else max(self.curve, key=self._reward)

    @property
    def results(self) -> tuple[Evaluation, ...] | None:
        """See `EvaluationTask.results`: `result` alone."""
        return None if self.result is None else (self.result,)

    @property
    def result(self) -> Evaluation | None:
        """The evaluation of the kept networks, once the training has ended or diverged."""
        if not self._done:
            return None
        point = self.kept_point
        return Evaluation(
            architecture=self.architecture,
            metrics={} if point is None else point["metrics"],
            score=None if point is None else point["score"],
            fidelity=self.plan.fidelity,
            generator_steps=self.generator_steps,
            cost=self._cost,
            failure=self._breakdown.reason if self._breakdown and point is None else "",
            breakdown=self._breakdown,
        )

    def training_state(self) -> dict[str, Any]:
        """What a longer training of the same architecture and fidelity continues from."""
        return {
            "trainer": self.trainer.state_dict(),
            "curve": self.curve,
            "breakdown": self._breakdown_data(),
        }

    def continue_from(self, state: Mapping[str, Any]) -> None:
        """Go on from the `training_state` of a shorter training, with its scores."""
        self.trainer.load_state_dict(state["trainer"])
        self.curve = list(state["curve"])
        self._load_breakdown(state["breakdown"])

    def inherit(self, state: Mapping[str, Any]) -> None:
        """Begin with what of another training's `training_state` fits; before the first step."""
        trainer = self.trainer
        for name in ("generator", "discriminator"):
            inherit_fitting(getattr(trainer, name), state["trainer"][name])
        # Averages follow the new values.
        trainer.restart(trainer)

    def _breakdown_data(self) -> dict[str, Any] | None:
        return None if self._breakdown is None else asdict(self._breakdown)

    def _load_breakdown(self, data: Mapping[str, Any] | None) -> None:
        self._breakdown = None if data is None else Breakdown(**data)

    def state_dict(self) -> dict[str, Any]:
        """See `EvaluationTask.state_dict`."""
        return {
            "trainer": self._trainer.state_dict() if self._trainer is not None else None,
            "curve": self.curve,
            "kept": self.kept,
            "cost": self._cost.to_json(),
            "breakdown": self._breakdown_data(),
            "done": self._done,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `EvaluationTask.load_state_dict`."""
        if state["trainer"] is not None:
            self.trainer.load_state_dict(state["trainer"])
        self.curve = list(state["curve"])
        self.kept = state["kept"]
        self._cost = Cost.from_json(state["cost"])
        self._load_breakdown(state["breakdown"])
        self._done = state["done"]
