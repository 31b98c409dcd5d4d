"""The residual pair of SNGAN (Miyato et al. 2018, appendix B.4, tables 4 to 6)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.networks.blocks import DiscriminatorBlock, GeneratorBlock, linear, sum_pool
from nasgan.networks.conditional import ClassProjection, apply_norm, check_labels, make_norm
from nasgan.networks.sizes import bottom_and_doublings

__all__ = ["SNGANDiscriminator", "SNGANGenerator"]


class SNGANGenerator(nn.Module):
    """Linear, one residual block per doubling, batch norm, ReLU, conv 3x3, tanh.

    At 32 px this is the paper's CIFAR-10 generator (three blocks, 256 channels). Other sizes keep
    the width and change the number of blocks.

    Args:
        image_size: 4 to 7 pixels doubled once or more (`bottom_and_doublings`).
        image_channels: 1 or 3, or as the data has.
        channels: width of all blocks.
        latent_dim: length of z.
        num_classes: of class-conditional batch norms, or 0.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int = 3,
        channels: int = 256,
        latent_dim: int = 128,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        self.bottom, doublings = bottom_and_doublings(image_size)
        self.linear = nn.Linear(latent_dim, channels * self.bottom**2)
        self.num_classes = num_classes
        self.blocks = nn.ModuleList(
            GeneratorBlock(channels, channels, num_classes) for _ in range(doublings)
        )
        self.norm = make_norm("batch", channels, num_classes)
        self.conv = nn.Conv2d(channels, image_channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map latents (N, latent_dim) to images (N, image_channels, S, S) in [-1, 1].

        Args:
            z: latents.
            labels: int64 (N,), if the network is class-conditional.

        Raises:
            ConfigError: labels do not fit.
        """
        check_labels(labels, self.num_classes, len(z))
        h = self.linear(z).view(z.shape[0], -1, self.bottom, self.bottom)
        for block in self.blocks:
            h = block(h, labels)
        return torch.tanh(self.conv(F.relu(apply_norm(self.norm, h, labels))))


class SNGANDiscriminator(nn.Module):
    """Residual blocks that halve the image down to twice the bottom width, two more, one logit.

    At 32 px this is the paper's CIFAR-10 discriminator: two halving blocks and two others.

    Args:
        image_size: 4 to 7 pixels doubled once or more (`bottom_and_doublings`).
        image_channels: 1 or 3, or as the data has.
        channels: width of all blocks.
        spectral_norm: normalise all convolutions and the linear layer.
        num_classes: of a projection discriminator (Miyato & Koyama 2018), or 0.
        outputs: numbers for an image; one logit.
    """

    def __init__(
        self,
        *,
        image_size: int,
        image_channels: int = 3,
        channels: int = 128,
        spectral_norm: bool = True,
        num_classes: int = 0,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        _, doublings = bottom_and_doublings(image_size)
        halvings = max(1, doublings - 1)
        blocks = [
            DiscriminatorBlock(
                channels if k else image_channels,
                channels,
                pool=k < halvings,
                first=k == 0,
                spectral_norm=spectral_norm,
            )
            for k in range(halvings + 2)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.linear = linear(channels, outputs, spectral_norm=spectral_norm, bias=False)
        self.projection = ClassProjection(channels, num_classes, spectral_norm=spectral_norm)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map images (N, image_channels, S, S), of ``labels`` if any, to logits (N, outputs)."""
        h = sum_pool(self.blocks(x))
        logits: Tensor = self.projection(self.linear(h), h, labels)
        return logits
