"""Resampling next to convolutions, rearranged into cheaper operations of equal value.

All rearrangements are exact up to rounding. A module that uses one has an attribute
``published_order``; setting it (`set_published_order`) runs the operations as published, which
`nasgan.networks.cost.count_macs` and comparisons use.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.errors import UnknownNameError
from nasgan.networks.passes import full_precision, launches_are_dear

__all__ = [
    "PooledConv2d",
    "pooled_conv2d",
    "set_published_order",
    "upsample",
    "upsample_conv",
]

_ALIGN_CORNERS = {"bilinear": False, "nearest": None}

# A strided 4x4 kernel is made anew from the 3x3 one at each pass. That, forward and backward, costs
# a CPU more than the arithmetic saved unless the small maps of the batch have this many pixels per
# channel together (measured at 32 to 256 channels).
_LEAST_PIXELS_WHEN_ENLARGING = 4
_LEAST_PIXELS_WHEN_POOLING = 1


def upsample(x: Tensor, mode: str, factor: int = 2) -> Tensor:
    """Enlarge (N, C, H, W) by a whole ``factor``.

    Where torch is asked for algorithms that repeat, gradients of bilinear maps on an accelerator go
    back by a fixed strided convolution: torch's own backward pass adds up in any order, and what it
    takes instead, without gradients, too, costs many launches.

    Args:
        x: the maps.
        mode: ``"nearest"``, or ``"bilinear"`` (without aligned corners).
        factor: how many times larger each side becomes.

    Raises:
        UnknownNameError: no such mode.
    """
    if mode not in _ALIGN_CORNERS:
        raise UnknownNameError("interpolation", mode, _ALIGN_CORNERS)
    if mode == "bilinear" and _must_repeat(x):
        enlarged: Tensor = _Enlarge.apply(x, factor)
        return enlarged
    return F.interpolate(x, scale_factor=factor, mode=mode, align_corners=_ALIGN_CORNERS[mode])


def _must_repeat(x: Tensor) -> bool:
    return torch.are_deterministic_algorithms_enabled() and launches_are_dear(x)


class _Enlarge(torch.autograd.Function):
    """Bilinear enlargement: torch's forward pass, which repeats, and its transpose backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: int) -> Tensor:
        ctx.factor, ctx.of_x = factor, x.shape
        scales = [float(factor)] * 2
        y: Tensor = torch.ops.aten.upsample_bilinear2d.vec(x, None, False, scales)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient, factor = gradients[0], ctx.factor
        kernel, scale = _bilinear(factor, *ctx.of_x[1:], gradient.dtype, gradient.device)
        with full_precision(gradient.device):
            scaled = gradient * scale
            of_x = F.conv2d(scaled, kernel, stride=factor, padding=factor // 2, groups=ctx.of_x[1])
        return of_x, None


@lru_cache(maxsize=64)
def _bilinear(
    factor: int, channels: int, height: int, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The kernel, and what makes up for the neighbours that pixels at the rim lack."""

    def counted(length: int) -> Tensor:
        return torch.arange(length, dtype=torch.float64, device=device)

    def gain(length: int) -> Tensor:
        # Beyond the outermost pixel's centre its own share is all that there is.
        centre = (counted(length * factor) + 0.5) / factor - 0.5
        return 1 / (1 - (-centre).clamp(min=0) - (centre - (length - 1)).clamp(min=0))

    side = 2 * factor - factor % 2
    taps = 1 - (counted(side) - (side - 1) / 2).abs() / factor
    kernel = torch.outer(taps, taps).repeat(channels, 1, 1, 1)
    return kernel.to(dtype), torch.outer(gain(height), gain(width)).to(dtype)


def upsample_conv(
    x: Tensor,
    conv: nn.Conv2d,
    mode: str,
    factor: int = 2,
    *,
    published_order: bool = False,
) -> Tensor:
    """``conv(upsample(x, mode, factor))`` at less cost.

    A 1x1 convolution commutes with interpolation (its weights at each pixel add up to 1, so the
    bias does too): it runs on the small map. Nearest doubling followed by a 3x3 convolution is one
    transposed 4x4 convolution of stride 2, with 4 instead of 9 products an output; used where the
    maps are large enough to gain.
    """
    if not published_order and conv.kernel_size == (1, 1):
        return upsample(conv(x), mode, factor)
    doubles = mode == "nearest" and factor == 2 and conv.kernel_size == (3, 3)
    pixels = x.shape[0] * x.shape[2] * x.shape[3]
    pays = pixels > _LEAST_PIXELS_WHEN_ENLARGING * x.shape[1]
    if not published_order and doubles and pays:
        kernel = 4 * _average_windows(conv.weight.flip(2, 3)).transpose(0, 1)
        return F.conv_transpose2d(x, kernel, conv.bias, stride=2, padding=1)
    y: Tensor = conv(upsample(x, mode, factor))
    return y


def pooled_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, published_order: bool = False
) -> Tensor:
    """A "same" convolution followed by 2x2 average pooling, at less cost.

    A 1x1 convolution commutes with the pooling. With a 3x3 kernel the pair is one 4x4 convolution
    of stride 2, with 4 instead of 9 products a pixel of the input; used where the maps are large
    enough to gain.

    Args:
        x: (N, C, H, W).
        weight: (O, C, k, k), k odd.
        bias: (O,) or None.
        published_order: convolve, then pool.
    """
    side = weight.shape[-1]
    pixels = x.shape[0] * (x.shape[2] // 2) * (x.shape[3] // 2)
    pays = pixels > _LEAST_PIXELS_WHEN_POOLING * x.shape[1]
    if not published_order and side == 1:
        return F.conv2d(F.avg_pool2d(x, 2), weight, bias)
    if not published_order and side == 3 and pays:
        return F.conv2d(x, _average_windows(weight), bias, stride=2, padding=1)
    return F.avg_pool2d(F.conv2d(x, weight, bias, padding=side // 2), 2)


class PooledConv2d(nn.Conv2d):
    """A "same" convolution followed by 2x2 average pooling; see `pooled_conv2d`."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.published_order = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name of nn.Conv2d
        """Map (N, in_channels, H, W) to (N, out_channels, H // 2, W // 2)."""
        return pooled_conv2d(input, self.weight, self.bias, published_order=self.published_order)


def set_published_order(network: nn.Module, enabled: bool = True) -> None:
    """Run the operations of ``network`` as published (costlier), or rearranged."""
    for module in network.modules():
        if hasattr(module, "published_order"):
            setattr(module, "published_order", enabled)  # noqa: B010 - declared by the module


def _average_windows(kernel: Tensor) -> Tensor:
    """The kernel (O, I, 4, 4) of a 3x3 kernel followed by an average over 2x2 windows."""
    return F.avg_pool2d(F.pad(kernel, (1, 1, 1, 1)), 2, stride=1)
