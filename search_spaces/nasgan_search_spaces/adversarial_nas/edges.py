"""The operations of an edge: parameters by option, and how one of them runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.networks.merged_convolution import TapGrid
from nasgan.networks.resampling import upsample, upsample_conv
from nasgan.networks.spectral_norm import SNConv2d
from nasgan_search_spaces.adversarial_nas.choices import Path
from nasgan_search_spaces.adversarial_nas.decisions import AVERAGE_POOL, IDENTITY, MAX_POOL

__all__ = ["GRIDS", "Edge", "Node", "UpEdge", "run_edges"]

#: The taps of each convolution, the dense 5x5 first: the order in which they are merged.
GRIDS = {
    "conv_5x5": TapGrid(5),
    "conv_1x1": TapGrid(1),
    "conv_3x3": TapGrid(3),
    "dil_conv_3x3": TapGrid(3, 2),
    "dil_conv_5x5": TapGrid(5, 2),
}

_WITHOUT_PARAMETERS: dict[str, Callable[[Tensor], Tensor]] = {
    IDENTITY: lambda x: x,
    AVERAGE_POOL: lambda x: F.avg_pool2d(x, 2),
    MAX_POOL: lambda x: F.max_pool2d(x, 2),
}


class Node:
    """A map and what several edges make of it, made once.

    Args:
        x: (N, C, H, W).
        rectify: convolutions read relu(x), as everywhere but on the image.
    """

    # Not functools.cached_property: its lock keeps torch.compile out.
    def __init__(self, x: Tensor, *, rectify: bool = True) -> None:
        self.x = x
        self._rectify = rectify
        self._rectified: Tensor | None = None
        self._enlarged: Tensor | None = None

    def rectified(self) -> Tensor:
        """What convolutions read."""
        if self._rectified is None:
            self._rectified = F.relu(self.x) if self._rectify else self.x
        return self._rectified

    def enlarged(self) -> Tensor:
        """The map bilinearly doubled, then rectified."""
        if self._enlarged is None:
            self._enlarged = F.relu(upsample(self.x, "bilinear"))
        return self._enlarged


class Edge(nn.ModuleDict):
    """An edge with normal or down-sampling operations; holds their convolutions by option.

    Args:
        options: what it can do.
        in_channels: channels of the node that it reads.
        channels: channels of the node that it feeds.
        stride: 1, or 2 on down-sampling edges.
        spectral_norm: normalise the convolutions.
    """

    def __init__(
        self,
        options: Sequence[str],
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        spectral_norm: bool = False,
    ) -> None:
        layer = SNConv2d if spectral_norm else nn.Conv2d
        super().__init__(
            {
                name: layer(
                    in_channels,
                    channels,
                    GRIDS[name].size,
                    stride=stride,
                    padding=GRIDS[name].reach,
                    dilation=GRIDS[name].dilation,
                )
                for name in options
                if name in GRIDS
            }
        )

    def forward(self, option: str, node: Node) -> Tensor:
        """Run one operation."""
        if option in _WITHOUT_PARAMETERS:
            return _WITHOUT_PARAMETERS[option](node.x)
        output: Tensor = self[option](node.rectified())
        return output


class UpEdge(nn.ModuleDict):
    """An edge that doubles the map: by interpolation, ReLU and a 1x1 convolution, or transposed.

    The transposed way is ReLU, a depthwise 3x3 convolution and a 1x1 one, both without bias.

    Args:
        options: what it can do.
        channels: width.
    """

    def __init__(self, options: Sequence[str], channels: int) -> None:
        super().__init__({name: self._operation(name, channels) for name in options})
        self.published_order = False

    @staticmethod
    def _operation(name: str, channels: int) -> nn.Module:
        if name != "deconvolution":
            return nn.Conv2d(channels, channels, 1)
        depthwise = nn.ConvTranspose2d(
            channels, channels, 3, 2, 1, output_padding=1, groups=channels, bias=False
        )
        return nn.Sequential(depthwise, nn.Conv2d(channels, channels, 1, bias=False))

    def forward(self, option: str, node: Node) -> Tensor:
        """Run one operation."""
        if option == "nearest":
            # Doubling by nearest commutes with the ReLU, and then with the convolution.
            conv = self[option]
            assert isinstance(conv, nn.Conv2d)
            return upsample_conv(
                node.rectified(), conv, "nearest", published_order=self.published_order
            )
        output: Tensor = self[option](node.enlarged() if option == "bilinear" else node.rectified())
        return output


def run_edges(
    cell: str, edges: nn.ModuleDict, into: str, path: Path, nodes: dict[str, Node]
) -> Tensor | None:
    """The sum of the edges of ``cell`` that run into a node; None if none does.

    Args:
        cell: its name.
        edges: its edges by name.
        into: the node.
        path: what runs.
        nodes: the nodes made so far.
    """
    total: Tensor | None = None
    for name, edge in edges.items():
        chosen = path.get(f"{cell}.{name}")
        source, target = name.split("-")
        if chosen is None or target != into:
            continue
        output = chosen.scale(edge(chosen.option, nodes[source]))
        total = output if total is None else total + output
    return total
