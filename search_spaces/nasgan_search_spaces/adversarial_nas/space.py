"""The search space of AdversarialNAS (Gao et al. 2020, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from torch import nn

from nasgan.architecture import Architecture, Decision
from nasgan.contracts import SearchSpace, Supernet
from nasgan.errors import ArchitectureError, ConfigError, quoted
from nasgan.graph import Graph
from nasgan.networks.autogan_discriminator import AutoGANDiscriminator
from nasgan.networks.sngan import SNGANDiscriminator
from nasgan_search_spaces.adversarial_nas import repair as rules
from nasgan_search_spaces.adversarial_nas.decisions import (
    MAX_DOWN_CELLS,
    NAME,
    UP_CELLS,
    VERSION,
    discriminator_decisions,
    generator_decisions,
)
from nasgan_search_spaces.adversarial_nas.discriminator import (
    DerivedDiscriminator,
    FixedDiscriminator,
    SuperDiscriminator,
)
from nasgan_search_spaces.adversarial_nas.drawing import (
    draw_discriminator,
    draw_fixed_discriminator,
    draw_generator,
)
from nasgan_search_spaces.adversarial_nas.generator import DerivedGenerator, SuperGenerator
from nasgan_search_spaces.adversarial_nas.genotype import read_matrix, write_matrix
from nasgan_search_spaces.halves import sized

__all__ = ["AdversarialNASSpace", "Discriminator", "FirstDownCell", "StandAloneDiscriminator"]

Discriminator = Literal["searched", "autogan", "sngan"]
StandAloneDiscriminator = Literal["same", "autogan", "sngan"]
FirstDownCell = Literal["softmax", "truncated"]

_ENLARGEMENT = 2 ** len(UP_CELLS)
_FIXED = {"autogan": AutoGANDiscriminator, "sngan": SNGANDiscriminator}
_LEAST_MAP = 2


class AdversarialNASSpace(SearchSpace):
    """1.7e38 pairs of a generator of three up-cells and a discriminator of four down-cells.

    With a fixed discriminator the space is that of the 3.5e15 generators alone, and its
    architectures have the generator's decisions alone. 8.8e37 and 3.2e15 need no repair.

    Smaller images have fewer down-cells: as many as halve the map into whole pixels, down to 2 at
    least, and 4 at most (16 px: 3).

    Args:
        image_size: 8 x the bottom width: 8, 16, 24, 32 (the paper's CIFAR-10, bottom 4), 40, 48
            (its STL-10, bottom 6), ...
        image_channels: see `nasgan.contracts.NetworkSettings` for this and the following.
        generator_channels: as there; the paper searches with 160 and trains with 256.
        discriminator_channels: as there; the paper searches with 80 and trains with 128.
        latent_dim: as there; the paper's is 120. It is cut into ``latent_scales`` parts, the first
            ones being longer by one where it does not divide.
        spectral_norm: as there; of all convolutions and the last layer of the discriminator.
        num_classes: as there; the classes are joined to all parts of the latent and choose the last
            batch norm, and the logit is a projection discriminator's.
        discriminator: ``"searched"``, or fixed to AutoGAN's or SNGAN's; None: searched, unless a
            given architecture is of a generator alone (see `settings_for`).
        stand_alone_discriminator: what stand-alone generators are trained against: the ``"same"``
            as in the search (a searched one is derived), or AutoGAN's (published) or SNGAN's.
        latent_scales: 3 (published for CIFAR-10) or 2 (published for STL-10).
        first_down_cell: how gradient searches weigh the five convolutions of a searched
            discriminator's edges from the image: by a ``"softmax"`` over the five, or
            ``"truncated"`` (published): by the first five weights of seven, as many as the other
            normal edges have. These sum to less than 1 (0.71 on average at the start), and the two
            dropped logits learn with the others. No matter to paths and derived networks.

    Raises:
        ConfigError: an impossible image size, a latent too short, or an unknown setting.
    """

    name = NAME
    version = VERSION
    supports_classes = True
    supports_outputs = True

    def __init__(
        self,
        *,
        discriminator: Discriminator | None = "searched",
        stand_alone_discriminator: StandAloneDiscriminator = "same",
        latent_scales: int = 3,
        first_down_cell: FirstDownCell = "softmax",
        **network: Any,
    ) -> None:
        super().__init__(**{"latent_dim": 120, **network})
        discriminator = discriminator or "searched"
        _check_choice("discriminator", discriminator, get_args(Discriminator))
        _check_choice(
            "stand_alone_discriminator",
            stand_alone_discriminator,
            get_args(StandAloneDiscriminator),
        )
        _check_choice("latent_scales", latent_scales, (2, 3))
        _check_choice("first_down_cell", first_down_cell, get_args(FirstDownCell))
        _check_sizes(self.network.image_size, self.network.latent_dim, latent_scales)
        self.discriminator = discriminator
        self.stand_alone_discriminator = stand_alone_discriminator
        self.latent_scales = latent_scales
        self.first_down_cell = first_down_cell

    def space_settings(self) -> dict[str, Any]:
        """The settings beyond the common ones."""
        return {
            "discriminator": self.discriminator,
            "stand_alone_discriminator": self.stand_alone_discriminator,
            "latent_scales": self.latent_scales,
            "first_down_cell": self.first_down_cell,
        }

    @classmethod
    def settings_for(cls, architecture: Architecture) -> dict[str, Any]:
        """An architecture of a generator alone needs a fixed discriminator: AutoGAN's."""
        alone = all(name.startswith("up") for name, _ in architecture)
        return {"discriminator": "autogan"} if alone else {}

    @cached_property
    def down_cells(self) -> int:
        """Number of down-cells of searched discriminators."""
        side, count = self.network.image_size, 0
        while side % 2 == 0 and side >= 2 * _LEAST_MAP and count < MAX_DOWN_CELLS:
            side, count = side // 2, count + 1
        return count

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The generator's 21 decisions, then, if it is searched, the discriminator's 7 per cell.

        Both in the column order of the published genotypes, cell by cell.
        """
        if self.discriminator != "searched":
            return generator_decisions()
        truncated = self.first_down_cell == "truncated"
        return generator_decisions() + discriminator_decisions(self.down_cells, truncated=truncated)

    @property
    def reachable_size(self) -> int:
        """Exact number of architectures that need no repair."""
        return rules.reachable_size(self.decisions)

    def repair(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """Give every node that needs an input the identity on its first edge."""
        return self._indices_of(rules.repaired(self._options(indices)))

    def derive(self, scores: Sequence[Sequence[float]]) -> Architecture:
        """See `SearchSpace.derive`; the published repair.

        Where a node lacks an input, its edge with the smallest probability of none takes its most
        probable other operation.
        """
        checked = self._checked_scores(scores)
        best = tuple(int(np.argmax(row)) for row in checked)
        remedy = rules.by_probability(self.decisions, checked)
        return self._from_indices(self._indices_of(rules.repaired(self._options(best), remedy)))

    def architecture(self, choices: object) -> Architecture:
        """See `SearchSpace.architecture`; names the nodes that lack an input."""
        if not isinstance(choices, Architecture):
            found = rules.faults(self._options(self._indices(choices)))
            if found:
                cell, node, edges = found[0]
                raise ArchitectureError(
                    f"{self.name}: node {node} of cell {cell} is unreachable: none on "
                    f"{' and '.join(edges)}; one of these edges must have an operation"
                )
        return super().architecture(choices)

    def validate(self, architecture: Architecture) -> None:
        """See `SearchSpace.validate`."""
        if architecture.space == self.name:
            wanted = {name for name, _ in architecture if name.startswith("down")}
            own = {d.name for d in self.part_decisions("discriminator")}
            if wanted != own:
                raise ArchitectureError(_other_discriminator(architecture, len(wanted), len(own)))
        super().validate(architecture)

    def from_genotype(self, generator: object, discriminator: object = None) -> Architecture:
        """The architecture of published genotype matrices.

        Args:
            generator: (3, 7), columns 0-1, 0-2, 1-3, 2-3, 1-4, 2-4, 3-4, as ``latest_G.npy``.
            discriminator: (4, 7), columns 0-1, 0-2, 0-3, 1-2, 1-3, 2-4, 3-4 (fewer rows for small
                images); None with a fixed discriminator.

        Raises:
            ArchitectureError: wrong shape, an operation of another version, an unreachable node,
                or a discriminator's matrix where none or one is needed.
        """
        searched = self.discriminator == "searched"
        if searched and discriminator is None:
            raise ArchitectureError(
                "the discriminator is searched, so its genotype is needed too; give it, or set "
                "discriminator=autogan"
            )
        if not searched and discriminator is not None:
            raise ArchitectureError(
                f"the discriminator is fixed ({self.discriminator}), so its genotype has no use; "
                f"leave it out, or set discriminator=searched"
            )
        options = read_matrix(
            generator, self.part_decisions("generator"), "the generator's genotype"
        )
        if searched:
            decisions = self.part_decisions("discriminator")
            options += read_matrix(discriminator, decisions, "the discriminator's genotype")
        return self.architecture(options)

    def to_genotype(
        self, architecture: Architecture
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """The published matrices of ``architecture``; None for a fixed discriminator."""
        indices = self.encode(architecture)
        count = len(self.part_decisions("generator"))
        rest = indices[count:]
        return write_matrix(indices[:count]), write_matrix(rest) if rest else None

    def build_generator(self, architecture: Architecture) -> nn.Module:
        """The generator of ``architecture``; edges that nothing reads are left out."""
        self.validate(architecture)
        options = self._part_options(architecture, "generator")
        return DerivedGenerator(self.network, self.latent_scales, options)

    def build_discriminator(self, architecture: Architecture) -> nn.Module:
        """The discriminator of ``architecture``, or what `stand_alone_discriminator` names."""
        self.validate(architecture)
        kind = self.stand_alone_discriminator
        if kind != "same":
            return self._fixed(kind)
        if self.discriminator != "searched":
            return self._fixed(self.discriminator)
        options = self._part_options(architecture, "discriminator")
        return DerivedDiscriminator(self.network, self.down_cells, options)

    def describe(self, architecture: Architecture) -> tuple[Graph, ...]:
        """See `SearchSpace.describe`; of the discriminator, what stand-alone generators face."""
        self.validate(architecture)
        side = self.network.image_size
        generator = draw_generator(
            self._part_options(architecture, "generator"), side, self.latent_scales
        )
        same = self.stand_alone_discriminator == "same"
        kind = self.discriminator if same else self.stand_alone_discriminator
        if kind != "searched":
            return generator, draw_fixed_discriminator(kind, side)
        options = self._part_options(architecture, "discriminator")
        return generator, draw_discriminator(options, side)

    def build_supernet(self) -> Supernet:
        """The weight-sharing pair; a fixed discriminator is simply itself."""
        generator = SuperGenerator(self.network, self.latent_scales)
        if self.discriminator != "searched":
            return Supernet(generator, self._fixed(self.discriminator))
        return Supernet(generator, SuperDiscriminator(self.network, self.down_cells))

    def _fixed(self, kind: str) -> nn.Module:
        return FixedDiscriminator(sized(_FIXED[kind], "discriminator", self.network))

    def _options(self, indices: Sequence[int]) -> dict[str, str]:
        pairs = zip(self.decisions, indices, strict=True)
        return {decision.name: decision.options[index] for decision, index in pairs}

    def _indices_of(self, options: dict[str, str]) -> tuple[int, ...]:
        return tuple(decision.index(options[decision.name]) for decision in self.decisions)

    def _part_options(self, architecture: Architecture, part: str) -> dict[str, str]:
        return {d.name: architecture[d.name] for d in self.decisions if d.part == part}


def _check_choice(name: str, value: object, known: Sequence[object]) -> None:
    if value not in known or isinstance(value, bool):
        listed = ", ".join(map(str, known))
        raise ConfigError(f"{name} must be one of {listed}, got {quoted(value)}")


def _check_sizes(image_size: int, latent_dim: int, latent_scales: int) -> None:
    bottom, rest = divmod(image_size, _ENLARGEMENT)
    if rest or bottom < 1:
        below = max(bottom, 1) * _ENLARGEMENT
        near = f"{below} or {below + _ENLARGEMENT}" if bottom >= 1 else f"{below}"
        raise ConfigError(
            f"image_size must be 8 x the bottom width (8, 16, 24, 32, 40, 48, ...), got "
            f"{image_size}; the nearest is {near}"
        )
    if latent_dim < latent_scales:
        raise ConfigError(
            f"latent_dim is cut into latent_scales={latent_scales} parts and must be at least "
            f"that, got {latent_dim}"
        )


def _other_discriminator(architecture: Architecture, wanted: int, own: int) -> str:
    """Why the discriminator's decisions do not fit."""
    if not wanted:
        return (
            f"architecture {architecture.id} is of a generator alone; set discriminator=autogan "
            f"(or sngan) to train it against a fixed discriminator"
        )
    if not own:
        return (
            f"architecture {architecture.id} has a discriminator of its own; set "
            f"discriminator=searched, and stand_alone_discriminator=autogan to train its generator "
            f"against AutoGAN's all the same"
        )
    return (
        f"architecture {architecture.id} decides {wanted} edges of its discriminator; the space "
        f"has {own} for images of this size. Set stand_alone_discriminator or use images of the "
        f"size it was searched with"
    )
