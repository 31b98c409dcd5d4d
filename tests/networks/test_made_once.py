"""What weights alone determine is made once for the passes of one loss."""

from __future__ import annotations

import torch

from nasgan.networks.passes import made_once, weights_unchanged


def test_it_is_made_once_inside_the_block_and_anew_outside():
    made = []

    def make():
        made.append(torch.ones(2))
        return made[-1]

    with weights_unchanged():
        first, second = made_once("a", make), made_once("a", make)
        assert len(made) == 1
        assert first is not second
        made_once("b", make)
        assert len(made) == 2
    made_once("a", make)
    made_once("a", make)
    assert len(made) == 4


def test_gradients_of_all_uses_reach_the_weights():
    weights = torch.tensor([1.0, 2.0], requires_grad=True)
    with weights_unchanged():
        uses = [made_once("stack", lambda: weights * 3) for _ in range(2)]
        (uses[0].sum() + uses[1].square().sum()).backward()
    torch.testing.assert_close(weights.grad, 3 + 2 * 9 * weights.detach())
