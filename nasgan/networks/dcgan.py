"""The convolutional pair of DCGAN (Radford et al. 2016, section 3 and figure 1).

The kernels are 4x4 with stride 2, which spread evenly over the pixels; the paper's are 5x5.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.networks.blocks import linear
from nasgan.networks.conditional import ClassProjection, apply_norm, check_labels, make_norm
from nasgan.networks.sizes import bottom_and_doublings
from nasgan.networks.spectral_norm import SNConv2d

__all__ = ["DCGANDiscriminator", "DCGANGenerator"]

_SLOPE = 0.2


class DCGANGenerator(nn.Module):
    """Linear, then transposed convolutions that double the map and halve the width; tanh.

    Batch norm and ReLU after all layers but the last.

    Args:
        image_size: 4 to 7 pixels doubled once or more (`bottom_and_doublings`).
        image_channels: 1 or 3, or as the data has.
        channels: width at the bottom, the widest; halved at each doubling.
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
        widths = [max(1, channels >> k) for k in range(doublings)] + [image_channels]
        self.linear = nn.Linear(latent_dim, widths[0] * self.bottom**2, bias=False)
        self.num_classes = num_classes
        self.norms = nn.ModuleList(make_norm("batch", width, num_classes) for width in widths[:-1])
        self.convs = nn.ModuleList(
            nn.ConvTranspose2d(below, above, 4, 2, 1, bias=k == doublings - 1)
            for k, (below, above) in enumerate(pairwise(widths))
        )

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
        for norm, conv in zip(self.norms, self.convs, strict=True):
            h = conv(F.relu(apply_norm(norm, h, labels)))
        return torch.tanh(h)


class DCGANDiscriminator(nn.Module):
    """Convolutions of stride 2 that halve the map and double the width, then one logit.

    Leaky ReLU of slope 0.2; batch norm after all convolutions but the first, or spectral norm
    instead of it.

    Args:
        image_size: 4 to 7 pixels doubled once or more (`bottom_and_doublings`).
        image_channels: 1 or 3, or as the data has.
        channels: width of the last convolution, the widest; halved towards the image.
        spectral_norm: normalise the weights, and leave out batch norm.
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
        bottom, doublings = bottom_and_doublings(image_size)
        widths = [image_channels] + [max(1, channels >> k) for k in reversed(range(doublings))]
        layers: list[nn.Module] = []
        for k, (below, above) in enumerate(pairwise(widths)):
            has_norm = k > 0 and not spectral_norm
            if spectral_norm:
                layers.append(SNConv2d(below, above, 4, stride=2, padding=1))
            else:
                layers.append(nn.Conv2d(below, above, 4, 2, 1, bias=not has_norm))
            if has_norm:
                layers.append(nn.BatchNorm2d(above))
            layers.append(nn.LeakyReLU(_SLOPE))
        self.features = nn.Sequential(*layers)
        features = widths[-1] * bottom**2
        self.linear = linear(features, outputs, spectral_norm=spectral_norm)
        self.projection = ClassProjection(features, num_classes, spectral_norm=spectral_norm)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map images (N, image_channels, S, S), of ``labels`` if any, to logits (N, outputs)."""
        h = self.features(x).flatten(1)
        logits: Tensor = self.projection(self.linear(h), h, labels)
        return logits
