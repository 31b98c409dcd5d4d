"""The soft actor-critic of E2GAN: its update by independent formulas, and that it learns."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from nasgan_strategies.e2gan.sac import SACSettings, SoftActorCritic, Transitions

S, A, N = 3, 2, 5
SETTINGS = SACSettings(hidden=4, lr=1e-2, entropy_weight=0.3, discount=0.9, target_rate=0.1)


def wide_agent() -> SoftActorCritic:
    """In float64, with plain gradient steps of length 1, so that steps show the gradients."""
    agent = SoftActorCritic(S, A, SETTINGS, seed=1)
    agent._networks.double()
    with torch.no_grad():
        for p in agent._networks.parameters():
            p.add_(torch.sin(torch.arange(p.numel(), dtype=p.dtype)).view_as(p), alpha=0.3)
    agent._optimisers = [
        torch.optim.SGD(network.parameters(), lr=1.0) for network in (agent.policy, agent.critics)
    ]
    return agent


def drawn() -> tuple[Transitions, tuple[torch.Tensor, torch.Tensor]]:
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(shape))

    goes_on = torch.tensor([[1.0], [0.0], [1.0], [1.0], [0.0]], dtype=torch.float64)
    batch = Transitions(normal(N, S), normal(N, A).tanh(), normal(N, 1), normal(N, S), goes_on)
    return batch, (normal(N, A), normal(N, A))


# The same in numpy. A network is a list of its weights and biases.


def arrays(network: Any) -> list[np.ndarray]:
    return [p.detach().numpy().copy() for p in network.parameters()]


def run(net: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    w1, b1, w2, b2, w3, b3 = net
    h = np.maximum(x @ w1.T + b1, 0)
    h = np.maximum(h @ w2.T + b2, 0)
    return h @ w3.T + b3


def draw(policy: list[np.ndarray], s: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Haarnoja et al. 2018, appendix C, with the code's 1e-6."""
    out = run(policy, s)
    mean, log_std = out[:, :A], np.clip(out[:, A:], -20, 2)
    action = np.tanh(mean + np.exp(log_std) * e)
    normal = -(e**2) / 2 - log_std - np.log(2 * np.pi) / 2
    return action, (normal - np.log(1 - action**2 + 1e-6)).sum(1, keepdims=True)


def least(critics: list[list[np.ndarray]], s: np.ndarray, a: np.ndarray) -> np.ndarray:
    both = np.concatenate([s, a], 1)
    return np.minimum(run(critics[0], both), run(critics[1], both))


def critic_loss(critics: list[Any], policy: list[Any], targets: list[Any]) -> float:
    batch, (noise, _) = drawn()
    s, a, r, following, goes_on = (part.numpy() for part in vars(batch).values())
    action, log_density = draw(policy, following, noise.numpy())
    soft = least(targets, following, action) - SETTINGS.entropy_weight * log_density
    wanted = r + SETTINGS.discount * goes_on * soft
    both = np.concatenate([s, a], 1)
    return float(sum(((run(critic, both) - wanted) ** 2).mean() for critic in critics))


def policy_loss(policy: list[Any], critics: list[Any]) -> float:
    batch, (_, noise) = drawn()
    action, log_density = draw(policy, batch.states.numpy(), noise.numpy())
    value = least(critics, batch.states.numpy(), action)
    return float((SETTINGS.entropy_weight * log_density - value).mean())


def slopes(loss: Callable[[], float], net: list[np.ndarray]) -> list[np.ndarray]:
    """Central differences by every number of ``net``, in place."""
    found = []
    for values in net:
        slope = np.zeros_like(values)
        for index in np.ndindex(values.shape):
            kept, sides = values[index], []
            for step in (1e-6, -1e-6):
                values[index] = kept + step
                sides.append(loss())
            values[index] = kept
            slope[index] = (sides[0] - sides[1]) / 2e-6
        found.append(slope)
    return found


