"""The architecture parameters of one network: logits over the options of its decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasgan.architecture import Decision, Part
from nasgan.contracts import SearchSpace

__all__ = ["ArchitectureLogits", "learned_with"]

_INITIAL_SCALE = 1e-3


def learned_with(part: Part, space: SearchSpace) -> tuple[Decision, ...]:
    """The decisions learned by the loss of ``part``; shared ones are the generator's."""
    return tuple(
        decision
        for decision in space.part_decisions(part)
        if decision.part == part or part == "generator"
    )


class ArchitectureLogits:
    """Logits over the options of each decision, and the Adam that learns them.

    Decisions with equally many options share a tensor, so that a relaxation is computed for all of
    them at once.

    Args:
        decisions: of one part.
        rng: draws the initial values, 1e-3 N(0, 1), in the order of the decisions.
        device: where they live.
        make_optimiser: builds the optimiser of the given parameters.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        rng: np.random.Generator,
        *,
        device: torch.device,
        make_optimiser: Callable[[list[Tensor]], torch.optim.Optimizer],
    ) -> None:
        self.decisions = tuple(decisions)
        self._members: dict[int, list[int]] = {}
        initial = []
        for k, decision in enumerate(self.decisions):
            self._members.setdefault(len(decision.options), []).append(k)
            initial.append(_INITIAL_SCALE * rng.standard_normal(len(decision.options)))
        self.parameters = [
            torch.tensor(
                np.stack([initial[k] for k in members]), dtype=torch.float32, device=device
            ).requires_grad_()
            for members in self._members.values()
        ]
        self._optimiser = make_optimiser(self.parameters)

    def weights(self, relaxation: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """What ``relaxation`` makes of the logits: a vector (K,) for each decision, in order."""
        rows: dict[int, Tensor] = {}
        for members, logits in zip(self._members.values(), self.parameters, strict=True):
            rows.update(zip(members, relaxation(logits).unbind(), strict=True))
        return [rows[k] for k in range(len(self.decisions))]

    @torch.no_grad()
    def probabilities(self) -> list[list[float]]:
        """The softmax over the options of each decision, in order."""
        rows = self.weights(lambda logits: torch.softmax(logits.double(), dim=-1).cpu())
        return [row.tolist() for row in rows]

    def descend(self, loss: Tensor) -> None:
        """One step down ``loss``."""
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """The logits and the optimiser's state."""
        return {
            "logits": [logits.detach().cpu().clone() for logits in self.parameters],
            "optimiser": self._optimiser.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        for logits, saved in zip(self.parameters, state["logits"], strict=True):
            logits.copy_(saved)
        self._optimiser.load_state_dict(state["optimiser"])
