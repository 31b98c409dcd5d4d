"""What the weights of a supernet select: a path of single operations, or a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nasgan.architecture import Decision
from nasgan.contracts import check_weights, chosen_option
from nasgan_search_spaces.adversarial_nas.decisions import running

__all__ = ["Chosen", "Path", "path_of", "selected_path", "weight_rows"]


@dataclass(frozen=True)
class Chosen:
    """The one operation of an edge that runs.

    Attributes:
        option: its name.
        factor: a scalar that its output is multiplied by, where the weight carries gradients; on
            the device and of the type of the maps.
    """

    option: str
    factor: Tensor | None = None

    def scale(self, output: Tensor) -> Tensor:
        """Apply the factor."""
        return output if self.factor is None else output * self.factor.to(output.dtype)


#: The operations that run, by decision; edges that are none or that nothing reads are absent.
Path = Mapping[str, Chosen]


def path_of(options: Mapping[str, str]) -> Path:
    """The path of an architecture's options."""
    return {name: Chosen(options[name]) for name in running(options)}


def selected_path(
    decisions: Sequence[Decision], weights: Sequence[Tensor], like: Tensor
) -> Path | None:
    """The path that one-hot ``weights`` select; None if any of them mixes.

    Args:
        decisions: of one network.
        weights: one vector per decision.
        like: factors take its device and type.

    Raises:
        ArchitectureError: the weights do not fit the decisions.
    """
    check_weights(decisions, weights)
    chosen: dict[str, str] = {}
    factors: dict[str, Tensor] = {}
    for decision, weight in zip(decisions, weights, strict=True):
        index = chosen_option(weight)
        if index is None:
            return None
        chosen[decision.name] = decision.options[index]
        if weight.requires_grad:
            factors[decision.name] = weight[index]
    names = running(chosen)
    factors = _moved({name: factors[name] for name in names if name in factors}, like)
    return {name: Chosen(chosen[name], factors.get(name)) for name in names}


def _moved(factors: Mapping[str, Tensor], like: Tensor) -> dict[str, Tensor]:
    """In one copy, not one per decision."""
    if not factors:
        return {}
    together = torch.stack(list(factors.values())).to(like)
    return dict(zip(factors, together.unbind(), strict=True))


def weight_rows(weights: Mapping[str, Tensor], names: Sequence[str], like: Tensor) -> Tensor:
    """The weight vectors of decisions with equal options: (decisions, options), as ``like``."""
    return torch.stack([weights[name] for name in names]).to(like)
