"""The operations of a slot: one runs, or a mixture does, its plain convolutions as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.networks.resampling import upsample_conv
from nasgan.networks.spectral_norm import SNConv2d
from nasgan_search_spaces.agan.choices import Choice, add, scaled
from nasgan_search_spaces.agan.decisions import ATTENTION
from nasgan_search_spaces.agan.layers import Attention, Layers, SeparableConv2d, Style

__all__ = ["Downsampling", "Operations", "Upsampling", "resampling"]

_IDENTITY = "identity"


class _Kernel(NamedTuple):
    size: int
    dilation: int = 1


_PLAIN = {
    "conv_1x1": _Kernel(1),
    "conv_3x3": _Kernel(3),
    "conv_5x5": _Kernel(5),
    "dil_conv_3x3": _Kernel(3, dilation=2),
}
_SEPARABLE = {"sep_conv_3x3": 3, "sep_conv_5x5": 5}
_REACH = 2


class Operations(Layers):
    """The normal operations, which keep the size of the map.

    Args:
        options: those that it holds.
        style: of the network.
    """

    def __init__(self, options: Sequence[str], style: Style) -> None:
        layers: dict[str, nn.Module] = {}
        for option in options:
            if option in _PLAIN:
                kernel = _PLAIN[option]
                layers[option] = style.conv(kernel.size, dilation=kernel.dilation)
            elif option in _SEPARABLE:
                layers[option] = SeparableConv2d(style, _SEPARABLE[option])
            elif option == ATTENTION:
                layers[option] = Attention(style)
        super().__init__(layers, style, normalised=bool(set(layers) - {ATTENTION}))

    def forward(self, x: Tensor, choice: Choice, labels: Tensor | None) -> Tensor:
        """Map (N, C, H, W) by the chosen operation, or add up all by their weights.

        In training under `nasgan.networks.spectral_norm.sample_groups`, a mixture takes no more
        than one group.
        """
        reads_relu = [option for option in choice if option in _PLAIN or option in _SEPARABLE]
        rectified = self.rectified(x, labels) if reads_relu else x
        plain = {option: scale for option, scale in choice.items() if option in _PLAIN}
        total: Tensor | None = None
        if len(plain) > 1:
            total = self._merged(rectified, plain)
        for option, scale in choice.items():
            if len(plain) > 1 and option in plain:
                continue
            source = rectified if option in reads_relu else x
            total = add(total, source if option == _IDENTITY else self[option](source), scale)
        assert total is not None
        return total

    def _merged(self, x: Tensor, choice: Choice) -> Tensor:
        """The weighted sum of plain convolutions: one, since all read the same map."""
        kernel: Tensor | None = None
        bias: Tensor | None = None
        for option, scale in choice.items():
            layer = self[option]
            kernel = add(kernel, _embedded(_weight(layer, len(x)), _PLAIN[option]), scale)
            assert isinstance(layer.bias, Tensor)
            bias = add(bias, layer.bias, scale)
        assert kernel is not None
        return F.conv2d(x, kernel, bias, padding=_REACH)


class Upsampling(Layers):
    """The operations that double a map.

    ``nearest`` and ``bilinear`` interpolate, then convolve 3x3; ``deconvolution`` is a transposed
    4x4 convolution of stride 2; ``sub_pixel`` convolves 3x3 to four times the channels, which
    become pixels (Shi et al. 2016).

    Args:
        options: those that it holds.
        style: of the network.
    """

    def __init__(self, options: Sequence[str], style: Style) -> None:
        channels = style.channels

        def layer(option: str) -> nn.Module:
            if option == "deconvolution":
                return nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)
            if option == "sub_pixel":
                return style.conv(3, out_channels=4 * channels)
            return style.conv(3)

        super().__init__({option: layer(option) for option in options}, style, normalised=True)
        self.published_order = False

    def forward(self, x: Tensor, choice: Choice, labels: Tensor | None) -> Tensor:
        """Map (N, C, H, W) to (N, C, 2H, 2W)."""
        rectified = self.rectified(x, labels)
        total: Tensor | None = None
        for option, scale in choice.items():
            total = add(total, self._run(option, rectified), scale)
        assert total is not None
        return total

    def _run(self, option: str, x: Tensor) -> Tensor:
        layer = self[option]
        if option == "deconvolution":
            y: Tensor = layer(x)
            return y
        if option == "sub_pixel":
            return F.pixel_shuffle(layer(x), 2)
        assert isinstance(layer, nn.Conv2d)
        return upsample_conv(x, layer, option, published_order=self.published_order)


class Downsampling(Layers):
    """The operations that halve a map of even size.

    ``avg_pool`` and ``max_pool`` pool 2x2, then convolve 1x1; ``conv_3x3`` and ``conv_4x4`` are
    convolutions of stride 2.

    Args:
        options: those that it holds.
        style: of the network.
    """

    def __init__(self, options: Sequence[str], style: Style) -> None:
        def layer(option: str) -> nn.Module:
            kernel_size = {"conv_3x3": 3, "conv_4x4": 4}.get(option)
            return style.conv(1) if kernel_size is None else style.conv(kernel_size, stride=2)

        super().__init__({option: layer(option) for option in options}, style, normalised=True)

    def forward(self, x: Tensor, choice: Choice, labels: Tensor | None) -> Tensor:
        """Map (N, C, H, W) to (N, C, H // 2, W // 2)."""
        rectified = self.rectified(x, labels)
        total: Tensor | None = None
        for option, scale in choice.items():
            total = add(total, self[option](_pooled(option, rectified)), scale)
        assert total is not None
        return total


def resampling(options: Sequence[str], style: Style, *, doubles: bool) -> nn.Module:
    """The operations that double, or halve, a map."""
    return Upsampling(options, style) if doubles else Downsampling(options, style)


def _pooled(option: str, x: Tensor) -> Tensor:
    if option == "avg_pool":
        return F.avg_pool2d(x, 2)
    return F.max_pool2d(x, 2) if option == "max_pool" else x


def _embedded(weight: Tensor, kernel: _Kernel) -> Tensor:
    """The kernel (O, I, size, size) on the grid of 5x5 taps."""
    if kernel.dilation == 1:
        margin = _REACH - kernel.size // 2
        return F.pad(weight, (margin,) * 4)
    spread = weight.new_zeros(*weight.shape[:2], 5, 5)
    spread[:, :, ::2, ::2] = weight
    return spread


def _weight(layer: nn.Module, batch_size: int) -> Tensor:
    if not isinstance(layer, SNConv2d):
        assert isinstance(layer.weight, Tensor)
        return layer.weight
    weight, factor = layer.normalised_weight(batch_size)
    return weight if factor is None else scaled(weight, factor[0])
