"""The fixed discriminator of AutoGAN and AdversarialNAS, which grows with the images."""

from __future__ import annotations

from torch import Tensor, nn

from nasgan.errors import ConfigError
from nasgan.networks.blocks import DiscriminatorBlock, linear, sum_pool
from nasgan.networks.conditional import ClassProjection

__all__ = ["AutoGANDiscriminator"]

_LAST_STAGE = 2


class AutoGANDiscriminator(nn.Module):
    """Four residual blocks, sum over the pixels, one logit (Gong et al. 2019; SNGAN style).

    The first two blocks halve the resolution. While a search grows, stage 0 uses blocks 1 and 4,
    stage 1 blocks 1, 2 and 4, stage 2 all.

    Args:
        image_size: side of the final images, pixels; a quarter and a half of it are the images of
            stages 0 and 1.
        image_channels: 1 or 3, or as the data has.
        channels: width of all blocks.
        spectral_norm: normalise all convolutions and the linear layer.
        num_classes: of a projection discriminator (Miyato & Koyama 2018), or 0.
        outputs: numbers for an image; one logit.

    Raises:
        ConfigError: the images are too small to be halved twice.
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
        if image_size < 8 or image_size % 4:
            raise ConfigError(
                f"AutoGAN's discriminator needs an image_size of 8, 12, 16, ... (it grows from a "
                f"quarter to the whole), got {image_size}"
            )
        self.image_size = image_size

        def block(in_channels: int, *, pool: bool, first: bool = False) -> DiscriminatorBlock:
            return DiscriminatorBlock(
                in_channels, channels, pool=pool, first=first, spectral_norm=spectral_norm
            )

        self.block1 = block(image_channels, pool=True, first=True)
        self.block2 = block(channels, pool=True)
        self.block3 = block(channels, pool=False)
        self.block4 = block(channels, pool=False)
        self.linear = linear(channels, outputs, spectral_norm=spectral_norm, bias=False)
        self.projection = ClassProjection(channels, num_classes, spectral_norm=spectral_norm)

    def forward(
        self, x: Tensor, *, stage: int | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Map images (N, image_channels, H, H) to logits (N, outputs).

        Args:
            x: images of a stage, in [-1, 1].
            stage: 0, 1 or 2; by default told from the size of the images.
            labels: int64 (N,), if the network is class-conditional.

        Raises:
            ConfigError: no such stage, no stage has images of this size, or labels do not fit.
        """
        stage = self.stage_of(x.shape[-1]) if stage is None else stage
        if not 0 <= stage <= _LAST_STAGE:
            raise ConfigError(f"AutoGAN's discriminator has stages 0, 1 and 2, got stage {stage}")
        h = self.block1(x)
        if stage >= 1:
            h = self.block2(h)
        if stage == _LAST_STAGE:
            h = self.block3(h)
        h = sum_pool(self.block4(h))
        logits: Tensor = self.projection(self.linear(h), h, labels)
        return logits

    def stage_of(self, side: int) -> int:
        """The stage whose images have this ``side``, pixels.

        Raises:
            ConfigError: none has.
        """
        sides = [self.image_size // 4, self.image_size // 2, self.image_size]
        if side not in sides:
            raise ConfigError(
                f"AutoGAN's discriminator for {self.image_size} px images takes sides of "
                f"{sides[0]}, {sides[1]} and {sides[2]} px, got {side}; pass stage= to override"
            )
        return sides.index(side)
