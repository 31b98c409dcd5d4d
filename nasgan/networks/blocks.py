"""Residual blocks of the SNGAN family (Miyato et al. 2018, appendix B.4)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.networks.conditional import apply_norm, make_norm
from nasgan.networks.resampling import PooledConv2d, upsample_conv
from nasgan.networks.spectral_norm import SNConv2d, SNLinear

__all__ = ["DiscriminatorBlock", "GeneratorBlock", "conv2d", "linear", "sum_pool"]


def conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    spectral_norm: bool,
    pool: bool = False,
) -> nn.Module:
    """A "same" convolution with bias, spectrally normalised or not, 2x2 average-pooled or not."""
    if spectral_norm:
        return SNConv2d(in_channels, out_channels, kernel_size, pool=pool)
    if pool:
        return PooledConv2d(in_channels, out_channels, kernel_size)
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)


def linear(
    in_features: int, out_features: int, *, spectral_norm: bool, bias: bool = True
) -> nn.Module:
    """A linear layer, spectrally normalised or not."""
    layer = SNLinear if spectral_norm else nn.Linear
    return layer(in_features, out_features, bias=bias)


def sum_pool(x: Tensor) -> Tensor:
    """Rectify (N, C, H, W) and add up over the pixels: (N, C)."""
    return F.relu(x).sum((2, 3))


class DiscriminatorBlock(nn.Module):
    """ReLU, conv 3x3, ReLU, conv 3x3, then average pooling, beside a shortcut.

    Args:
        in_channels: channels of the input.
        out_channels: channels inside and of the output.
        pool: halve the resolution; the shortcut then is a pooled 1x1 convolution, else the identity
            (which needs equal widths).
        first: the block sees the image: no leading ReLU.
        spectral_norm: normalise the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        pool: bool,
        spectral_norm: bool,
        first: bool = False,
    ) -> None:
        super().__init__()
        self.first = first
        self.conv1 = conv2d(in_channels, out_channels, 3, spectral_norm=spectral_norm)
        self.conv2 = conv2d(out_channels, out_channels, 3, spectral_norm=spectral_norm, pool=pool)
        self.pool_input = pool and first
        self.shortcut: nn.Module = nn.Identity()
        if pool or in_channels != out_channels:
            # The first block pools before the 1x1 convolution by definition, the others after it.
            pool_after = pool and not first
            self.shortcut = conv2d(
                in_channels, out_channels, 1, spectral_norm=spectral_norm, pool=pool_after
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W), or half the size with pooling."""
        branch = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        direct = self.shortcut(F.avg_pool2d(x, 2) if self.pool_input else x)
        y: Tensor = branch + direct
        return y


class GeneratorBlock(nn.Module):
    """Batch norm, ReLU, doubling, conv 3x3, batch norm, ReLU, conv 3x3, beside a shortcut.

    The doubling is nearest; the shortcut doubles and applies a 1x1 convolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels inside and of the output.
        num_classes: of class-conditional batch norms, or 0.
    """

    def __init__(self, in_channels: int, out_channels: int, num_classes: int = 0) -> None:
        super().__init__()
        self.norm1 = make_norm("batch", in_channels, num_classes)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = make_norm("batch", out_channels, num_classes)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self.published_order = False

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, 2H, 2W)."""
        order = self.published_order
        h = F.relu(apply_norm(self.norm1, x, labels))
        h = upsample_conv(h, self.conv1, "nearest", published_order=order)
        h = F.relu(apply_norm(self.norm2, h, labels))
        y: Tensor = self.conv2(h)
        return y + upsample_conv(x, self.shortcut, "nearest", published_order=order)
