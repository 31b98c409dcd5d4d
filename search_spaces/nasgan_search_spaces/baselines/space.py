"""A tiny search space over hand-crafted networks, usable wherever an architecture is named."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from nasgan.architecture import Architecture, Decision
from nasgan.contracts import SearchSpace, Supernet, mix_options
from nasgan.errors import ArchitectureError
from nasgan.graph import Graph
from nasgan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from nasgan.networks.sizes import bottom_and_doublings
from nasgan.networks.sngan import SNGANDiscriminator, SNGANGenerator
from nasgan_search_spaces.baselines.decisions import DECISIONS, NAME, VERSION
from nasgan_search_spaces.baselines.drawing import draw_discriminator, draw_generator
from nasgan_search_spaces.halves import Derived, Half, Shared, refuse_stage, sized

__all__ = ["BaselinesSpace"]

_GENERATORS = {"dcgan": DCGANGenerator, "sngan": SNGANGenerator}
_DISCRIMINATORS = {"dcgan": DCGANDiscriminator, "sngan": SNGANDiscriminator}


class _Networks(nn.ModuleDict, Half):
    """Networks under their names, which is how the supernet names their parameters too."""


class _Derived(Derived, _Networks):
    """One of them."""

    chosen = None

    def run(self, x: Tensor, chosen: None, labels: Tensor | None) -> Tensor:
        """Run it."""
        (network,) = self.values()
        output: Tensor = network(x, labels)
        return output


class _Shared(Shared, _Networks):
    """Both, of which one runs or whose outputs mix."""

    def choose(self, weights: Sequence[Tensor], x: Tensor, stage: int | None) -> Tensor:
        """The one vector over (dcgan, sngan)."""
        refuse_stage(stage)
        if len(weights) != 1:
            raise ArchitectureError(
                f"each half of the baselines has one decision, got {len(weights)} weights"
            )
        return weights[0]

    def run(self, x: Tensor, chosen: Tensor, labels: Tensor | None) -> Tensor:
        """Run the chosen network, or mix the outputs of both."""
        return mix_options(chosen, [partial(network, x, labels) for network in self.values()])


class BaselinesSpace(SearchSpace):
    """DCGAN's or SNGAN's generator against DCGAN's or SNGAN's discriminator.

    Args:
        image_size: a bottom width of 4 to 7 pixels doubled once or more: 8, 10, 12, 14, 16, 20,
            24, 28, 32, 40, 48, 56, 64, ...
        image_channels: see `nasgan.contracts.NetworkSettings` for this and the following.
        generator_channels: as there; width of SNGAN, and of DCGAN at the bottom.
        discriminator_channels: as there; width of SNGAN, and of DCGAN's last convolution.
        latent_dim: as there.
        spectral_norm: as there; without it DCGAN's discriminator has batch norm.
        num_classes: as there; the classes choose the generators' batch norms, and the logits are
            those of projection discriminators.

    Raises:
        ConfigError: no such image size.
    """

    name = NAME
    version = VERSION
    supports_classes = True
    supports_outputs = True

    def check_network(self) -> None:
        """The image size must be a bottom width of 4 to 7 that is doubled."""
        bottom_and_doublings(self.network.image_size)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Which pair's generator, and which pair's discriminator."""
        return DECISIONS

    def build_generator(self, architecture: Architecture) -> nn.Module:
        """The generator of ``architecture``."""
        self.validate(architecture)
        name = architecture["generator"]
        return _Derived({name: self._generator(name)})

    def build_discriminator(self, architecture: Architecture) -> nn.Module:
        """The discriminator of ``architecture``."""
        self.validate(architecture)
        name = architecture["discriminator"]
        return _Derived({name: self._discriminator(name)})

    def describe(self, architecture: Architecture) -> tuple[Graph, ...]:
        """See `SearchSpace.describe`: both networks, layer by layer."""
        self.validate(architecture)
        network = self.network
        return (
            draw_generator(architecture["generator"], network.image_size),
            draw_discriminator(
                architecture["discriminator"],
                network.image_size,
                spectral_norm=network.spectral_norm,
            ),
        )

    def build_supernet(self) -> Supernet:
        """Both networks of each half, side by side: they share no weights."""
        generators = {name: self._generator(name) for name in _GENERATORS}
        discriminators = {name: self._discriminator(name) for name in _DISCRIMINATORS}
        return Supernet(_Shared(generators), _Shared(discriminators))

    def _generator(self, name: str) -> nn.Module:
        return sized(_GENERATORS[name], "generator", self.network)

    def _discriminator(self, name: str) -> nn.Module:
        return sized(_DISCRIMINATORS[name], "discriminator", self.network)
