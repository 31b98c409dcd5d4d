"""What decisions select: the options that run, and what the output of each counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from nasgan.architecture import Decision
from nasgan.contracts import check_weights, chosen_option

__all__ = [
    "Choice",
    "Choices",
    "add",
    "choices_of",
    "gather",
    "is_mixed",
    "scaled",
    "selected",
    "unread",
]

#: The options that run, each with the scalar that its output is multiplied by (None: 1, exactly).
#: One option is a path, several are a mixture.
Choice: TypeAlias = Mapping[str, Tensor | None]
#: By decision. Decisions without effect may be absent.
Choices: TypeAlias = Mapping[str, Choice]

_LEAST_SHARE = 1e-12


def selected(options: Mapping[str, str]) -> Choices:
    """The choices of an architecture's options."""
    return {name: {option: None} for name, option in options.items()}


def choices_of(decisions: Sequence[Decision], weights: Sequence[Tensor], like: Tensor) -> Choices:
    """The choices of a supernet's weight vectors.

    A one-hot vector on the CPU selects its option; if it carries gradients, the output is scaled by
    the weight so that they reach it. Any other mixes all options.

    Args:
        decisions: of one network.
        weights: one vector per decision.
        like: the mixing weights take its device and type.

    Raises:
        ArchitectureError: the weights do not fit the decisions.
    """
    check_weights(decisions, weights)
    found = [chosen_option(weight) for weight in weights]
    exact = [
        index is not None and not w.requires_grad for index, w in zip(found, weights, strict=True)
    ]
    moving = [weight for weight, is_exact in zip(weights, exact, strict=True) if not is_exact]
    if len({weight.device for weight in moving}) > 1:
        moving = [weight.to(like) for weight in moving]
    # Moved together: one copy to an accelerator, not one per decision.
    together = torch.cat(moving).to(like) if moving else like.new_empty(0)
    moved = iter(torch.split(together, [len(weight) for weight in moving]))
    choices: dict[str, Choice] = {}
    for decision, index, is_exact in zip(decisions, found, exact, strict=True):
        scales: Sequence[Tensor | None] = [None] * len(decision.options)
        if not is_exact:
            scales = next(moved).unbind()
        running = range(len(decision.options)) if index is None else (index,)
        choices[decision.name] = {decision.options[k]: scales[k] for k in running}
    return choices


def is_mixed(choices: Choices) -> bool:
    """Whether any decision mixes options."""
    return any(len(choice) > 1 for choice in choices.values())


def scaled(y: Tensor, scale: Tensor | None) -> Tensor:
    """``scale * y``."""
    return y if scale is None else y * scale


def add(total: Tensor | None, y: Tensor, scale: Tensor | None = None) -> Tensor:
    """``total + scale * y``, where ``total`` may be nothing yet."""
    return scaled(y, scale) if total is None else total + scaled(y, scale)


def gather(maps: Mapping[str, Tensor], reads: Choice) -> tuple[Tensor, Tensor | None]:
    """The weighted mean of the maps that are read, and the sum of their weights.

    A mean, so that batch norm and biases behind it see maps of the usual size; what is made of it
    is to be scaled by the sum, so that a part that is not read has no effect.

    Args:
        maps: of one shape, by name.
        reads: at least one of their names.
    """
    if len(reads) == 1:
        ((name, scale),) = reads.items()
        return maps[name], scale
    scales = {name: scale for name, scale in reads.items() if scale is not None}
    share = torch.stack(list(scales.values())).sum()
    total: Tensor | None = None
    for name, scale in scales.items():
        total = add(total, maps[name], scale / share.clamp_min(_LEAST_SHARE))
    assert total is not None
    return total, share


def unread(blocks: Iterable[str], slots: Sequence[Choice]) -> Choice:
    """The blocks that no slot reads, each with how much of it: the product of 1 minus the weights.

    That is the probability that none reads it, were the slots to choose independently. A block that
    a slot reads for certain is absent.

    Args:
        blocks: their names.
        slots: what each slot reads.
    """
    found: dict[str, Tensor | None] = {}
    for block in blocks:
        readers = [reads for reads in slots if block in reads]
        if any(len(reads) == 1 for reads in readers):
            continue
        found[block] = None
        for reads in readers:
            scale, share = reads[block], found[block]
            assert scale is not None
            found[block] = 1 - scale if share is None else share * (1 - scale)
    return found
