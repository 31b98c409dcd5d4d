"""The search space of AGAN (Wang & Huan 2019), reconstructed."""

from __future__ import annotations

import re
from dataclasses import asdict
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from torch import nn

from nasgan.architecture import Architecture, Decision, Part
from nasgan.contracts import SearchSpace, Supernet
from nasgan.errors import ConfigError, quoted
from nasgan.graph import Graph
from nasgan.networks.sizes import bottom_and_doublings
from nasgan_search_spaces.agan import repair as rules
from nasgan_search_spaces.agan.decisions import ATTENTION, NAME, VERSION, agan_decisions
from nasgan_search_spaces.agan.drawing import draw_modules
from nasgan_search_spaces.agan.module import Setup
from nasgan_search_spaces.agan.networks import (
    DerivedDiscriminator,
    DerivedGenerator,
    SuperDiscriminator,
    SuperGenerator,
)

__all__ = ["AGANSpace", "Output"]

Output = Literal["sum", "concat"]

# After so many the decisions at hand are taken to have no effect, as in a space narrowed to few.
_MUTATION_TRIES = 100
_BLOCK = re.compile(r"\w+\.block(\d+)\.left\.input")


class AGANSpace(SearchSpace):
    """Up-sampling, down-sampling and normal modules, stacked to a generator and a discriminator.

    Known, from the abstract, the figures and their captions; text and code are not available:

    * three segments of decisions program an up-sampling, a down-sampling and a normal module
      (figures 1 and 2);
    * a fixed meta-architecture stacks them (figure 3): the generator up-sampling and normal modules
      on a map of 4x4 pixels, 6x6 for 48 px; the discriminator down-sampling and normal ones;
    * a module reads ``prev`` beside its own input, which is resampled where the module follows a
      resampling one (figure 6);
    * 20.1 M parameters on CIFAR-10 (as Gao et al. 2020, table 2, quote), of which networks is not
      known.

    Reconstructed, because the paper's own list is not available: all else. A module is a cell of
    the NASNet kind. Block b has two slots; each reads one of {input, prev, earlier blocks} and
    applies an operation; the block is their sum. The output collects the blocks that no slot reads.
    In resampling modules a slot that reads a module input applies a resampling operation, any other
    slot a normal one. One slot at least reads the input. ``prev`` is the output of the module
    before the preceding one, and the input itself for the first module. Batch norm and ReLU stand
    before each convolution of the generator, ReLU before each of the discriminator but the first.
    Maps have one width throughout.

    1.6e40 architectures (`size`), 3.7e31 of which need no repair (`reachable_size`). No published
    one is available. At 32 px and the default widths, 192 and 128, the generator of a random
    architecture has 20.15 M parameters on average and its discriminator 5.56 M: the paper's figure
    is taken to be that of the generator alone.

    Args:
        image_size: a bottom width of 4 to 7 pixels doubled once or more: 8, 10, 12, 14, 16, 20, 24,
            28, 32 (the paper's CIFAR-10, bottom 4), 40, 48 (its STL-10, bottom 6), 56, 64, ...
        image_channels: see `nasgan.contracts.NetworkSettings` for this and the following.
        generator_channels: as there.
        discriminator_channels: as there.
        latent_dim: as there.
        spectral_norm: as there; of all convolutions and the last layer of the discriminator.
        num_classes: as there; the classes choose the generator's batch norms, and the logit is a
            projection discriminator's.
        blocks: blocks of a module.
        output: whether a module's output is the ``"sum"`` of its unread blocks, or their
            concatenation projected back by a 1x1 convolution (``"concat"``).
        separate_normal: whether the generator and the discriminator have normal modules of their
            own, ``normal_g`` and ``normal_d``, rather than a common one.
        attention: whether self-attention is among the normal operations.
        normals_per_resample: normal modules that follow each resampling one. Without any,
            resampling modules follow each other and decide how ``prev`` is resized.

    Raises:
        ConfigError: an impossible image size or setting.
    """

    name = NAME
    version = VERSION
    supports_classes = True
    supports_outputs = True

    def __init__(
        self,
        *,
        blocks: int = 4,
        output: Output = "sum",
        separate_normal: bool = False,
        attention: bool = False,
        normals_per_resample: int = 1,
        **network: Any,
    ) -> None:
        super().__init__(**{"generator_channels": 192, "discriminator_channels": 128, **network})
        _check_count("blocks", blocks, least=1)
        _check_count("normals_per_resample", normals_per_resample, least=0)
        if output not in get_args(Output):
            raise ConfigError(
                f"output must be one of {', '.join(get_args(Output))}, got {quoted(output)}"
            )
        for name, value in {"separate_normal": separate_normal, "attention": attention}.items():
            if not isinstance(value, bool):
                raise ConfigError(f"{name} must be true or false, got {quoted(value)}")
        _, doublings = bottom_and_doublings(self.network.image_size)
        if normals_per_resample == 0 and doublings == 1:
            raise ConfigError(
                f"with normals_per_resample=0 no module of a pair for images of "
                f"{self.network.image_size} px follows a resampling one, so how prev is resized "
                f"cannot be decided; use images of 16 px and more, or normals_per_resample=1"
            )
        self.setup = Setup(
            blocks=blocks,
            output=output,
            separate_normal=separate_normal,
            attention=attention,
            normals_per_resample=normals_per_resample,
        )

    def check_network(self) -> None:
        """The image size must be a bottom width of 4 to 7 that is doubled."""
        bottom_and_doublings(self.network.image_size)

    def space_settings(self) -> dict[str, Any]:
        """The settings beyond the common ones."""
        return asdict(self.setup)

    @classmethod
    def settings_for(cls, architecture: Architecture) -> dict[str, Any]:
        """Those that decide which decisions there are, as far as the decisions tell."""
        found: dict[str, Any] = {}
        names = [name for name, _ in architecture]
        counts = [int(match[1]) for name in names if (match := _BLOCK.fullmatch(name))]
        if counts:
            found["blocks"] = max(counts)
        if any(name.startswith("normal_g.") for name in names):
            found["separate_normal"] = True
        if "up.prev.upsample" in names:
            found["normals_per_resample"] = 0
        # Where it is possible and not chosen, the networks are those of a space without it.
        if any(option == ATTENTION for _, option in architecture):
            found["attention"] = True
        return found

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The up-sampling, down-sampling and normal segment, block by block."""
        return agan_decisions(
            blocks=self.setup.blocks,
            separate_normal=self.setup.separate_normal,
            attention=self.setup.attention,
            normals_per_resample=self.setup.normals_per_resample,
        )

    @property
    def reachable_size(self) -> int:
        """Exact number of architectures that need no repair."""
        return rules.reachable_size(self.decisions)

    def repair(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """Let every module read its input, and give decisions without effect their first option."""
        return rules.repaired(self.decisions, indices)

    def mutate(
        self, architecture: Architecture, rng: np.random.Generator, **limits: Any
    ) -> Architecture:
        """See `SearchSpace.mutate`; redrawn while only decisions without effect have changed."""
        for _ in range(_MUTATION_TRIES):
            mutant = super().mutate(architecture, rng, **limits)
            if mutant != architecture:
                break
        return mutant

    def build_generator(self, architecture: Architecture) -> nn.Module:
        """The generator of ``architecture``."""
        options = self._part_options(architecture, "generator")
        return DerivedGenerator(self.network, self.setup, options)

    def build_discriminator(self, architecture: Architecture) -> nn.Module:
        """The discriminator of ``architecture``."""
        options = self._part_options(architecture, "discriminator")
        return DerivedDiscriminator(self.network, self.setup, options)

    def build_supernet(self) -> Supernet:
        """The weight-sharing pair."""
        return Supernet(
            SuperGenerator(self.network, self.setup, self.part_decisions("generator")),
            SuperDiscriminator(self.network, self.setup, self.part_decisions("discriminator")),
        )

    def describe(self, architecture: Architecture) -> tuple[Graph, ...]:
        """The modules as drawings, as in the paper's figure 6."""
        self.validate(architecture)
        return draw_modules(dict(architecture))

    def _part_options(self, architecture: Architecture, part: Part) -> dict[str, str]:
        self.validate(architecture)
        return {
            decision.name: architecture[decision.name] for decision in self.part_decisions(part)
        }


def _check_count(name: str, value: object, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {quoted(value)}")
