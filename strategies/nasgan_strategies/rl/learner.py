"""How a policy learns from the scores of what it drew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from nasgan.contracts import Evaluation, Objective
from nasgan_strategies.rl.policy import Child, Policy
from nasgan_strategies.rl.reinforce import Baseline, Update, corrected_loss, published_loss
from nasgan_strategies.rl.reward import Costs, Reward

__all__ = ["Learner"]


class Learner:
    """Turns scores into rewards, and these into updates of a policy; keeps the baselines.

    Args:
        update: see `nasgan_strategies.rl.reinforce`.
        reward: of a score and a generator's cost.
        entropy_weight: of the entropy in the loss.
        decay: of the moving average of the rewards.
        normalise: divide the advantages by the rewards' spread (``corrected`` only).
    """

    def __init__(
        self,
        update: Update,
        reward: Reward,
        *,
        entropy_weight: float,
        decay: float,
        normalise: bool,
    ) -> None:
        self.update: Update = update
        self._reward = reward
        self._entropy_weight = entropy_weight
        self._decay = decay
        self._normalise = normalise
        self._baseline = Baseline(decay)
        self._published_baseline: torch.Tensor | None = None
        self._worst: float | None = None

    def begin_phase(self) -> None:
        """The published baseline begins again in each iteration."""
        self._published_baseline = None

    def begin_stage(self) -> None:
        """Rewards of another stage are no measure for this one's."""
        self._baseline = Baseline(self._decay)
        self._worst = None

    def learn(
        self,
        policy: Policy,
        arrived: Sequence[tuple[Child, Evaluation]],
        objective: Objective,
        costs: Costs,
    ) -> dict[str, float]:
        """Update ``policy`` with the children of one update.

        Returns:
            Rewards, entropy and baseline, for the history.
        """
        rewards = self._rewards([evaluation for _, evaluation in arrived], objective, costs)
        rollout = policy.replay([child for child, _ in arrived])
        values: dict[str, float] = {}
        if rewards:
            if self.update == "published":
                loss, self._published_baseline = published_loss(
                    rollout, rewards[0], self._entropy_weight, self._published_baseline, self._decay
                )
            else:
                advantages = self._baseline.advantages(rewards, normalise=self._normalise)
                loss = corrected_loss(rollout, advantages, self._entropy_weight)
            policy.descend(loss)
            values |= {"reward_mean": sum(rewards) / len(rewards), "reward_max": max(rewards)}
        values["entropy"] = float(rollout.entropies.detach().sum(1).mean())
        if self.update == "corrected" and self._baseline.mean is not None:
            values["baseline"] = self._baseline.mean
        return values

    def _rewards(
        self, evaluations: Sequence[Evaluation], objective: Objective, costs: Costs
    ) -> list[float]:
        """Of all; empty while nothing has succeeded, because then nothing can be told apart."""
        found = [
            None
            if evaluation.score is None
            else self._reward(objective, evaluation.score, evaluation.architecture, costs)
            for evaluation in evaluations
        ]
        known = [value for value in (*found, self._worst) if value is not None]
        if not known:
            return []
        self._worst = min(known)
        return [self._worst if value is None else value for value in found]

    def state_dict(self) -> dict[str, Any]:
        """Baselines and the worst reward."""
        baseline = self._published_baseline
        return {
            "worst": self._worst,
            "baseline": self._baseline.state_dict(),
            "published_baseline": None if baseline is None else baseline.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._worst = state["worst"]
        self._baseline.load_state_dict(state["baseline"])
        baseline = state["published_baseline"]
        self._published_baseline = None if baseline is None else torch.tensor(baseline)
