"""The policy's gradients against formulas written down independently, and the published loss."""

from __future__ import annotations

import pytest
import torch

from nasgan.contracts import Objective
from nasgan.randomness import numpy_generator, seeded
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.rl.controller import Controller
from nasgan_strategies.rl.reinforce import Baseline, corrected_loss, published_loss
from nasgan_strategies.rl.reward import Costs, Reward


@pytest.fixture
def controller() -> Controller:
    with seeded(0, "controller"):
        return Controller([2, 3, 4], 6)


def test_samples_follow_the_probabilities(controller: Controller) -> None:
    rollout = controller.sample(4000, numpy_generator(0, "actions"))
    assert rollout.actions.shape == (4000, 3)
    again = controller.replay(rollout.actions)
    torch.testing.assert_close(again.log_probabilities, rollout.log_probabilities)
    first = again.log_probabilities[:, 0].exp()
    for option in range(2):
        chosen = rollout.actions[:, 0] == option
        assert chosen.float().mean().item() == pytest.approx(first[chosen][0].item(), abs=0.03)
    # Probabilities of all sequences add up to 1.
    every = torch.cartesian_prod(*[torch.arange(size) for size in (2, 3, 4)])
    total = controller.replay(every).log_probabilities.sum(1).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-5)


def test_the_expected_corrected_gradient_is_that_of_the_expected_reward(
    controller: Controller,
) -> None:
    """REINFORCE's promise, over all sequences: sum_a p(a) grad(loss_a) = -grad(E[r] + c H)."""
    controller.double()
    every = torch.cartesian_prod(*[torch.arange(size) for size in (2, 3, 4)])
    rewards = torch.randn(24, generator=torch.Generator().manual_seed(0)).double()
    c = 0.3

    def run():
        return controller.replay(every)

    def gradient(loss):
        controller.zero_grad()
        loss.backward()
        return torch.cat([p.grad.flatten() for p in controller.parameters()])

    rollout = run()
    probabilities = rollout.log_probabilities.sum(1).exp()
    expected = gradient(-(probabilities * rewards).sum())

    rollout = run()
    weights = rollout.log_probabilities.sum(1).exp().detach() * 24
    found = gradient(corrected_loss(rollout, weights * (rewards - 0.7), 0.0))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)

    # The entropy goes up, not down.
    rollout = run()
    before = rollout.entropies.sum(1).mean()
    step = gradient(corrected_loss(rollout, torch.zeros(24).double(), c))
    rollout = run()
    rising = gradient(rollout.entropies.sum(1).mean())
    torch.testing.assert_close(step, -c * rising)
    assert before > 0


def test_the_published_loss_is_the_outer_product_s(controller: Controller) -> None:
    rollout = controller.replay(torch.tensor([[1, 2, 0]]))
    logs, entropies = rollout.log_probabilities[0], rollout.entropies[0]
    reward, c, decay = 3.0, 1e-3, 0.9
    first, baseline = published_loss(rollout, reward, c, None, decay)
    assert first.item() == 0.0
    torch.testing.assert_close(baseline, (reward + c * entropies).detach())

    controller.zero_grad()
    first.backward(retain_graph=True)
    assert all(p.grad is None or not p.grad.any() for p in controller.parameters())

    old = torch.tensor([1.0, 2.0, 2.5])
    loss, moved = published_loss(rollout, reward, c, old, decay)
    rewards = reward + c * entropies
    advantage = rewards - (decay * old + (1 - decay) * rewards)
    torch.testing.assert_close(loss, -torch.outer(logs, advantage).sum())
    torch.testing.assert_close(advantage, decay * (rewards - old))
    torch.testing.assert_close(moved, (decay * old + (1 - decay) * rewards).detach())


def test_the_baseline_is_taken_before_it_moves() -> None:
    baseline = Baseline(0.5)
    assert baseline.advantages([1.0, 3.0], normalise=False).tolist() == [-1.0, 1.0]
    assert baseline.mean == 2.0
    assert baseline.advantages([4.0, 4.0], normalise=False).tolist() == [2.0, 2.0]
    assert baseline.mean == 3.0
    again = Baseline(0.5)
    again.load_state_dict(baseline.state_dict())
    assert torch.equal(
        again.advantages([5.0], normalise=True), baseline.advantages([5.0], normalise=True)
    )


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_normalised_advantages_do_not_depend_on_the_metric_s_scale(scale: float) -> None:
    def advantages(factor: float) -> list[float]:
        baseline = Baseline(0.9)
        rows = ([1.0, 2.0, 4.0], [3.0, 0.0, 1.0])
        found = [baseline.advantages([factor * r for r in row], normalise=True) for row in rows]
        return torch.cat(found).tolist()

    assert advantages(scale) == pytest.approx(advantages(1.0), rel=1e-5)


def test_rewards_rise_with_quality_and_fall_with_cost() -> None:
    space = ToySpace()
    costs = Costs(space)
    small = space.architecture(["identity", "identity", "identity", "pointwise"])
    large = space.architecture(["convolution", "convolution", "convolution", "pointwise"])
    assert costs(small)[0] < costs(large)[0]
    generator = space.build_generator(large)
    assert costs(large)[0] == sum(p.numel() for p in generator.parameters()) / 1e6

    fid, kid, inception = Objective("fid", "min"), Objective("kid", "min"), Objective("is", "max")
    assert Reward()(fid, 20.0, small, costs) == 1 / 20.0
    assert Reward()(kid, 0.02, small, costs) == -0.02
    assert Reward()(inception, 7.0, small, costs) == 7.0
    assert Reward("negative")(fid, 20.0, small, costs) == -20.0
    weighed = Reward(parameters_weight=2.0, macs_weight=3.0)
    parameters, macs = costs(large)
    assert weighed(inception, 7.0, large, costs) == 7.0 - 2.0 * parameters - 3.0 * macs
