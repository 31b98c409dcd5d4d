"""The policy of a stage: a controller, its optimiser, and the prefixes that it continues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasgan.randomness import seeded
from nasgan_strategies.rl.controller import Controller, Rollout

__all__ = ["Child", "Policy", "PolicySettings"]


@dataclass(frozen=True)
class PolicySettings:
    """How controllers are made.

    Attributes:
        hidden: width (published: 100).
        lr: Adam's (published: 3.5e-4).
        beta1: Adam's (published: 0, shared with the GAN's).
        beta2: as above (published: 0.9).
    """

    hidden: int
    lr: float
    beta1: float
    beta2: float


@dataclass(frozen=True)
class Child:
    """A sequence of choices that the policy drew.

    Attributes:
        actions: the option's index for each decision of the stage.
        origin: which prefix it continues.
        state: hidden and cell state after the last choice, each a list of numbers.
    """

    actions: tuple[int, ...]
    origin: int
    state: tuple[list[float], list[float]]

    def to_json(self) -> list[Any]:
        """As plain lists; `from_json` reads it back."""
        return [list(self.actions), self.origin, [list(part) for part in self.state]]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Child:
        """Read what `to_json` wrote."""
        actions, origin, (h, c) = data
        return cls(tuple(actions), origin, (list(h), list(c)))


class Policy:
    """A new controller, as each stage of the search has its own.

    Args:
        sizes: number of options of each decision of the stage.
        settings: of the controller.
        seed: of its initial values.
        prefixes: choices of the earlier stages, and the state of the policy that made them: each
            child continues one of them, drawn uniformly. Empty at the first stage.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        settings: PolicySettings,
        *,
        seed: int,
        prefixes: Sequence[tuple[tuple[int, ...], tuple[list[float], list[float]]]] = (),
    ) -> None:
        with seeded(seed, "controller"):
            self.controller = Controller(sizes, settings.hidden)
        self.prefixes = list(prefixes)
        self._optimiser = torch.optim.Adam(
            self.controller.parameters(),
            lr=settings.lr,
            betas=(settings.beta1, settings.beta2),
        )

    def prefix(self, child: Child) -> tuple[int, ...]:
        """The choices of the earlier stages that ``child`` continues."""
        return self.prefixes[child.origin][0] if self.prefixes else ()

    def sample(self, count: int, rng: np.random.Generator) -> list[Child]:
        """Draw children."""
        origins = np.zeros(count, dtype=np.int64)
        if self.prefixes:
            origins = rng.integers(len(self.prefixes), size=count)
        rollout = self.controller.sample(count, rng, self._start(origins.tolist()))
        h, c = (part.tolist() for part in rollout.state)
        return [
            Child(tuple(actions), int(origin), (h[k], c[k]))
            for k, (actions, origin) in enumerate(
                zip(rollout.actions.tolist(), origins, strict=True)
            )
        ]

    def replay(self, children: Sequence[Child]) -> Rollout:
        """What the policy now thinks of ``children``; carries gradients."""
        actions = torch.tensor([child.actions for child in children])
        return self.controller.replay(actions, self._start([child.origin for child in children]))

    def descend(self, loss: Tensor) -> None:
        """One step down ``loss``."""
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def _start(self, origins: Sequence[int]) -> tuple[Tensor, Tensor] | None:
        if not self.prefixes:
            return None
        h = torch.tensor([self.prefixes[k][1][0] for k in origins])
        c = torch.tensor([self.prefixes[k][1][1] for k in origins])
        return h, c

    def state_dict(self) -> dict[str, Any]:
        """Controller, optimiser and prefixes."""
        return {
            "controller": self.controller.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "prefixes": [[list(choices), list(state)] for choices, state in self.prefixes],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.controller.load_state_dict(state["controller"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.prefixes = [
            (tuple(choices), (list(h), list(c))) for choices, (h, c) in state["prefixes"]
        ]
