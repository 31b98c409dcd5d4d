"""The soft mixture of an edge's operations, computed as one convolution and a few scaled sums.

The convolutions of an edge read the same map, so their weighted sum is a convolution with the
weighted sum of their kernels (`nasgan.networks.merged_convolution`); spectral norms divide each
kernel before that. Edges that read one node are one convolution with stacked outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nasgan.networks.batched_spectral_norm import batched_spectral_norms
from nasgan.networks.merged_convolution import (
    MergedKernels,
    merge_kernels,
    merged_conv2d,
    stack_kernels,
)
from nasgan.networks.passes import launches_are_dear, made_once
from nasgan.networks.spectral_norm import SpectralNormLayer
from nasgan_search_spaces.adversarial_nas.edges import GRIDS, Edge

__all__ = [
    "EdgeGroup",
    "MergedEdges",
    "StackedEdges",
    "add_each",
    "add_scaled",
    "converge",
    "joined",
]


class EdgeGroup:
    """Edges of equal options and widths, and how their operations are weighted.

    Args:
        edges: E of them, those that read one node side by side.
        options: the K operations that all of them have.
        weights: (E, K).

    Attributes:
        convolutions: those of the options that are convolutions, in the order of merging.
        columns: the weights (E,) of each option.
        of_convolutions: the weights (convolutions, E) of the convolutions.
    """

    def __init__(self, edges: Sequence[Edge], options: tuple[str, ...], weights: Tensor) -> None:
        self.edges = edges
        self.convolutions = [name for name in GRIDS if name in options]
        self.columns = dict(zip(options, weights.unbind(1), strict=True))
        # Not by an index list: that would be copied to the device, which CUDA graphs cannot hold.
        self.of_convolutions = torch.stack([self.columns[name] for name in self.convolutions])

    def layers(self, option: str) -> list[nn.Module]:
        """The convolution ``option`` of each edge."""
        return [edge[option] for edge in self.edges]

    def merged_bias(self) -> Tensor:
        """(E * O,)."""
        biases = _stacked(_bias, [m for name in self.convolutions for m in self.layers(name)])
        of_edges = biases.view(*self.of_convolutions.shape, -1)
        return (of_edges * self.of_convolutions.unsqueeze(2)).sum(0).flatten()


class MergedEdges(NamedTuple):
    """Edges that read one node, ready to run.

    Attributes:
        edges: how many.
        kernels: of all of them.
        bias: (edges * O,).
    """

    edges: int
    kernels: MergedKernels
    bias: Tensor

    def split(self, counts: Sequence[int]) -> Iterator[MergedEdges]:
        """Parts of successive edges."""
        channels = len(self.bias) // self.edges
        outputs = [count * channels for count in counts]
        kernels = zip(*(torch.split(kernel, outputs) for kernel in self.kernels), strict=True)
        biases = torch.split(self.bias, outputs)
        for part in zip(counts, kernels, biases, strict=True):
            yield MergedEdges(*part)

    def __call__(self, x: Tensor, *, stride: int = 1, rectify: bool = True) -> tuple[Tensor, ...]:
        """Convolve (N, C, H, W): the output of each edge."""
        outputs = self.together(x, stride=stride, rectify=rectify)
        return outputs.chunk(self.edges, 1) if self.edges > 1 else (outputs,)

    def together(self, x: Tensor, *, stride: int = 1, rectify: bool = True) -> Tensor:
        """The outputs of all edges in one, (N, edges * O, H', W')."""
        return merged_conv2d(x, self.kernels, self.bias, stride=stride, rectify=rectify)


class StackedEdges:
    """The parameters of groups of edges, stacked once for several passes.

    Args:
        groups: all spectrally normalised, or none.
    """

    def __init__(self, groups: Sequence[EdgeGroup]) -> None:
        self._groups = groups
        self._blocks = [group.layers(name) for group in groups for name in group.convolutions]
        self._normalised = isinstance(self._blocks[0][0], SpectralNormLayer)
        self._by_shape: list[tuple[list[int], Tensor]] = []
        self._stacks: list[Tensor] = [torch.empty(0)] * len(self._blocks)
        for members in self._shapes():
            layers = [layer for k in members for layer in self._blocks[k]]
            stacked = _stacked(_weight, layers)
            self._by_shape.append((members, stacked))
            parts = [stacked]
            if len(members) > 1:
                parts = list(torch.split(stacked, [len(self._blocks[k]) for k in members]))
            for k, part in zip(members, parts, strict=True):
                self._stacks[k] = part
        self._biases = [group.merged_bias() for group in groups]

    def merge(self) -> list[MergedEdges]:
        """Merge the convolutions of each group; spectral norms advance by one pass."""
        sigmas = self._sigmas() if self._normalised else None
        merged, start = [], 0
        for group, bias in zip(self._groups, self._biases, strict=True):
            end = start + len(group.convolutions)
            coefficients = group.of_convolutions
            if sigmas is not None:
                coefficients = coefficients / torch.stack(sigmas[start:end])
            grids = [GRIDS[name] for name in group.convolutions]
            kernels = merge_kernels(coefficients, grids, self._stacks[start:end])
            merged.append(MergedEdges(len(group.edges), kernels, bias))
            start = end
        return merged

    def _shapes(self) -> list[list[int]]:
        """The blocks that are stacked together: by shape, where that batches spectral norms."""
        if not self._normalised:
            return [[k] for k in range(len(self._blocks))]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for k, layers in enumerate(self._blocks):
            by_shape.setdefault(tuple(_weight(layers[0]).shape), []).append(k)
        return list(by_shape.values())

    def _sigmas(self) -> list[Tensor]:
        found = [torch.empty(0)] * len(self._blocks)
        for members, stacked in self._by_shape:
            layers = [m for k in members for m in self._blocks[k]]
            normalised = [layer for layer in layers if isinstance(layer, SpectralNormLayer)]
            sigmas = batched_spectral_norms(normalised, stacked)
            parts = torch.split(sigmas, [len(self._blocks[k]) for k in members])
            for k, part in zip(members, parts, strict=True):
                found[k] = part
        return found


def converge(
    parts: Sequence[MergedEdges], maps: Sequence[Tensor], *, stride: int = 1
) -> tuple[Tensor, ...]:
    """What edges of several nodes add up to in each node that they feed.

    Where launches are dear, the maps are one input of more channels.

    Args:
        parts: the edges of each node read; all feed the same nodes, in the same order.
        maps: the nodes read, (N, C, H, W).
        stride: step, pixels.
    """
    if not launches_are_dear(maps[0]):
        outputs = [part(x, stride=stride) for part, x in zip(parts, maps, strict=True)]
        return tuple(sum(rest, first) for first, *rest in zip(*outputs, strict=True))
    return joined(parts)(torch.cat(list(maps), 1).relu_(), stride=stride, rectify=False)


def joined(parts: Sequence[MergedEdges]) -> MergedEdges:
    """Edges that feed the same nodes from several, as edges from one node of all their channels."""
    kernels = tuple(torch.cat(same, 1) for same in zip(*(p.kernels for p in parts), strict=True))
    first, *rest = (part.bias for part in parts)
    return MergedEdges(parts[0].edges, kernels, sum(rest, first))


def add_scaled(y: Tensor, x: Tensor, scale: Tensor) -> Tensor:
    """``y + scale * x`` for a scalar ``scale``."""
    return _AddScaled.apply(y, x, scale.to(y.dtype))  # type: ignore[no-any-return]


def add_each(y: Tensor, x: Tensor, scales: Tensor) -> Tensor:
    """Add ``scales[e] * x`` (N, C, H, W) to each of the E maps of ``y`` (N, E * C, H, W)."""
    of_edges = by_edge(y, len(scales))
    return add_scaled(of_edges, x.unsqueeze(1), scales.view(-1, 1, 1, 1)).flatten(1, 2)


def by_edge(y: Tensor, edges: int) -> Tensor:
    """Maps (N, E * C, H, W) as (N, E, C, H, W)."""
    return torch.unflatten(y, 1, (edges, -1))


class _AddScaled(torch.autograd.Function):
    """See `add_scaled`. Without the factor 1 that addcmul's backward multiplies by."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(x if ctx.needs_input_grad[2] else None, scale)
        ctx.of_x = x.shape
        return torch.addcmul(y, x, scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, scale = ctx.saved_tensors
        gradient = gradients[0]
        _, needs_x, needs_scale = ctx.needs_input_grad
        for_x = (gradient * scale).sum_to_size(ctx.of_x) if needs_x else None
        for_scale = (gradient * x).sum_to_size(scale.shape) if needs_scale else None
        return gradient, for_x, for_scale


def _stacked(tensor_of: Callable[[nn.Module], Tensor], layers: Sequence[nn.Module]) -> Tensor:
    key = (tensor_of, *layers)
    return made_once(key, lambda: stack_kernels([tensor_of(layer) for layer in layers]))


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight_orig if isinstance(layer, SpectralNormLayer) else layer.weight
    assert isinstance(weight, Tensor)
    return weight


def _bias(layer: nn.Module) -> Tensor:
    assert isinstance(layer.bias, Tensor)
    return layer.bias
