"""A weighted sum of convolutions of one input, computed as one convolution.

Convolutions are linear, so ``sum_k c_k conv(x, W_k) = conv(x, sum_k c_k W_k)`` once all kernels
are embedded in a common grid of taps. Kernels of up to 5x5 taps with dilation 1 or 2 reach offsets
of up to 4 pixels; together they touch 41 taps: a dense 5x5 square, and around it a ring of 16 taps
two pixels apart (the rim of the dilated 5x5 kernel). 1x1, 3x3, 5x5, dilated 3x3 and dilated 5x5 one
by one cost 69.

Kernels lie in channels-last order, edge by edge, so that those of several edges which read one map
are one convolution without being copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nasgan.errors import ConfigError

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


class MergedKernels(NamedTuple):
    """The sum of embedded kernels, those of successive edges one after the other.

    Attributes:
        dense: (outputs, I, 5, 5), the square.
        rows: (outputs, I, 2, 5), the ring's upper and lower row, offsets -4 and 4.
        columns: (outputs, I, 3, 2), what remains of its left and right column.
    """

    dense: Tensor
    rows: Tensor
    columns: Tensor

    def split(self, outputs: Sequence[int]) -> list[MergedKernels]:
        """Parts that compute so many outputs each."""
        parts = zip(*(torch.split(kernel, list(outputs)) for kernel in self), strict=True)
        return [MergedKernels(*part) for part in parts]


def stack_kernels(weights: Sequence[Tensor]) -> Tensor:
    """Weights (O, I, k, k) of equal shape as one tensor (E, O, k, k, I), or vectors as a matrix.

    Gradients come back as views that need no copy.
    """
    if weights[0].ndim == 1:
        return torch.stack(list(weights))
    return torch.stack([weight.permute(0, 2, 3, 1) for weight in weights])


def merge_kernels(
    coefficients: Tensor, grids: Sequence[TapGrid], stacks: Sequence[Tensor]
) -> MergedKernels:
    """Embed the candidates of each edge in the common grid and add them up.

    Args:
        coefficients: (K, E), what each candidate counts.
        grids: the taps of the K candidates; the first is the dense 5x5.
        stacks: the kernels of each candidate, (E, O, size, size, I); see `stack_kernels`.

    Raises:
        ConfigError: the first grid is not the dense 5x5, or a grid does not fit.
    """
    fits = all(grid.reach <= 2 for grid in grids if grid != (5, 2))
    if not grids or grids[0] != (5, 1) or not fits or list(grids).count(TapGrid(5, 2)) > 1:
        raise ConfigError(
            f"the first grid must be (5, 1), the others within it or, once, (5, 2); got {grids}"
        )
    merged = _Merge.apply(coefficients, tuple(grids), *stacks)
    return MergedKernels(*(kernel.flatten(0, 1).permute(0, 3, 1, 2) for kernel in merged))


def merged_conv2d(
    x: Tensor,
    kernels: MergedKernels,
    bias: Tensor,
    *,
    stride: int = 1,
    rectify: bool = True,
    split_ring: bool | None = None,
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
        split_ring: whether the ring is two small kernels (16 products a pixel) or a dilated 5x5
            one with an empty centre (25, in one call); by default small ones on the CPU alone.

    Returns:
        (N, outputs, H', W').
    """
    if split_ring is None:
        split_ring = x.device.type in ("cpu", "meta")
    tensors: list[Tensor] = [x, *kernels, bias]
    kind = x.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        tensors = [tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors]
    return _MergedConv.apply(*tensors, stride, rectify, split_ring)  # type: ignore[no-any-return]


class _Merge(torch.autograd.Function):
    """See `merge_kernels`. Adds in place, which autograd's own slices could not."""

    @staticmethod
    def forward(
        ctx: Any, coefficients: Tensor, grids: tuple[TapGrid, ...], *stacks: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        edges, o, _, _, i = stacks[0].shape
        factors = _factors(coefficients)
        dense = stacks[0] * factors[0]
        rows = columns = None
        for factor, grid, stack in zip(factors[1:], grids[1:], stacks[1:], strict=True):
            inner = stack
            if grid.reach == _REACH:
                rows = stack[:, :, ::4] * factor
                middle = stack[:, :, 1:4]
                columns = middle[:, :, :, ::4] * factor
                inner = middle[:, :, :, 1:4]
            _inside(dense, grid).addcmul_(inner, factor)
        if rows is None or columns is None:
            rows, columns = dense.new_zeros(edges, o, 2, 5, i), dense.new_zeros(edges, o, 3, 2, i)
        ctx.grids = grids
        ctx.save_for_backward(coefficients, *(stacks if ctx.needs_input_grad[0] else ()))
        return dense, rows, columns

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
            for whole, factor, needed in zip(wholes, factors, ctx.needs_input_grad[2:], strict=True)
        ]
        return for_coefficients, None, *for_stacks


