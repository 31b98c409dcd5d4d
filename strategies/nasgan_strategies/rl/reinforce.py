"""The policy-gradient update (Williams 1992), as AutoGAN's code does it and as it is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from nasgan_strategies.rl.controller import Rollout

__all__ = ["Baseline", "Update", "corrected_loss", "published_loss"]

Update = Literal["corrected", "published"]

_LEAST_SPREAD = 1e-8


class Baseline:
    """Moving averages of the rewards and of their spread; `corrected_loss` reads them.

    Args:
        decay: share of the old average that each update keeps.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self.mean: float | None = None
        self.variance: float | None = None

    def advantages(self, rewards: Sequence[float], *, normalise: bool) -> Tensor:
        """``rewards`` above the baseline as it stands, then move it; (N,).

        The first batch is held against its own mean.

        Args:
            rewards: of one update.
            normalise: divide by the spread of the rewards so far: without it the weight of the
                entropy would mean something else for every metric.
        """
        x = torch.tensor(rewards, dtype=torch.float64)
        mean = float(x.mean())
        held = mean if self.mean is None else self.mean
        variance = float((x - held).square().mean())
        keep = self._decay
        self.mean = mean if self.mean is None else keep * self.mean + (1 - keep) * mean
        self.variance = (
            variance if self.variance is None else keep * self.variance + (1 - keep) * variance
        )
        above = x - held
        if normalise:
            above = above / max(self.variance**0.5, _LEAST_SPREAD)
        return above.float()

    def state_dict(self) -> dict[str, Any]:
        """The averages."""
        return {"mean": self.mean, "variance": self.variance}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.mean, self.variance = state["mean"], state["variance"]


def corrected_loss(rollout: Rollout, advantages: Tensor, entropy_weight: float) -> Tensor:
    """``-mean_n(A_n sum_t log p_nt) - c mean_n(sum_t H_nt)``: descending it raises both.

    Args:
        rollout: of N children.
        advantages: (N,), without gradient.
        entropy_weight: c.
    """
    gain = (advantages * rollout.log_probabilities.sum(1)).mean()
    return -gain - entropy_weight * rollout.entropies.sum(1).mean()


def published_loss(
    rollout: Rollout, reward: float, entropy_weight: float, baseline: Tensor | None, decay: float
) -> tuple[Tensor, Tensor]:
    """The loss of AutoGAN's code for one child, and the baseline after it.

    With ``R_t = r + c H_t`` (T,) and the baseline ``b <- d b + (1 - d) R``, first ``b = R``, the
    loss is ``-(sum_t log p_t)(sum_t (R_t - b_t))``. Nothing of it is detached but the old baseline,
    so that the entropy also gets a gradient of the wrong sign, and the first step has none at all.

    Args:
        rollout: of one child.
        reward: r.
        entropy_weight: c.
        baseline: b (T,); None before the first step of an iteration.
        decay: d.
    """
    rewards = reward + entropy_weight * rollout.entropies[0]
    moved = rewards if baseline is None else decay * baseline + (1 - decay) * rewards
    loss = -rollout.log_probabilities[0].sum() * (rewards - moved).sum()
    return loss, moved.detach()
