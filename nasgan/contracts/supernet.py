"""The weight-sharing pair, how a weight vector selects or mixes options, and paths to train it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture, Decision
from nasgan.errors import ArchitectureError

if TYPE_CHECKING:
    from nasgan.contracts.search_space import SearchSpace

__all__ = [
    "FairPaths",
    "Supernet",
    "check_weights",
    "chosen_option",
    "inherit_fitting",
    "inherit_weights",
    "mix_options",
]


class Supernet(nn.Module):
    """A super-generator and a super-discriminator that hold every option of every decision.

    Both take, beside their input, a sequence of one 1-d weight vector per decision of their half,
    in the order of ``space.decisions``. A one-hot vector runs only the chosen option (path
    sampling); any other mixes all options and carries gradients to the weights. Each option keeps
    parameters of its natural shape under the name that the derived network gives them, so that
    `inherit_weights` can copy them.

    In a space with stages, ``stage=`` selects how far the networks have grown; without it the
    generator goes by the number of weights and the discriminator by the size of the images.

    Args:
        generator: ``forward(z, weights, *, stage=None, labels=None)`` -> images in [-1, 1].
        discriminator: ``forward(x, weights, *, stage=None, labels=None)`` -> logits (N, 1).
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator


def check_weights(decisions: Sequence[Decision], weights: Sequence[Tensor]) -> None:
    """Refuse weight vectors that do not fit the decisions of a network.

    Args:
        decisions: of one network.
        weights: one vector per decision, as long as it has options.

    Raises:
        ArchitectureError: too few or too many vectors, or one of another length.
    """
    if len(weights) != len(decisions):
        raise ArchitectureError(
            f"{len(decisions)} decisions need as many weight vectors, got {len(weights)}"
        )
    for decision, weight in zip(decisions, weights, strict=True):
        if weight.shape != (len(decision.options),):
            raise ArchitectureError(
                f"decision {decision.name!r} has {len(decision.options)} options and needs a "
                f"weight vector of that length, got shape {tuple(weight.shape)}"
            )


def chosen_option(weight: Tensor) -> int | None:
    """The index of the only option that a one-hot ``weight`` (K,) selects, or None if it mixes.

    A weight on an accelerator counts as a mixture without being read, because reading it would
    stall the device: weights that select are kept on the CPU, also those that carry gradients. So
    does any weight inside `torch.compile`, whose graph a value that is read would break.
    """
    if weight.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    values = weight.detach().tolist()
    if sum(value != 0.0 for value in values) != 1 or 1.0 not in values:
        return None
    return values.index(1.0)


def mix_options(weight: Tensor, options: Sequence[Callable[[], Tensor]]) -> Tensor:
    """The weighted sum of the options' outputs; a one-hot weight evaluates only its option.

    Args:
        weight: (K,); moved to the device and type of the outputs.
        options: K functions, each computing one option's output; all of one shape.

    Raises:
        ArchitectureError: the numbers of weights and options differ.
    """
    if weight.ndim != 1 or len(weight) != len(options):
        raise ArchitectureError(
            f"a decision of {len(options)} options needs a weight vector of that length, "
            f"got shape {tuple(weight.shape)}"
        )
    chosen = chosen_option(weight)
    if chosen is not None:
        output = options[chosen]()
        return output * weight[chosen].to(output) if weight.requires_grad else output
    outputs = [option() for option in options]
    mixed = weight.to(outputs[0])
    return torch.stack([mixed[k] * output for k, output in enumerate(outputs)]).sum(0)


def inherit_weights(derived: nn.Module, shared: nn.Module) -> None:
    """Copy into ``derived`` the parameters and buffers of the same names in ``shared``.

    Raises:
        ArchitectureError: ``shared`` lacks one, or has it in another shape.
    """
    available = shared.state_dict()
    wanted = derived.state_dict()
    for name, value in wanted.items():
        if name not in available or available[name].shape != value.shape:
            found = tuple(available[name].shape) if name in available else "nothing"
            raise ArchitectureError(
                f"cannot inherit {name!r} of shape {tuple(value.shape)}: the supernet has {found}"
            )
    derived.load_state_dict({name: available[name].clone() for name in wanted})


def inherit_fitting(network: nn.Module, trained: Mapping[str, Tensor]) -> int:
    """Copy into ``network`` what of another one's state has the same name and shape.

    Args:
        network: takes the values; what does not fit keeps its own.
        trained: a ``state_dict()`` of parameters and buffers.

    Returns:
        How many tensors were copied.
    """
    own = network.state_dict()
    fitting = {
        name: trained[name]
        for name, value in own.items()
        if name in trained and trained[name].shape == value.shape
    }
    network.load_state_dict({**own, **fitting})
    return len(fitting)


class FairPaths:
    """Draws paths in which every option of a decision comes equally often.

    Each decision goes through its options in a random order, then in another (EWSGAN 2024; the
    strict fairness of Chu et al., "FairNAS", ICCV 2021). Independent draws leave some options
    behind: after 100 draws of one of seven, the rarest has had 9 and the commonest 20 on average.
    Where a space repairs what was drawn, the counts are those before the repair.

    Args:
        space: of the paths.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._left: list[list[int]] = [[] for _ in space.decisions]

    def draw(self, rng: np.random.Generator) -> Architecture:
        """The next path."""
        indices = []
        for decision, left in zip(self._space.decisions, self._left, strict=True):
            if not left:
                left.extend(rng.permutation(len(decision.options)).tolist())
            indices.append(left.pop())
        return self._space.architecture(self._space.repair(tuple(indices)))

    def state_dict(self) -> list[list[int]]:
        """What is left of each decision's round."""
        return [list(left) for left in self._left]

    def load_state_dict(self, state: Sequence[Sequence[int]]) -> None:
        """Continue from `state_dict`."""
        self._left = [list(left) for left in state]
