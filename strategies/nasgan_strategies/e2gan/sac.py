"""Soft actor-critic with continuous actions (Haarnoja et al. 2018), on the CPU."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasgan.randomness import seeded

__all__ = ["SACSettings", "SoftActorCritic", "Transitions"]

_LOG_STD = (-20.0, 2.0)
_EPSILON = 1e-6


@dataclass(frozen=True)
class SACSettings:
    """How an agent learns.

    Attributes:
        hidden: width of the two hidden layers of each network.
        lr: Adam's, of policy and critics.
        entropy_weight: of the entropy beside the reward; it is not tuned.
        discount: of later rewards.
        target_rate: of the critics, by which their slow copy follows them.
    """

    hidden: int = 128
    lr: float = 3e-4
    entropy_weight: float = 0.1
    discount: float = 1.0
    target_rate: float = 0.005


@dataclass(frozen=True)
class Transitions:
    """N steps of decision processes.

    Attributes:
        states: (N, S).
        actions: (N, A) in [-1, 1].
        rewards: (N, 1).
        following: (N, S), the states after.
        goes_on: (N, 1), 0 where the process has ended.
    """

    states: Tensor
    actions: Tensor
    rewards: Tensor
    following: Tensor
    goes_on: Tensor


class SoftActorCritic:
    """A policy, two critics and their slow copies.

    Args:
        state_size: S.
        action_size: A.
        settings: see there.
        seed: of the initial values.
    """

    def __init__(self, state_size: int, action_size: int, settings: SACSettings, seed: int) -> None:
        self.settings = settings
        with seeded(seed, "soft actor-critic"):
            self.policy = _mlp(state_size, settings.hidden, 2 * action_size)
            self.critics = nn.ModuleList(
                _mlp(state_size + action_size, settings.hidden, 1) for _ in range(2)
            )
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        self._networks = nn.ModuleList([self.policy, self.critics, self.targets])
        self._optimisers = [
            torch.optim.Adam(network.parameters(), lr=settings.lr)
            for network in (self.policy, self.critics)
        ]

    @torch.no_grad()
    def act(self, state: Sequence[float], noise: Tensor | None) -> list[float]:
        """An action in [-1, 1]: drawn by standard normal ``noise`` (A,), or the policy's middle."""
        x = torch.tensor([state], dtype=next(self.policy.parameters()).dtype)
        mean, std = self._normal(x)
        action: list[float] = torch.tanh(mean if noise is None else mean + std * noise)[0].tolist()
        return action

    def update(self, batch: Transitions, noise: tuple[Tensor, Tensor]) -> dict[str, float]:
        """One step of the critics, one of the policy, one of the slow copies.

        Args:
            batch: what is learned from.
            noise: two standard normal (N, A): of the actions in the following states, and of those
                in the states.

        Returns:
            ``loss_critic`` (the mean of both critics' mean squared errors), ``loss_policy`` and
            ``entropy`` (its estimate, in nats).
        """
        settings = self.settings
        with torch.no_grad():
            action, log_density = self._draw(batch.following, noise[0])
            value = _least(self.targets, batch.following, action)
            soft = value - settings.entropy_weight * log_density
            wanted = batch.rewards + batch.goes_on * settings.discount * soft
        estimates = _judge(self.critics, batch.states, batch.actions)
        errors = torch.stack([F.mse_loss(estimate, wanted) for estimate in estimates])
        self._descend(1, errors.sum())
        action, log_density = self._draw(batch.states, noise[1])
        value = _least(self.critics, batch.states, action)
        loss = (settings.entropy_weight * log_density - value).mean()
        self._descend(0, loss)
        with torch.no_grad():
            pairs = zip(self.targets.parameters(), self.critics.parameters(), strict=True)
            for slow, own in pairs:
                slow.lerp_(own, settings.target_rate)
        return {
            "loss_critic": float(errors.detach().mean()),
            "loss_policy": float(loss.detach()),
            "entropy": -float(log_density.detach().mean()),
        }

    def _normal(self, states: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.policy(states).chunk(2, dim=1)
        return mean, log_std.clamp(*_LOG_STD).exp()

    def _draw(self, states: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Actions (N, A), the tanh of a normal draw, and the log of their density (N, 1)."""
        mean, std = self._normal(states)
        action = torch.tanh(mean + std * noise)
        log_normal = -0.5 * noise.square() - std.log() - 0.5 * math.log(2 * math.pi)
        log_density = log_normal - torch.log(1 - action.square() + _EPSILON)
        return action, log_density.sum(dim=1, keepdim=True)

    def _descend(self, which: int, loss: Tensor) -> None:
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimisers[which].step()

    def state_dict(self) -> dict[str, Any]:
        """Networks and optimisers."""
        return {
            "networks": self._networks.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._networks.load_state_dict(state["networks"])
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def _judge(critics: nn.ModuleList, states: Tensor, actions: Tensor) -> list[Tensor]:
    """What each critic expects (N, 1)."""
    both = torch.cat([states, actions], dim=1)
    return [critic(both) for critic in critics]


def _least(critics: nn.ModuleList, states: Tensor, actions: Tensor) -> Tensor:
    return torch.minimum(*_judge(critics, states, actions))


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    layers = [nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)]
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
