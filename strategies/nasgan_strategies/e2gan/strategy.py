"""E2GAN: off-policy reinforcement learning, cell by cell (Tian et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from nasgan.architecture import Architecture
from nasgan.contracts import AskTellStrategy, Evaluation, Proposal, SearchRun, StepReport
from nasgan.errors import ConfigError
from nasgan_strategies.e2gan.plan import plan_trajectories
from nasgan_strategies.e2gan.process import (
    METRICS,
    START,
    STATE_SIZE,
    Actions,
    pooled,
    reward,
    scores_of,
    state_of,
)
from nasgan_strategies.e2gan.sac import SACSettings, SoftActorCritic, Transitions

__all__ = ["E2GANSearch"]

# Supernet steps between two possible checkpoints.
_PIECE_STEPS = 10


class E2GANSearch(AskTellStrategy):
    """A decision process with a step for each stage of the space, by soft actor-critic.

    In each step the agent sees the networks as they have grown so far (`process.state_of`), chooses
    the options of the coming stage, and has the supernet trained along them at this stage; the
    reward is the gain of IS and a hundredth of the fall of FID against the stage before. The
    networks are made anew after each trajectory. The first trajectories explore, then the policy's
    middle is taken and more is learned from each step. Every step stays in the replay memory.

    A space without stages is decided in one step.

    Args:
        trajectories: null: as many as the budget holds, at most the published 100.
        stage_steps: generator steps of each stage (published: an epoch, 157); null: what the budget
            has for it.
        exploiting: share of the trajectories, the last ones (published: 30 of 100).
        hidden: width of the agent's networks.
        lr: of the agent's Adam.
        entropy_weight: of the policy's entropy beside the reward.
        discount: of later rewards.
        target_rate: by which the slow critics follow.
        batch_size: steps that an update learns from.
        least_memory: steps in the memory before the first such update.
        updates: after each step while exploring.
        updates_exploiting: after each step after that. After each trajectory there is one more, on
            the whole memory.
        feature_images: latents that the state's features are a mean over.

    Raises:
        ConfigError: a value is out of its range.
    """

    name: ClassVar[str] = "e2gan"
    trains_supernet_itself: ClassVar[bool] = True

    def __init__(
        self,
        *,
        trajectories: Annotated[int, Ge(1)] | None = None,
        stage_steps: Annotated[int, Ge(1)] | None = None,
        exploiting: Annotated[float, Ge(0), Le(1)] = 0.3,
        hidden: Annotated[int, Ge(1)] = 128,
        lr: Annotated[float, Gt(0), Lt(1)] = 3e-4,
        entropy_weight: Annotated[float, Ge(0)] = 0.1,
        discount: Annotated[float, Ge(0), Le(1)] = 1.0,
        target_rate: Annotated[float, Gt(0), Le(1)] = 0.005,
        batch_size: Annotated[int, Ge(1)] = 256,
        least_memory: Annotated[int, Ge(1)] = 64,
        updates: Annotated[int, Ge(0)] = 1,
        updates_exploiting: Annotated[int, Ge(0)] = 10,
        feature_images: Annotated[int, Ge(1)] = 100,
    ) -> None:
        super().__init__()
        self._asked = (trajectories, stage_steps, exploiting)
        self._settings = SACSettings(hidden, lr, entropy_weight, discount, target_rate)
        self._batch_size = batch_size
        self._least_memory = least_memory
        self._updates = (updates, updates_exploiting)
        self._feature_images = feature_images
        self._trajectory = 0
        self._memory: list[list[float]] = []
        self._values: dict[str, float] = {}
        self._begin_trajectory()

    def setup(self, run: SearchRun) -> None:
        """Plan the trajectories and make the agent; see `SearchStrategy.setup`."""
        super().setup(run)
        _check_evaluator(run)
        self._actions = Actions(run.space)
        self._plan = plan_trajectories(
            *self._asked, budget=run.ledger.budget, stages=self._actions.stages
        )
        seed = int(run.rng("agent seed").integers(2**62))
        self._agent = SoftActorCritic(STATE_SIZE, self._actions.size, self._settings, seed)

    def _begin_trajectory(self) -> None:
        self._stage = self._done = 0
        self._choices: dict[int, int] = {}
        self._action: list[float] = []
        self._scores = START
        self._features = [0.0] * (STATE_SIZE - 1 - len(METRICS))

    @property
    def finished(self) -> bool:
        """Whether the last trajectory is over."""
        return self._trajectory >= self._plan.trajectories

    @property
    def _exploits(self) -> bool:
        return self._trajectory >= self._plan.exploring

    def step(self) -> StepReport:
        """Choose the coming stage's options, train a little along them, or score and learn."""
        if not self._action:
            noise = None if self._exploits else self._noise("actions", self._actions.size)
            self._action = self._agent.act(self._state(), noise)
            self._choices |= self._actions.chosen(self._stage, self._action)
        if self._done < self._plan.stage_steps:
            return self._train()
        self._values = {}
        return replace(super().step(), values=self._values)

    def _train(self) -> StepReport:
        shared, architecture = self.run.shared_weights, self._architecture()
        before = shared.generator_steps
        wanted = min(_PIECE_STEPS, self._plan.stage_steps - self._done)
        stage = self._stage if self._actions.stages > 1 else None
        losses = shared.train(lambda: architecture, generator_steps=wanted, stage=stage)
        self._done += shared.generator_steps - before
        return StepReport(self.progress_message(), self.progress(), values=losses.means)

    def _architecture(self) -> Architecture:
        return self._actions.architecture(self._choices)

    def _state(self) -> list[float]:
        return state_of(self._stage, self._scores, self._features)

    def _noise(self, stream: str, *shape: int) -> Tensor:
        return torch.from_numpy(self.run.rng(stream).standard_normal(shape)).float()

    def ask(self) -> Proposal:
        """What the stage has been trained to."""
        return Proposal(self._architecture(), stage=self._growing_stage())

    def _growing_stage(self) -> int | None:
        return self._stage if self._stage < self._actions.stages - 1 else None

    def tell(self, evaluation: Evaluation) -> None:
        """Remember the step and learn; go on with the next stage, or the next trajectory."""
        state, before = self._state(), self._scores
        self._scores = scores_of(evaluation.metrics)
        gained = reward(before, self._scores)
        stage = self._growing_stage()
        goes_on = stage is not None and not evaluation.failure
        if goes_on:
            self._features = pooled(
                self.run.features(evaluation.architecture, self._feature_images, stage=stage)
            )
        action, self._action, self._done = self._action, [], 0
        self._stage += 1
        self._memory.append([*state, *action, gained, *self._state(), float(goes_on)])
        self._values = {"reward": gained, "exploits": float(self._exploits)}
        if len(self._memory) >= self._least_memory:
            for _ in range(self._updates[self._exploits]):
                self._learn(self._batch_size)
        if not goes_on:
            self._end_trajectory()

    def _end_trajectory(self) -> None:
        self._learn(len(self._memory))
        self._trajectory += 1
        self._begin_trajectory()
        if not self.finished:
            self.run.shared_weights.reset()

    def _learn(self, batch_size: int) -> None:
        size = min(len(self._memory), batch_size)
        picks = self.run.rng("memory").choice(len(self._memory), size=size, replace=False)
        rows = torch.tensor([self._memory[k] for k in picks.tolist()])
        parts = [STATE_SIZE, self._actions.size, 1, STATE_SIZE, 1]
        noise = self._noise("updates", 2, size, self._actions.size)
        batch = Transitions(*torch.split(rows, parts, dim=1))
        self._values |= self._agent.update(batch, (noise[0], noise[1]))

    def progress(self) -> float:
        """Share of the trajectories' stages that are over."""
        stage = (self._stage + min(1.0, self._done / self._plan.stage_steps)) / self._actions.stages
        return min(1.0, (self._trajectory + stage) / self._plan.trajectories)

    def progress_message(self) -> str:
        """See `AskTellStrategy.progress_message`."""
        if self.finished:
            return "search done"
        doing = "exploiting" if self._exploits else "exploring"
        at = f"trajectory {self._trajectory + 1}/{self._plan.trajectories} ({doing})"
        return f"{at}, stage {self._stage + 1}/{self._actions.stages}"

    def proposer_state(self) -> dict[str, Any]:
        """See `AskTellStrategy.proposer_state`; the memory is in it."""
        return {
            "at": [self._trajectory, self._stage, self._done],
            "choices": dict(self._choices),
            "action": list(self._action),
            "seen": [list(self._scores), list(self._features)],
            "memory": torch.tensor(self._memory, dtype=torch.float64),
            "agent": self._agent.state_dict(),
        }

    def load_proposer_state(self, state: Mapping[str, Any]) -> None:
        """See `AskTellStrategy.load_proposer_state`."""
        self._trajectory, self._stage, self._done = state["at"]
        self._choices, self._action = dict(state["choices"]), list(state["action"])
        (inception, distance), self._features = state["seen"]
        self._scores = (inception, distance)
        self._memory = state["memory"].tolist()
        self._agent.load_state_dict(state["agent"])


def _check_evaluator(run: SearchRun) -> None:
    """Refuse what does not score stages by IS and FID.

    Raises:
        ConfigError: says what to set.
    """
    evaluator = run.evaluator
    if not (evaluator.needs_shared_weights and evaluator.scores_stages):
        raise ConfigError(
            "strategy=e2gan scores networks that still grow, with the supernet's weights, and "
            f"evaluator={evaluator.fidelity} does not: use evaluator=shared_is_fid"
        )
    lacking = [name for name in METRICS if name not in evaluator.metrics]
    if lacking:
        raise ConfigError(
            f"strategy=e2gan is rewarded by IS and FID, and evaluator={evaluator.fidelity} gives "
            f"no {' and no '.join(lacking)}: set evaluator.metrics=[is,fid]"
        )
