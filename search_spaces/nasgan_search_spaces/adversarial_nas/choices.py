"""What the weights of a supernet select: a path of single operations, or a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nasgan.architecture import Decision
from nasgan.contracts import check_weights, chosen_option
from nasgan.errors import ConfigError
from nasgan_search_spaces.adversarial_nas.decisions import running

__all__ = ["Chosen", "Path", "path_of", "refuse_stage", "selected_path", "weight_rows"]


@dataclass(frozen=True)
class Chosen:
    """The one operation of an edge that runs.

    Attributes:
        option: its name.
        factor: a scalar that its output is multiplied by, where the weight carries gradients.
    """

    option: str
    factor: Tensor | None = None

    def scale(self, output: Tensor) -> Tensor:
        """Apply the factor."""
        return output if self.factor is None else output * self.factor.to(output)


#: The operations that run, by decision; edges that are none or that nothing reads are absent.
Path = Mapping[str, Chosen]


def path_of(options: Mapping[str, str]) -> Path:
    """The path of an architecture's options."""
    return {name: Chosen(options[name]) for name in running(options)}


def selected_path(decisions: Sequence[Decision], weights: Sequence[Tensor]) -> Path | None:
    """The path that one-hot ``weights`` select; None if any of them mixes.

    Raises:
        ArchitectureError: the weights do not fit the decisions.
    """
    check_weights(decisions, weights)
    chosen: dict[str, Chosen] = {}
    for decision, weight in zip(decisions, weights, strict=True):
        index = chosen_option(weight)
        if index is None:
            return None
        factor = weight[index] if weight.requires_grad else None
        chosen[decision.name] = Chosen(decision.options[index], factor)
    names = running({name: choice.option for name, choice in chosen.items()})
    return {name: chosen[name] for name in names}


def weight_rows(weights: Mapping[str, Tensor], names: Sequence[str], like: Tensor) -> Tensor:
    """The weight vectors of decisions with equal options: (decisions, options), as ``like``."""
    return torch.stack([weights[name] for name in names]).to(like)


def refuse_stage(stage: int | None) -> None:
    """The space has one stage.

    Raises:
        ConfigError: another one.
    """
    if stage not in (None, 0):
        raise ConfigError(f"AdversarialNAS' networks have one stage, 0; got stage {stage}")
