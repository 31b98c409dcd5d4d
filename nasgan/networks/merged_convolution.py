"""A weighted sum of convolutions of one input, computed as one convolution.

Convolutions are linear, so ``sum_k c_k conv(x, W_k) = conv(x, sum_k c_k W_k)`` once all kernels
are embedded in a common grid of taps. Kernels of up to 5x5 taps with dilation 1 or 2 reach offsets
of up to 4 pixels; together they touch 41 taps: a dense 5x5 square, and around it a ring of 16 taps
two pixels apart (the rim of the dilated 5x5 kernel). 1x1, 3x3, 5x5, dilated 3x3 and dilated 5x5 one
by one cost 69. Where launches are dear the dilated 5x5 kernel stays whole instead (50 taps, two
convolutions instead of three).

Kernels lie in channels-last order, edge by edge, so that those of several edges which read one map
are one convolution without being copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from nasgan.errors import ConfigError
from nasgan.networks.passes import autocast_type, launches_are_dear

__all__ = ["MergedKernels", "TapGrid", "merge_kernels", "merged_conv2d", "stack_kernels"]

_REACH = 4


class TapGrid(NamedTuple):
    """The taps of a kernel: ``size`` x ``size`` of them, ``dilation`` pixels apart."""

    size: int
    dilation: int = 1

    @property
    def reach(self) -> int:
        """The largest offset from the centre, pixels."""
        return self.dilation * (self.size // 2)


#: The sum of embedded kernels, those of successive edges one after the other: (outputs, I, 5, 5),
#: the square, and what lies around it: (outputs, I, 2, 5) and (outputs, I, 3, 2), the ring's
#: upper and lower row, offsets -4 and 4, and what remains of its left and right column; or in one,
#: where launches are dear, (outputs, I, 5, 5), the dilated kernel.
MergedKernels: TypeAlias = tuple[Tensor, ...]


def stack_kernels(weights: Sequence[Tensor]) -> Tensor:
    """Weights (O, I, k, k) of equal shape as one tensor (E, O, k, k, I), or vectors as a matrix.

    Gradients come back as views that need no copy.
    """
    if weights[0].ndim == 1:
        return torch.stack(list(weights))
    return torch.stack([weight.permute(0, 2, 3, 1) for weight in weights])


def merge_kernels(
    coefficients: Tensor,
    grids: Sequence[TapGrid],
    stacks: Sequence[Tensor],
    *,
    split_ring: bool | None = None,
) -> MergedKernels:
    """Embed the candidates of each edge in the common grid and add them up.

    Args:
        coefficients: (K, E), what each candidate counts.
        grids: the taps of the K candidates; the first is the dense 5x5.
        stacks: the kernels of each candidate, (E, O, size, size, I); see `stack_kernels`.
        split_ring: whether the dilated 5x5 is divided into the square and two small kernels (41
            products a pixel) or stays whole (50); by default whole where launches are dear.

    Raises:
        ConfigError: the first grid is not the dense 5x5, or a grid does not fit.
    """
    fits = all(grid.reach <= 2 for grid in grids if grid != (5, 2))
    if not grids or grids[0] != (5, 1) or not fits or list(grids).count(TapGrid(5, 2)) > 1:
        raise ConfigError(
            f"the first grid must be (5, 1), the others within it or, once, (5, 2); got {grids}"
        )
    if split_ring is None:
        split_ring = not launches_are_dear(stacks[0])
    merged = _Merge.apply(coefficients, tuple(grids), split_ring, *stacks)
    return tuple(autocast_type(kernel).flatten(0, 1).permute(0, 3, 1, 2) for kernel in merged)


def merged_conv2d(
    x: Tensor, kernels: MergedKernels, bias: Tensor, *, stride: int = 1, rectify: bool = True
) -> Tensor:
    """Convolve with "same" padding.

    Keeps only ``x`` and the kernels for the backward pass. On maps that the ring overshoots it is
    left out, which changes nothing.

    Args:
        x: (N, I, H, W).
        kernels: see `merge_kernels`.
        bias: (outputs,).
        stride: step, pixels.
        rectify: convolve relu(x).

    Returns:
        (N, outputs, H', W').
    """
    tensors = [autocast_type(tensor) for tensor in (x, bias, *kernels)]
    return _MergedConv.apply(stride, rectify, *tensors)  # type: ignore[no-any-return]


class _Merge(torch.autograd.Function):
    """See `merge_kernels`. Adds in place, which autograd's own slices could not."""

    @staticmethod
    def forward(
        ctx: Any,
        coefficients: Tensor,
        grids: tuple[TapGrid, ...],
        split_ring: bool,
        *stacks: Tensor,
    ) -> tuple[Tensor, ...]:
        factors = _factors(coefficients)
        dense = stacks[0] * factors[0]
        around: tuple[Tensor, ...] = ()
        for factor, grid, stack in zip(factors[1:], grids[1:], stacks[1:], strict=True):
            if grid.reach < _REACH:
                _inside(dense, grid).addcmul_(stack, factor)
            elif split_ring:
                middle = stack[:, :, 1:4]
                around = (stack[:, :, ::4] * factor, middle[:, :, :, ::4] * factor)
                _inside(dense, grid).addcmul_(middle[:, :, :, 1:4], factor)
            else:
                around = (stack * factor,)
        ctx.grids = grids
        ctx.save_for_backward(coefficients, *(stacks if ctx.needs_input_grad[0] else ()))
        return dense, *around

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        coefficients, *stacks = ctx.saved_tensors
        wholes = [_taps_of(grid, *gradients) for grid in ctx.grids]
        for_coefficients = None
        if stacks:
            sums = [(w * s).sum((1, 2, 3, 4)) for w, s in zip(wholes, stacks, strict=True)]
            for_coefficients = torch.stack(sums)
        factors = _factors(coefficients)
        for_stacks = [
            whole * factor if needed else None
            for whole, factor, needed in zip(wholes, factors, ctx.needs_input_grad[3:], strict=True)
        ]
        return for_coefficients, None, None, *for_stacks


