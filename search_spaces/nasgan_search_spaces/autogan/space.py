"""The search space of AutoGAN (Gong et al. 2019, section 3.1)."""

from __future__ import annotations

from torch import nn

from nasgan.architecture import Architecture, Decision
from nasgan.contracts import SearchSpace, Supernet
from nasgan.errors import ConfigError
from nasgan.graph import Graph
from nasgan.networks.autogan_discriminator import AutoGANDiscriminator
from nasgan_search_spaces.autogan.decisions import CELLS, DECISIONS, NAME, VERSION
from nasgan_search_spaces.autogan.drawing import draw_discriminator, draw_generator
from nasgan_search_spaces.autogan.networks import (
    DerivedGenerator,
    SuperDiscriminator,
    SuperGenerator,
)
from nasgan_search_spaces.halves import sized

__all__ = ["AutoGANSpace"]

_ENLARGEMENT = 2 ** len(CELLS)
_LEAST_BOTTOM = 2


class AutoGANSpace(SearchSpace):
    """373,248 generators of three cells, decided in three stages; a fixed discriminator.

    The discriminator is AutoGAN's own, which grows with the stages.

    Args:
        image_size: 8 x the bottom width, which is at least 2 pixels: 16, 24, 32 (the paper's
            CIFAR-10, bottom 4), 40, 48 (its STL-10, bottom 6), ...
        image_channels: see `nasgan.contracts.NetworkSettings` for this and the following.
        generator_channels: as there; the paper searches with 128 and trains with 256.
        discriminator_channels: as there; the paper searches with 64 and trains with 128.
        latent_dim: as there; the paper's is 128.
        spectral_norm: as there.
        num_classes: as there; the classes choose the batch norms and are joined to the latent, and
            the logit is a projection discriminator's.

    Raises:
        ConfigError: no such image size.
    """

    name = NAME
    version = VERSION
    supports_classes = True
    supports_outputs = True

    def check_network(self) -> None:
        """The image size must be 8 x a bottom width of at least 2."""
        _check_image_size(self.network.image_size)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The 14 decisions in published order; all shape the generator."""
        return DECISIONS

    def stage_image_size(self, stage: int) -> int:
        """A quarter, a half and all of the image size at stages 0, 1 and 2."""
        return self.network.image_size >> (len(CELLS) - 1 - stage)

    def build_generator(self, architecture: Architecture) -> nn.Module:
        """The generator of ``architecture``."""
        self.validate(architecture)
        return DerivedGenerator(self.network, architecture)

    def build_discriminator(self, architecture: Architecture) -> nn.Module:
        """AutoGAN's discriminator, the same for every ``architecture``."""
        self.validate(architecture)
        return sized(AutoGANDiscriminator, "discriminator", self.network)

    def describe(self, architecture: Architecture) -> tuple[Graph, ...]:
        """See `SearchSpace.describe`."""
        self.validate(architecture)
        side = self.network.image_size
        return draw_generator(architecture, side), draw_discriminator(side)

    def build_supernet(self) -> Supernet:
        """The weight-sharing pair; both halves grow with the stages."""
        discriminator = sized(SuperDiscriminator, "discriminator", self.network)
        return Supernet(SuperGenerator(self.network), discriminator)


def _check_image_size(image_size: int) -> None:
    bottom, rest = divmod(image_size, _ENLARGEMENT)
    if rest == 0 and bottom >= _LEAST_BOTTOM:
        return
    below = max(bottom, _LEAST_BOTTOM) * _ENLARGEMENT
    near = f"{below} or {below + _ENLARGEMENT}" if bottom >= _LEAST_BOTTOM else f"{below}"
    raise ConfigError(
        f"image_size must be 8 x the bottom width, which is at least 2 (16, 24, 32, 40, 48, ...), "
        f"got {image_size}; the nearest is {near}"
    )