class _MergedConv(torch.autograd.Function):
    """See `merged_conv2d`. Recomputes relu(x) and adds up in place."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dense: Tensor,
        rows: Tensor,
        columns: Tensor,
        bias: Tensor,
        stride: int,
        rectify: bool,
        split_ring: bool,
    ) -> Tensor:
        ctx.save_for_backward(x, dense, rows, columns)
        ctx.options = stride, rectify, split_ring
        rectified = F.relu(x) if rectify else x
        first_bias: Tensor | None = bias
        output: Tensor | None = None
        for kernel, padding, dilation in _convolutions(dense, rows, columns, _side(x), split_ring):
            y = F.conv2d(rectified, kernel, first_bias, stride, padding, dilation)
            output, first_bias = y if output is None else output.add_(y), None
        assert output is not None
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, dense, rows, columns = ctx.saved_tensors
        stride, rectify, split_ring = ctx.options
        rectified = F.relu(x) if rectify else x
        gradient, for_input = gradients[0], None
        needs_x, *needs_kernels, needs_bias = ctx.needs_input_grad[:5]
        for_bias = None
        parts: list[Tensor | None] = []
        for kernel, padding, dilation in _convolutions(dense, rows, columns, _side(x), split_ring):
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
        return for_input, *_kernel_gradients(parts, dense), for_bias, None, None, None


def _factors(coefficients: Tensor) -> tuple[Tensor, ...]:
    """Per candidate, (E, 1, 1, 1, 1)."""
    return coefficients.view(*coefficients.shape, 1, 1, 1, 1).unbind()


def _inside(dense: Tensor, grid: TapGrid) -> Tensor:
    """The taps of ``dense`` that ``grid`` touches."""
    first = max(0, 2 - grid.reach)
    taps = slice(first, 5 - first, grid.dilation)
    return dense[:, :, taps, taps]


def _taps_of(grid: TapGrid, dense: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The taps of ``grid`` out of merged kernels: the inverse of embedding."""
    if grid == (5, 1):
        return dense
    inner = _inside(dense, grid)
    if grid.reach < _REACH:
        return inner
    left, right = torch.split(columns, 1, dim=3)
    top, bottom = torch.split(rows, 1, dim=2)
    return torch.cat([top, torch.cat([left, inner, right], dim=3), bottom], dim=2)


def _side(x: Tensor) -> int:
    return max(x.shape[2:])


def _convolutions(
    dense: Tensor, rows: Tensor, columns: Tensor, side: int, split_ring: bool
) -> list[tuple[Tensor, tuple[int, int], tuple[int, int]]]:
    """Kernel, padding and dilation of each convolution that a map of ``side`` pixels needs."""
    if side <= 2:
        # Offsets of 2 pixels and more see only the padding.
        return [(dense[..., 1:4, 1:4], (1, 1), (1, 1))]
    square = (dense, (2, 2), (1, 1))
    if side <= _REACH:
        return [square]
    if split_ring:
        return [square, (rows, (4, 4), (8, 2)), (columns, (2, 4), (2, 8))]
    ring = torch.zeros_like(dense)
    ring[..., ::4, :], ring[..., 1:4, ::4] = rows, columns
    return [square, (ring, (4, 4), (2, 2))]


def _kernel_gradients(parts: Sequence[Tensor | None], kernel: Tensor) -> list[Tensor | None]:
    """The gradients of dense, rows and columns from those of `_convolutions`; None where unused."""
    dense = parts[0]
    if dense is not None and dense.shape != kernel.shape:
        dense = F.pad(dense, (1, 1, 1, 1))
    if len(parts) == 2 and parts[1] is not None:
        return [dense, parts[1][..., ::4, :], parts[1][..., 1:4, ::4]]
    return [dense, *parts[1:], None, None][:3]
