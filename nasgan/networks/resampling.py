"""Resampling next to convolutions, rearranged into cheaper operations of equal value.

All rearrangements are exact up to rounding. A module that uses one has an attribute
``published_order``; setting it (`set_published_order`) runs the operations as published, which
`nasgan.networks.cost.count_macs` and comparisons use.
"""

from __future__ import annotations

from functools import lru_cache

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

    Where torch is asked for algorithms that repeat, and for gradients, an accelerator enlarges
    bilinearly by a fixed transposed convolution: torch's own backward pass adds up in any order,
    and what it takes instead costs many launches.

    Args:
        x: the maps.
        mode: ``"nearest"``, or ``"bilinear"`` (without aligned corners).
        factor: how many times larger each side becomes.

    Raises:
        UnknownNameError: no such mode.
    """
    if mode not in _ALIGN_CORNERS:
        raise UnknownNameError("interpolation", mode, _ALIGN_CORNERS)
    if mode == "bilinear" and factor % 2 == 0 and _must_repeat(x):
        return _enlarged(x, factor)
    return F.interpolate(x, scale_factor=factor, mode=mode, align_corners=_ALIGN_CORNERS[mode])


def _must_repeat(x: Tensor) -> bool:
    repeats = torch.are_deterministic_algorithms_enabled()
    return repeats and launches_are_dear(x) and torch.is_grad_enabled() and x.requires_grad


def _enlarged(x: Tensor, factor: int) -> Tensor:
    """Bilinear enlargement by an even ``factor``: two operators, as many backwards."""
    height, width = x.shape[2:]
    kernel, scale = _bilinear(factor, height, width, x.dtype, x.device)
    weight = kernel.expand(x.shape[1], 1, -1, -1)
    with full_precision(x.device):
        y = F.conv_transpose2d(x, weight, stride=factor, padding=factor // 2, groups=x.shape[1])
        return y * scale


@lru_cache(maxsize=64)
def _bilinear(
    factor: int, height: int, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The kernel, and what makes up for the neighbours that pixels at the rim lack."""
    side = [1 - abs(k + 0.5 - factor) / factor for k in range(2 * factor)]

    def rim(length: int) -> list[float]:
        # Beyond the outermost pixel's centre its own share is all that there is.
        first = [1 / side[factor // 2 + k] for k in range(factor // 2)]
        if length == 1:
            return first + first[::-1]
        return first + [1.0] * (length * factor - factor) + first[::-1]

    taps = torch.tensor(side, dtype=torch.float64)
    rows = torch.tensor(rim(height), dtype=torch.float64)
    columns = torch.tensor(rim(width), dtype=torch.float64)
    made = torch.outer(taps, taps), torch.outer(rows, columns)
    kernel, scale = (tensor.to(device=device, dtype=dtype) for tensor in made)
    return kernel, scale


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