def test_an_update_is_what_the_formulas_say_in_float64() -> None:
    agent = wide_agent()
    policy = arrays(agent.policy)
    critics, targets = ([arrays(c) for c in each] for each in (agent.critics, agent.targets))
    told = agent.update(*drawn())

    errors = critic_loss(critics, policy, targets)
    assert told["loss_critic"] == pytest.approx(errors / 2, rel=1e-12)
    gradients = [slopes(lambda: critic_loss(critics, policy, targets), c) for c in critics]
    for critic, gradient, now in zip(critics, gradients, agent.critics, strict=True):
        for before, slope, after in zip(critic, gradient, arrays(now), strict=True):
            np.subtract(before, slope, out=before)
            np.testing.assert_allclose(after, before, rtol=0, atol=1e-7)

    # The policy looks at the critics after their step.
    assert told["loss_policy"] == pytest.approx(policy_loss(policy, critics), rel=1e-6)
    gradient = slopes(lambda: policy_loss(policy, critics), policy)
    for before, slope, after in zip(policy, gradient, arrays(agent.policy), strict=True):
        assert np.abs(slope).max() > 1e-3
        np.testing.assert_allclose(after, before - slope, rtol=0, atol=1e-6)

    for slow, own, now in zip(targets, critics, agent.targets, strict=True):
        for before, new, after in zip(slow, own, arrays(now), strict=True):
            expected = (1 - SETTINGS.target_rate) * before + SETTINGS.target_rate * new
            np.testing.assert_allclose(after, expected, rtol=0, atol=1e-7)


def test_the_policy_acts_by_its_noise_or_takes_its_middle() -> None:
    agent = wide_agent()
    state, noise = [0.1, -0.4, 0.8], torch.tensor([0.5, -1.5], dtype=torch.float64)
    expected, _ = draw(arrays(agent.policy), np.array([state]), noise.numpy()[None])
    np.testing.assert_allclose(agent.act(state, noise), expected[0], rtol=1e-12)
    middle, _ = draw(arrays(agent.policy), np.array([state]), np.zeros((1, A)))
    np.testing.assert_allclose(agent.act(state, None), middle[0], rtol=1e-12)


def test_it_learns_which_action_is_rewarded_in_which_state() -> None:
    agent = SoftActorCritic(1, 1, SACSettings(hidden=16, lr=1e-2, entropy_weight=0.01), seed=0)
    rng = np.random.default_rng(3)
    states = torch.from_numpy(rng.choice([-1.0, 1.0], (256, 1))).float()
    actions = torch.from_numpy(rng.uniform(-1, 1, (256, 1))).float()
    rewards = -(actions - 0.5 * states).square()
    batch = Transitions(states, actions, rewards, states, torch.zeros_like(rewards))
    for _ in range(300):
        noise = torch.from_numpy(rng.standard_normal((2, 256, 1))).float()
        agent.update(batch, (noise[0], noise[1]))
    for state in (-1.0, 1.0):
        assert agent.act([state], None)[0] == pytest.approx(0.5 * state, abs=0.15)


def test_equal_seeds_begin_alike_and_a_state_goes_on_exactly() -> None:
    def made(seed: int = 1) -> SoftActorCritic:
        return SoftActorCritic(S, A, SACSettings(hidden=4), seed=seed)

    def after(agent: SoftActorCritic) -> list[np.ndarray]:
        batch, noise = drawn()
        narrow = Transitions(*(part.float() for part in vars(batch).values()))
        agent.update(narrow, (noise[0].float(), noise[1].float()))
        return arrays(agent._networks)

    first, again, other = made(), made(), made(2)
    state_after_one = [after(agent) for agent in (first, again, other)]
    assert all(np.array_equal(*pair) for pair in zip(*state_after_one[:2], strict=True))
    assert not np.array_equal(state_after_one[0][0], state_after_one[2][0])
    other.load_state_dict(copy.deepcopy(first.state_dict()))
    assert all(np.array_equal(*pair) for pair in zip(after(first), after(other), strict=True))
