"""The supernet of AdversarialNAS as published: every candidate of every edge runs by itself.

Runs on the parameters of nasgan's own supernet, so that both can be compared. Used by supernet.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nasgan.contracts import Supernet
from nasgan_search_spaces.adversarial_nas.decisions import (
    DOWN_CELL,
    DOWN_OPTIONS,
    NORMAL_OPTIONS,
    UP_CELL,
    UP_OPTIONS,
)

__all__ = ["NaivePair"]

Mixture = Callable[[str, Tensor], Tensor]


class NaivePair:
    """Candidate by candidate, weights as for `Supernet`; one spectral norm a layer and pass."""

    def __init__(self, supernet: Supernet) -> None:
        self.supernet = supernet
        halves: tuple[Any, Any] = (supernet.generator, supernet.discriminator)
        self.generator_names, self.discriminator_names = (
            [decision.name for decision in half.decisions] for half in halves
        )

    def generate(self, z: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Images."""
        network: Any = self.supernet.generator
        named = dict(zip(self.generator_names, weights, strict=True))
        h: Tensor | None = None
        middles: dict[str, Tensor] = {}
        for k, (name, cell) in enumerate(network.cells.items()):
            part = torch.split(z, network.parts, dim=1)[k]
            side = network.bottom << k
            added = network.linears[k](part).view(len(z), -1, side, side)
            h = added if h is None else h + added
            middles[name], h = _up_cell(cell, h, middles, _mixture(cell, named, UP_CELL))
        return torch.tanh(network.head(h))

    def judge(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Logits."""
        network: Any = self.supernet.discriminator
        named = dict(zip(self.discriminator_names, weights, strict=True))
        for cell in network.cells.values():
            x = _down_cell(x, _mixture(cell, named, DOWN_CELL))
        logits: Tensor = network.linear(F.relu(x).sum((2, 3)))
        return logits


def _up_cell(
    cell: Any, x: Tensor, middles: dict[str, Tensor], mix: Mixture
) -> tuple[Tensor, Tensor]:
    first, second = mix("0-1", x), mix("0-2", x)
    middle = mix("1-3", first) + mix("2-3", second)
    for source, conv in cell.skips.items():
        resized = F.interpolate(middles[source], size=middle.shape[2:], mode=cell.skip_mode)
        middle = middle + conv(resized)
    return middle, mix("1-4", first) + mix("2-4", second) + mix("3-4", middle)


def _down_cell(x: Tensor, mix: Mixture) -> Tensor:
    first = mix("0-1", x)
    second = mix("0-2", x) + mix("1-2", first)
    third = mix("0-3", x) + mix("1-3", first)
    return mix("2-4", second) + mix("3-4", third)


def _mixture(cell: Any, named: dict[str, Tensor], columns: object) -> Mixture:
    def mix(edge: str, x: Tensor) -> Tensor:
        weight = named[f"{cell.name}.{edge}"]
        held = cell.edges[edge]
        reads_image = bool(getattr(cell, "reads_image", False)) and edge.startswith("0-")
        options: tuple[str, ...] = NORMAL_OPTIONS
        if "nearest" in held:
            options = UP_OPTIONS
        elif edge.endswith("-4") and hasattr(cell, "reads_image"):
            options = DOWN_OPTIONS
        elif reads_image:
            options = NORMAL_OPTIONS[2:]
        outputs = [_candidate(held, option, x, reads_image) for option in options]
        return sum((w * y for w, y in zip(weight, outputs, strict=True)), x.new_zeros(()))

    return mix


def _candidate(edge: Any, option: str, x: Tensor, reads_image: bool) -> Tensor:
    if option == "none":
        return x * 0
    if option == "skip_connect":
        return x
    if option == "avg_pool":
        return F.avg_pool2d(x, 2)
    if option == "max_pool":
        return F.max_pool2d(x, 2)
    if option in ("nearest", "bilinear"):
        x = F.interpolate(x, scale_factor=2, mode=option)
    output: Tensor = edge[option](x if reads_image else F.relu(x))
    return output
