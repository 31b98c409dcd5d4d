"""The generator's cell: doubles the map, then three nodes of convolutions and identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.networks.resampling import upsample, upsample_conv
from nasgan_search_spaces.adversarial_nas.choices import Path
from nasgan_search_spaces.adversarial_nas.decisions import (
    IDENTITY,
    NORMAL_OPTIONS,
)
from nasgan_search_spaces.adversarial_nas.edges import Edge, Node, UpEdge, run_edges
from nasgan_search_spaces.adversarial_nas.mixture import (
    EdgeGroup,
    StackedEdges,
    add_scaled,
    converge,
)

__all__ = ["NORMAL_EDGES", "UP_EDGES", "UpCell"]

UP_EDGES = ("0-1", "0-2")
# By the node they read, so that those of one node are one convolution.
NORMAL_EDGES = ("1-3", "1-4", "2-3", "2-4", "3-4")


class UpCell(nn.Module):
    """Nodes 1 and 2 double the input; node 3 adds skips of earlier cells; node 4 is the output.

    Holds the operations that it is given per edge, in a derived network one or none. The skips are
    node 3 of earlier cells, resized and convolved 1x1; they are fixed, not searched. What the cell
    hands on is its node 3 including them.

    Args:
        name: of the cell.
        channels: width.
        options: the operations to hold, per edge; edges that are absent hold none.
        skips: for each earlier cell whose node 3 is added, how many times larger this map is.
        skip_mode: how the skips are resized.
    """

    def __init__(
        self,
        name: str,
        channels: int,
        options: Mapping[str, Sequence[str]],
        skips: Mapping[str, int],
        skip_mode: str,
    ) -> None:
        super().__init__()
        self.name = name
        self.factors = dict(skips)
        self.skip_mode = skip_mode
        self.edges = nn.ModuleDict()
        for edge, held in options.items():
            up = edge in UP_EDGES
            self.edges[edge] = UpEdge(held, channels) if up else Edge(held, channels, channels)
        self.skips = nn.ModuleDict({source: nn.Conv2d(channels, channels, 1) for source in skips})
        self.published_order = False

    def run(
        self, x: Tensor, earlier: Mapping[str, Tensor | None], path: Path
    ) -> tuple[Tensor | None, Tensor]:
        """Run one operation per edge.

        Args:
            x: (N, C, H, W).
            earlier: node 3 of the earlier cells; None where nothing reads it.
            path: what runs, by decision.

        Returns:
            Node 3, None if nothing reads it, and the output, both (N, C, 2H, 2W).
        """
        nodes = {"0": Node(x)}
        for name in ("1", "2"):
            node = run_edges(self.name, self.edges, name, path, nodes)
            if node is not None:
                nodes[name] = Node(node)
        middle = run_edges(self.name, self.edges, "3", path, nodes)
        if middle is not None:
            middle = self._with_skips(middle, earlier)
            nodes["3"] = Node(middle)
        output = run_edges(self.name, self.edges, "4", path, nodes)
        assert output is not None, "a valid architecture gives node 4 an input"
        return middle, output

    def mix(
        self, x: Tensor, earlier: Mapping[str, Tensor | None], doubling: Tensor, others: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run all operations of every edge, weighted; as `run`.

        Args:
            x: as there.
            earlier: as there.
            doubling: weights (2, 3) of the options of `UP_EDGES`.
            others: weights (5, 7) of the options of `NORMAL_EDGES`.
        """
        first, second = self._enlarge(x, doubling)
        normal = EdgeGroup(
            [self.edges[edge] for edge in NORMAL_EDGES],  # type: ignore[misc]
            NORMAL_OPTIONS,
            others,
        )
        (merged,) = StackedEdges([normal]).merge()
        from_first, from_second, from_middle = merged.split([2, 2, 1])
        identity = dict(zip(NORMAL_EDGES, normal.columns[IDENTITY].unbind(), strict=True))
        to_middle, to_output = converge([from_first, from_second], [first, second])
        middle = add_scaled(to_middle, first, identity["1-3"])
        middle = self._with_skips(add_scaled(middle, second, identity["2-3"]), earlier)
        output = add_scaled(to_output, first, identity["1-4"])
        output = add_scaled(output, second, identity["2-4"])
        output = add_scaled(output + from_middle(middle)[0], middle, identity["3-4"])
        return middle, output

    def _with_skips(self, middle: Tensor, earlier: Mapping[str, Tensor | None]) -> Tensor:
        for source, conv in self.skips.items():
            skip = earlier[source]
            assert skip is not None
            assert isinstance(conv, nn.Conv2d)
            middle = middle + upsample_conv(
                skip,
                conv,
                self.skip_mode,
                self.factors[source],
                published_order=self.published_order,
            )
        return middle

    def _enlarge(self, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The mixtures of both doubling edges; weights (2, 3) in the order of `UP_OPTIONS`."""
        edges = [self.edges[edge] for edge in UP_EDGES]
        nearest, bilinear, transposed = weights.t().unsqueeze(2).unbind()
        rectified = F.relu(x)

        def convolved(source: Tensor, option: str, scale: Tensor) -> Tensor:
            kernels = torch.stack([edge[option].weight for edge in edges])  # type: ignore[index]
            biases = torch.stack([edge[option].bias for edge in edges])  # type: ignore[index]
            scaled = kernels * scale.view(-1, 1, 1, 1, 1)
            return F.conv2d(source, scaled.flatten(0, 1), (biases * scale).flatten())

        both = upsample(convolved(rectified, "nearest", nearest), "nearest")
        enlarged = F.relu(upsample(x, "bilinear"))
        both = both + convolved(enlarged, "bilinear", bilinear)
        nodes = []
        for edge, part, scale in zip(edges, both.chunk(2, 1), transposed, strict=True):
            depthwise, pointwise = edge["deconvolution"]  # type: ignore[index]
            kernel = pointwise.weight * scale.view(1, 1, 1, 1)
            nodes.append(part + F.conv2d(depthwise(rectified), kernel))
        return nodes[0], nodes[1]
