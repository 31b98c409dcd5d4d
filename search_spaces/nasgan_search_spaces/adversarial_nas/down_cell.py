"""The discriminator's cell: three nodes of convolutions and identities, then halves the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgan_search_spaces.adversarial_nas.choices import Path
from nasgan_search_spaces.adversarial_nas.decisions import AVERAGE_POOL, IDENTITY, MAX_POOL
from nasgan_search_spaces.adversarial_nas.edges import Edge, Node, run_edges
from nasgan_search_spaces.adversarial_nas.mixture import MergedEdges, add_scaled, converge

__all__ = ["DownCell", "DownMixture"]


class DownMixture(NamedTuple):
    """A down-cell's mixtures: convolutions by the node they read, and the other weights, scalars.

    Attributes:
        from_input: edges 0-1, 0-2, 0-3.
        from_first: edges 1-2, 1-3.
        from_second: edge 2-4.
        from_third: edge 3-4.
        scales: the weight of each operation without parameters, by edge and option.
    """

    from_input: MergedEdges
    from_first: MergedEdges
    from_second: MergedEdges
    from_third: MergedEdges
    scales: Mapping[tuple[str, str], Tensor]


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
        scales = mixture.scales
        nodes = list(mixture.from_input(x, rectify=not self.reads_image))
        if self.reads_image:
            first = nodes[0].contiguous(memory_format=torch.channels_last)
        else:
            nodes = [
                add_scaled(node, x, scales[f"0-{k + 1}", IDENTITY]) for k, node in enumerate(nodes)
            ]
            first = nodes[0]
        second, third = (
            add_scaled(node + more, first, scales[edge, IDENTITY])
            for node, more, edge in zip(
                nodes[1:], mixture.from_first(first), ("1-2", "1-3"), strict=True
            )
        )
        sources = [mixture.from_second, mixture.from_third]
        (output,) = converge(sources, [second, third], stride=2)
        for node, edge in ((second, "2-4"), (third, "3-4")):
            output = add_scaled(output, F.avg_pool2d(node, 2), scales[edge, AVERAGE_POOL])
            output = add_scaled(output, F.max_pool2d(node, 2), scales[edge, MAX_POOL])
        return output