class _MergedConv(torch.autograd.Function):
    """See `merged_conv2d`. Recomputes relu(x) and adds up in place."""

    @staticmethod
    def forward(
        ctx: Any, stride: int, rectify: bool, x: Tensor, bias: Tensor, *kernels: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, *kernels)
        ctx.options = stride, rectify
        rectified = F.relu(x) if rectify else x
        first_bias: Tensor | None = bias
        output: Tensor | None = None
        for kernel, padding, dilation in _convolutions(kernels, _side(x)):
            y = F.conv2d(rectified, kernel, first_bias, stride, padding, dilation)
            output, first_bias = y if output is None else output.add_(y), None
        assert output is not None
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, *kernels = ctx.saved_tensors
        stride, rectify = ctx.options
        needs_x, needs_bias, *needs_kernels = ctx.needs_input_grad[2:]
        # Gradients of the map alone do not read it, but for where it is positive.
        rectified = F.relu(x) if rectify and any(needs_kernels) else x
        gradient, for_input = gradients[0], None
        for_bias = None
        parts: list[Tensor | None] = []
        for kernel, padding, dilation in _convolutions(kernels, _side(x)):
            takes_bias = needs_bias and not parts
            from_input, from_kernel, from_bias = torch.ops.aten.convolution_backward(
                gradient, rectified, kernel, [kernel.shape[0]], [stride] * 2, list(padding),
                list(dilation), False, [0, 0], 1, [needs_x, any(needs_kernels), takes_bias],
            )  # fmt: skip
            for_bias = from_bias if takes_bias else for_bias
            if needs_x:
                for_input = from_input if for_input is None else for_input + from_input
            parts.append(from_kernel if any(needs_kernels) else None)
        if for_input is not None and rectify:
            for_input = torch.ops.aten.threshold_backward(for_input, rectified, 0)
        return None, None, for_input, for_bias, *_kernel_gradients(parts, kernels)


def _factors(coefficients: Tensor) -> tuple[Tensor, ...]:
    """Per candidate, (E, 1, 1, 1, 1)."""
    return coefficients.view(*coefficients.shape, 1, 1, 1, 1).unbind()


def _inside(dense: Tensor, grid: TapGrid) -> Tensor:
    """The taps of ``dense`` that ``grid`` touches."""
    first = max(0, 2 - grid.reach)
    taps = slice(first, 5 - first, grid.dilation)
    return dense[:, :, taps, taps]


def _taps_of(grid: TapGrid, dense: Tensor, *around: Tensor) -> Tensor:
    """The taps of ``grid`` out of merged kernels: the inverse of embedding."""
    if grid == (5, 1):
        return dense
    if grid.reach == _REACH and len(around) == 1:
        return around[0]
    inner = _inside(dense, grid)
    if grid.reach < _REACH:
        return inner
    rows, columns = around
    left, right = torch.split(columns, 1, dim=3)
    top, bottom = torch.split(rows, 1, dim=2)
    return torch.cat([top, torch.cat([left, inner, right], dim=3), bottom], dim=2)


def _side(x: Tensor) -> int:
    return max(x.shape[2:])


def _convolutions(
    kernels: Sequence[Tensor], side: int
) -> list[tuple[Tensor, tuple[int, int], tuple[int, int]]]:
    """Kernel, padding and dilation of each convolution that a map of ``side`` pixels needs."""
    dense, *around = kernels
    square = (dense, (2, 2), (1, 1))
    if len(around) == 1:
        return [square, (around[0], (4, 4), (2, 2))]
    if side <= 2:
        # Offsets of 2 pixels and more see only the padding.
        return [(dense[..., 1:4, 1:4], (1, 1), (1, 1))]
    if side <= _REACH or not around:
        return [square]
    rows, columns = around
    return [square, (rows, (4, 4), (8, 2)), (columns, (2, 4), (2, 8))]


def _kernel_gradients(
    parts: Sequence[Tensor | None], kernels: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradients of merged kernels from those of `_convolutions`; None where unused."""
    dense, *around = parts
    if dense is not None and dense.shape != kernels[0].shape:
        dense = F.pad(dense, (1, 1, 1, 1))
    unused = [None] * (len(kernels) - len(parts))
    return [dense, *around, *unused]
