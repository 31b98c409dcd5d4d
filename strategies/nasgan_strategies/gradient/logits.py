"""The architecture parameters of one network: logits over the options of its decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasgan.architecture import Decision, Part
from nasgan.contracts import SearchSpace

__all__ = ["ArchitectureLogits", "descend_together", "learned_with"]

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
    them at once. Decisions with a surplus have as many more logits, which take part in the
    relaxation alone.

    Args:
        decisions: of one part.
        rng: draws the initial values, 1e-3 N(0, 1), in the order of the decisions.
        device: where they live.
        make_optimiser: builds the optimiser of the given parameters, with ``fused`` as torch's
            take it: on accelerators one step is few launches.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        rng: np.random.Generator,
        *,
        device: torch.device,
        make_optimiser: Callable[..., torch.optim.Optimizer],
    ) -> None:
        self.decisions = tuple(decisions)
        self._members: dict[tuple[int, int], list[int]] = {}
        initial = []
        for k, decision in enumerate(self.decisions):
            options = len(decision.options)
            self._members.setdefault((options, decision.surplus), []).append(k)
            initial.append(_INITIAL_SCALE * rng.standard_normal(options + decision.surplus))
        self.parameters = [
            torch.tensor(
                np.stack([initial[k] for k in members]), dtype=torch.float32, device=device
            ).requires_grad_()
            for members in self._members.values()
        ]
        fused = device.type != "cpu" or None
        self._optimiser = make_optimiser(self.parameters, fused=fused)

    def weights(self, relaxation: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """What ``relaxation`` makes of the logits: a vector (K,) for each decision, in order.

        Of a decision with a surplus, the first K weights of K + surplus.
        """
        return self._rows(lambda logits, options: relaxation(logits)[:, :options])

    @torch.no_grad()
    def probabilities(self) -> list[list[float]]:
        """The softmax over the options of each decision, in order; a surplus has no part in it."""
        rows = self._rows(lambda x, options: torch.softmax(x[:, :options].double(), dim=-1).cpu())
        return [row.tolist() for row in rows]

    def _rows(self, of_group: Callable[[Tensor, int], Tensor]) -> list[Tensor]:
        """Rows of ``of_group`` (logits, number of options), by decision."""
        rows: dict[int, Tensor] = {}
        groups = zip(self._members.items(), self.parameters, strict=True)
        for ((options, _), members), logits in groups:
            rows.update(zip(members, of_group(logits, options).unbind(), strict=True))
        return [rows[k] for k in range(len(self.decisions))]

    def descend(self, loss: Tensor) -> None:
        """One step down ``loss``."""
        descend_together([self], loss)

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


def descend_together(several: Sequence[ArchitectureLogits], loss: Tensor) -> None:
    """One step of each down the ``loss`` that they share."""
    for logits in several:
        logits._optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    for logits in several:
        logits._optimiser.step()
