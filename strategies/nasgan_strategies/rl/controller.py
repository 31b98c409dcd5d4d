"""The policy: a recurrent network that chooses one option after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Controller", "Rollout"]

State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Rollout:
    """Sequences of choices and what the policy thinks of them.

    Attributes:
        actions: (N, T) the option's index for each decision.
        log_probabilities: (N, T) of the chosen options.
        entropies: (N, T) of the distributions they were drawn from, in nats.
        state: the hidden and cell state (N, hidden) after the last choice.
    """

    actions: Tensor
    log_probabilities: Tensor
    entropies: Tensor
    state: State


class Controller(nn.Module):
    """One LSTM cell, an embedding of every option and a linear decoder for each decision.

    The first input is zero, each later one the embedding of the option just chosen (AutoGAN,
    section 3.2, as its code does it).

    Args:
        sizes: number of options of each decision, in order.
        hidden: width (published: 100).
    """

    def __init__(self, sizes: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.hidden = hidden
        self.embedding = nn.Embedding(sum(sizes), hidden)
        self.cell = nn.LSTMCell(hidden, hidden)
        self.decoders = nn.ModuleList(nn.Linear(hidden, size) for size in sizes)

    @torch.no_grad()
    def sample(self, count: int, rng: np.random.Generator, start: State | None = None) -> Rollout:
        """Draw sequences.

        Args:
            count: N.
            rng: gives the uniform numbers that choose.
            start: hidden and cell state (N, hidden) to begin with; default zero.
        """
        uniform = torch.from_numpy(rng.random((count, len(self.sizes))))

        def choose(token: int, probabilities: Tensor) -> Tensor:
            cumulated = probabilities.double().cumsum(1)
            chosen = (cumulated < uniform[:, token : token + 1]).sum(1)
            # Rounding may leave the last sum just below 1.
            return chosen.clamp_max(self.sizes[token] - 1)

        return self._run(count, choose, start)

    def replay(self, actions: Tensor, start: State | None = None) -> Rollout:
        """What the policy now thinks of ``actions`` (N, T); carries gradients."""
        return self._run(len(actions), lambda token, _: actions[:, token], start)

    def _run(
        self, count: int, choose: Callable[[int, Tensor], Tensor], start: State | None
    ) -> Rollout:
        x = self.embedding.weight.new_zeros(count, self.hidden)
        h, c = (x, x) if start is None else start
        actions, chosen, entropies = [], [], []
        offset = 0
        for token, (decoder, size) in enumerate(zip(self.decoders, self.sizes, strict=True)):
            h, c = self.cell(x, (h, c))
            logs = torch.log_softmax(decoder(h), dim=1)
            probabilities = logs.exp()
            action = choose(token, probabilities)
            actions.append(action)
            chosen.append(logs.gather(1, action[:, None])[:, 0])
            entropies.append(-(probabilities * logs).sum(1))
            x = self.embedding(offset + action)
            offset += size
        return Rollout(
            torch.stack(actions, 1), torch.stack(chosen, 1), torch.stack(entropies, 1), (h, c)
        )
