"""The discriminator's cell: three nodes of convolutions and identities, then halves the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.networks.passes import launches_are_dear
from nasgan_search_spaces.adversarial_nas.choices import Path
from nasgan_search_spaces.adversarial_nas.edges import Edge, Node, run_edges
from nasgan_search_spaces.adversarial_nas.mixture import (
    MergedEdges,
    add_each,
    add_scaled,
    by_edge,
    converge,
    joined,
)

__all__ = ["DownCell", "DownMixture"]


class DownMixture(NamedTuple):
    """A down-cell's mixtures: convolutions by the node they read, and the other weights.

    Attributes:
        from_input: edges 0-1, 0-2, 0-3.
        from_first: edges 1-2, 1-3.
        from_second: edge 2-4.
        from_third: edge 3-4.
        keep_input: of the identities on the edges of ``from_input``, (3,); None where they have
            none.
        keep_first: of those on the edges of ``from_first``, (2,).
        averages: of the average pools on edges 2-4 and 3-4, (2,).
        maxima: of the max pools on them, (2,).
    """

    from_input: MergedEdges
    from_first: MergedEdges
    from_second: MergedEdges
    from_third: MergedEdges
    keep_input: Tensor | None
    keep_first: Tensor
    averages: Tensor
    maxima: Tensor


class DownCell(nn.Module):
    """Nodes 1, 2 and 3 keep the map's size; both edges into node 4, the output, halve it.

    Holds the operations that it is given per edge, in a derived network one or none.

    Args:
        name: of the cell.
        in_channels: channels of its input.
        channels: width.
        options: the operations to hold, per edge; edges that are absent hold none.
        reads_image: the first cell's edges from the input have no ReLU.
        spectral_norm: normalise the convolutions.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        channels: int,
        options: Mapping[str, Sequence[str]],
        *,
        reads_image: bool,
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        self.name = name
        self.reads_image = reads_image
        self.edges = nn.ModuleDict(
            {
                edge: Edge(
                    held,
                    in_channels if edge.startswith("0-") else channels,
                    channels,
                    stride=2 if edge.endswith("-4") else 1,
                    spectral_norm=spectral_norm,
                )
                for edge, held in options.items()
            }
        )

    def run(self, x: Tensor, path: Path) -> Tensor:
        """Run one operation per edge: (N, C, H, W) to (N, C', H / 2, W / 2)."""
        nodes = {"0": Node(x, rectify=not self.reads_image)}
        for name in ("1", "2", "3"):
            node = run_edges(self.name, self.edges, name, path, nodes)
            if node is not None:
                nodes[name] = Node(node)
        output = run_edges(self.name, self.edges, "4", path, nodes)
        assert output is not None, "a valid architecture gives nodes 2 and 3 an input"
        return output

    def mix(self, x: Tensor, mixture: DownMixture) -> Tensor:
        """Run all operations of every edge, weighted."""
        if launches_are_dear(x):
            return self._mix_together(x, mixture)
        nodes = list(mixture.from_input(x, rectify=not self.reads_image))
        if mixture.keep_input is None:
            first = nodes[0].contiguous(memory_format=torch.channels_last)
        else:
            scales = mixture.keep_input.unbind()
            nodes = [add_scaled(node, x, scale) for node, scale in zip(nodes, scales, strict=True)]
            first = nodes[0]
        second, third = (
            add_scaled(node + more, first, scale)
            for node, more, scale in zip(
                nodes[1:], mixture.from_first(first), mixture.keep_first.unbind(), strict=True
            )
        )
        sources = [mixture.from_second, mixture.from_third]
        (output,) = converge(sources, [second, third], stride=2)
        pools = zip(
            (second, third), mixture.averages.unbind(), mixture.maxima.unbind(), strict=True
        )
        for node, average, maximum in pools:
            output = add_scaled(output, F.avg_pool2d(node, 2), average)
            output = add_scaled(output, F.max_pool2d(node, 2), maximum)
        return output

    def _mix_together(self, x: Tensor, mixture: DownMixture) -> Tensor:
        """The same with nodes side by side: fewer operations, sums in another order."""
        nodes = mixture.from_input.together(x, rectify=not self.reads_image)
        if mixture.keep_input is not None:
            nodes = add_each(nodes, x, mixture.keep_input)
        channels = nodes.shape[1] // 3
        first, rest = torch.split(nodes, [channels, 2 * channels], 1)
        rest = add_each(rest + mixture.from_first.together(first), first, mixture.keep_first)
        output = joined([mixture.from_second, mixture.from_third]).together(rest, stride=2)
        averages, maxima = (
            scales.to(rest.dtype).view(-1, 1, 1, 1) for scales in (mixture.averages, mixture.maxima)
        )
        pooled = by_edge(F.avg_pool2d(rest, 2), 2) * averages
        pooled = add_scaled(pooled, by_edge(F.max_pool2d(rest, 2), 2), maxima)
        return output + pooled.sum(1)
