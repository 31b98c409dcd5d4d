"""``autogan_a`` and its training step, written plainly in the operations and order of publication.

Upsampling before the convolutions, pooling after them, torch's hook-based spectral norm, two
discriminator passes a step, generated images cut off from a generator graph that was built anyway,
discriminator gradients in generator steps, contiguous maps, a parameter average in a loop. What
`nasgan.training` is compared with; nothing of nasgan runs here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PlainDiscriminator", "PlainGenerator", "PlainStep"]


class PlainCell(nn.Module):
    """Pre-activation cell without norms (Gong et al. 2019, section 3.1)."""

    def __init__(self, channels: int, mode: str, skips: int, *, shortcut: bool) -> None:
        super().__init__()
        self.mode = mode
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(skips))
        self.shortcut = nn.Conv2d(channels, channels, 1) if shortcut else None

    def forward(self, x: Tensor, earlier: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Map (N, C, H, W) to the skip and the output, both (N, C, 2H, 2W)."""
        size = 2 * x.shape[-1]
        h = self.conv1(F.interpolate(F.relu(x), size=(size, size), mode=self.mode))
        for conv, skip in zip(self.skip, earlier, strict=True):
            h = h + conv(F.interpolate(skip, size=(size, size), mode=self.mode))
        y = self.conv2(F.relu(h))
        if self.shortcut is not None:
            y = y + self.shortcut(F.interpolate(x, size=(size, size), mode=self.mode))
        return h, y


class PlainGenerator(nn.Module):
    """``autogan_a``; its tensors come in the order of nasgan's generator.

    Args:
        channels: width.
        latent_dim: length of z.
        bottom: side of the first map, an eighth of the image.
    """

    def __init__(self, channels: int = 256, latent_dim: int = 128, bottom: int = 4) -> None:
        super().__init__()
        self.bottom = bottom
        self.linear = nn.Linear(latent_dim, channels * bottom**2)
        self.cell1 = PlainCell(channels, "nearest", 0, shortcut=True)
        self.cell2 = PlainCell(channels, "bilinear", 1, shortcut=True)
        self.cell3 = PlainCell(channels, "nearest", 2, shortcut=False)
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Map latents (N, latent_dim) to images (N, 3, S, S)."""
        h = self.linear(z).view(z.shape[0], -1, self.bottom, self.bottom)
        skips: list[Tensor] = []
        for cell in (self.cell1, self.cell2, self.cell3):
            skip, h = cell(h, skips)
            skips.append(skip)
        return torch.tanh(self.conv(F.relu(self.norm(h))))


def _normed_conv(in_channels: int, out_channels: int, side: int) -> nn.Module:
    conv = nn.Conv2d(in_channels, out_channels, side, padding=side // 2)
    return cast(nn.Module, nn.utils.spectral_norm(conv))


class PlainBlock(nn.Module):
    """Residual block; the first takes the image, the second is the other one that pools."""

    def __init__(self, in_channels: int, channels: int, *, pool: bool, first: bool = False) -> None:
        super().__init__()
        self.pool, self.first = pool, first
        self.conv1 = _normed_conv(in_channels, channels, 3)
        self.conv2 = _normed_conv(channels, channels, 3)
        self.shortcut = _normed_conv(in_channels, channels, 1) if pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to maps of the same or half the size."""
        y = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if not self.pool:
            return cast(Tensor, y + x)
        if self.first:
            return cast(Tensor, F.avg_pool2d(y, 2) + self.shortcut(F.avg_pool2d(x, 2)))
        return F.avg_pool2d(y, 2) + F.avg_pool2d(self.shortcut(x), 2)


class PlainDiscriminator(nn.Module):
    """AutoGAN's discriminator; its tensors have the names of nasgan's."""

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        self.block1 = PlainBlock(3, channels, pool=True, first=True)
        self.block2 = PlainBlock(channels, channels, pool=True)
        self.block3 = PlainBlock(channels, channels, pool=False)
        self.block4 = PlainBlock(channels, channels, pool=False)
        self.linear = nn.utils.spectral_norm(nn.Linear(channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, S, S) to logits (N, 1)."""
        h = self.block4(self.block3(self.block2(self.block1(x))))
        return cast(Tensor, self.linear(F.relu(h).sum((2, 3))))


class PlainStep:
    """The published training iteration: one generator step among ``n_critic`` critic steps.

    Args:
        generator: as above, on its device.
        discriminator: likewise.
        images: real images (N, 3, S, S), without end.
        latents: source of z.
        n_critic: discriminator steps.
    """

    def __init__(
        self,
        generator: PlainGenerator,
        discriminator: PlainDiscriminator,
        images: Iterator[Tensor],
        latents: torch.Generator,
        n_critic: int = 5,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.average = copy.deepcopy(generator)
        self._images, self._latents, self._n_critic = images, latents, n_critic
        self._adam_generator = torch.optim.Adam(generator.parameters(), 2e-4, (0.0, 0.9))
        self._adam_discriminator = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.0, 0.9))

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Run one iteration; the mean discriminator loss and the generator's."""
        losses = []
        loss_generator = torch.zeros(())
        for step in range(self._n_critic):
            real = next(self._images)
            losses.append(self._discriminator_step(real))
            if step == 0:
                loss_generator = self._generator_step(2 * len(real))
        return torch.stack(losses).mean(), loss_generator

    def _discriminator_step(self, real: Tensor) -> Tensor:
        self._adam_discriminator.zero_grad()
        on_real = self.discriminator(real)
        fake = self.generator(self._draw(len(real))).detach()
        on_fake = self.discriminator(fake)
        loss = F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()
        torch.autograd.backward(loss)
        self._adam_discriminator.step()
        return loss.detach()

    def _generator_step(self, count: int) -> Tensor:
        self._adam_generator.zero_grad()
        loss = -self.discriminator(self.generator(self._draw(count))).mean()
        torch.autograd.backward(loss)
        self._adam_generator.step()
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
            for mean, live in pairs:
                mean.mul_(0.999).add_(live, alpha=0.001)
        return cast(Tensor, loss.detach())

    def _draw(self, count: int) -> Tensor:
        like = self.generator.linear.weight
        shape = (count, like.shape[1])
        return torch.randn(shape, generator=self._latents, device=like.device, dtype=like.dtype)
