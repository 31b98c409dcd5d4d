"""The layers that AGAN's modules are made of, in the style of the network that they are in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.architecture import Part
from nasgan.contracts import NetworkSettings
from nasgan.networks.conditional import apply_norm, make_norm
from nasgan.networks.spectral_norm import SNConv2d

__all__ = ["Attention", "Layers", "SNDepthwiseConv2d", "SeparableConv2d", "Style"]

_NORM = "norm"


@dataclass(frozen=True)
class Style:
    """How the layers of a network are built.

    Attributes:
        channels: width of all maps.
        batch_norm: normalise before each convolution, as generators do.
        spectral_norm: normalise the weights, as discriminators do.
        num_classes: of class-conditional batch norm; 0 is unconditional.
    """

    channels: int
    batch_norm: bool
    spectral_norm: bool
    num_classes: int

    @classmethod
    def of(cls, part: Part, network: NetworkSettings) -> Style:
        """That of the generator, or of the discriminator."""
        if part == "generator":
            return cls(network.generator_channels, True, False, network.num_classes)
        return cls(network.discriminator_channels, False, network.spectral_norm, 0)

    def norm(self) -> nn.Module:
        """Batch norm of the maps, class-conditional or not."""
        return make_norm("batch", self.channels, self.num_classes)

    def conv(
        self,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = True,
        in_channels: int | None = None,
        out_channels: int | None = None,
    ) -> nn.Module:
        """A convolution, by default of the width to the width, that keeps or divides the size."""
        layer = SNConv2d if self.spectral_norm else nn.Conv2d
        return layer(
            in_channels or self.channels,
            out_channels or self.channels,
            kernel_size,
            stride=stride,
            # A 4x4 kernel of stride 2 halves the map with the padding of a 3x3 one.
            padding=dilation * ((kernel_size - 1) // 2),
            dilation=dilation,
            bias=bias,
        )


class Layers(nn.ModuleDict):
    """Layers by the name of the option, and the batch norm in front of them under ``norm``.

    The options of one place read the same rectified map, so they share the norm.

    Args:
        layers: by option.
        style: of the network.
        normalised: whether any layer wants the norm.
    """

    def __init__(self, layers: dict[str, nn.Module], style: Style, *, normalised: bool) -> None:
        super().__init__(layers)
        if normalised and style.batch_norm:
            self[_NORM] = style.norm()

    def rectified(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """What convolutions read: relu(norm(x)) in generators, relu(x) in discriminators."""
        return F.relu(apply_norm(self[_NORM], x, labels) if _NORM in self else x)


class SNDepthwiseConv2d(SNConv2d):
    """A spectrally normalised "same" convolution of each channel by itself, without bias.

    As for other convolutions, the norm is that of the weight as a matrix (C, k * k).

    Args:
        channels: of the maps.
        kernel_size: side of the kernels, pixels; odd.
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(1, channels, kernel_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W)."""
        weight, factor = self.normalised_weight(x.shape[0])
        y = F.conv2d(x, weight, None, padding=self.padding, groups=x.shape[1])
        return y if factor is None else self._finish(y, factor)


class SeparableConv2d(nn.Sequential):
    """A depthwise-separable convolution: per channel k x k without bias, then 1x1 with.

    Args:
        style: of the network.
        kernel_size: side of the depthwise kernels, pixels; odd.
    """

    def __init__(self, style: Style, kernel_size: int) -> None:
        channels = style.channels
        depthwise: nn.Module
        if style.spectral_norm:
            depthwise = SNDepthwiseConv2d(channels, kernel_size)
        else:
            depthwise = nn.Conv2d(
                channels,
                channels,
                kernel_size,
                padding=kernel_size // 2,
                groups=channels,
                bias=False,
            )
        super().__init__(depthwise, style.conv(1))


class Attention(nn.Module):
    """Self-attention over the pixels, added to the map with a learned factor that starts at 0.

    Zhang et al. 2019 (SAGAN), section 3: queries and keys of an eighth of the width, values of half
    of it, keys and values max-pooled 2x2 as their published code does. It reads the map as it is.

    Args:
        style: of the network.
    """

    def __init__(self, style: Style) -> None:
        super().__init__()
        inner, half = max(1, style.channels // 8), max(1, style.channels // 2)
        self.query = style.conv(1, bias=False, out_channels=inner)
        self.key = style.conv(1, bias=False, out_channels=inner)
        self.value = style.conv(1, bias=False, out_channels=half)
        self.out = style.conv(1, bias=False, in_channels=half)
        self.factor = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W); H and W are at least 2."""
        n, _, height, width = x.shape
        query = self.query(x).flatten(2)
        key = F.max_pool2d(self.key(x), 2).flatten(2)
        value = F.max_pool2d(self.value(x), 2).flatten(2)
        # Not the fused attention, which has no second derivative for the gradient penalty.
        attention = torch.softmax(query.transpose(1, 2) @ key, dim=2)
        mixed = (value @ attention.transpose(1, 2)).view(n, -1, height, width)
        y: Tensor = x + self.factor * self.out(mixed)
        return y
