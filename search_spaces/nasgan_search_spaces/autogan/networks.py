"""AutoGAN's generators, derived and shared, and the shared discriminator (Gong et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture
from nasgan.contracts import NetworkSettings
from nasgan.errors import ArchitectureError, ConfigError
from nasgan.networks.autogan_discriminator import AutoGANDiscriminator
from nasgan.networks.conditional import JoinedLatent, apply_norm, make_norm
from nasgan_search_spaces.autogan.cell import Cell, CellChoice, CellOptions
from nasgan_search_spaces.autogan.decisions import CELLS, DECISIONS
from nasgan_search_spaces.autogan.options import Choice, as_choice
from nasgan_search_spaces.halves import Derived, Half, Shared

__all__ = ["DerivedGenerator", "SuperDiscriminator", "SuperGenerator"]

ValueT = TypeVar("ValueT")

_DECISIONS_BY_STAGE = tuple(
    sum(decision.stage <= stage for decision in DECISIONS) for stage in range(len(CELLS))
)


class _Generator(Half):
    """Linear, three cells of one width, then batch norm, ReLU, conv 3x3 and tanh.

    With classes (which AutoGAN lists as future work) every batch norm is class-conditional; since
    cells need not have any, an embedding of the class is joined to the latent too.

    Args:
        network: sizes; images of 8 x the bottom width.
        options: per decision, the options to hold.
    """

    def __init__(self, network: NetworkSettings, options: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        channels = network.generator_channels
        self.bottom = network.image_size // 2 ** len(CELLS)
        self.latent = JoinedLatent(network.latent_dim, network.num_classes)
        self.linear = nn.Linear(self.latent.out_features, channels * self.bottom**2)
        self.cells = nn.ModuleDict()
        for k, cell in enumerate(CELLS):
            distances = {earlier: k - j for j, earlier in enumerate(CELLS[:k])}
            held = CellOptions(**_of_cell(options, cell))
            self.cells[cell] = Cell(channels, held, distances, network.num_classes)
        self.head = nn.Sequential(
            make_norm("batch", channels, network.num_classes),
            nn.ReLU(),
            nn.Conv2d(channels, network.image_channels, 3, padding=1),
        )

    def run(self, x: Tensor, chosen: Sequence[CellChoice], labels: Tensor | None) -> Tensor:
        """Run as many cells as there are ``chosen`` ones; all stages share the head."""
        h = self.linear(self.latent(x, labels)).view(x.shape[0], -1, self.bottom, self.bottom)
        skips: dict[str, Tensor] = {}
        for (name, cell), choice in zip(self.cells.items(), chosen, strict=False):
            skips[name], h = cell(h, skips, choice, labels)
        norm, *rest = self.head
        h = apply_norm(norm, h, labels)
        for layer in rest:
            h = layer(h)
        return torch.tanh(h)


class DerivedGenerator(Derived, _Generator):
    """The generator of one architecture.

    Args:
        network: sizes; see `AutoGANSpace`.
        architecture: a valid one of the space.
    """

    def __init__(self, network: NetworkSettings, architecture: Architecture) -> None:
        super().__init__(network, {name: (option,) for name, option in architecture})
        options: dict[str, Choice] = dict(architecture)
        self.chosen = [CellChoice(**_of_cell(options, cell)) for cell in CELLS]


class SuperGenerator(Shared, _Generator):
    """The generator that holds every option of every decision.

    Convolutions are shared by the norms and upsamplings and separate for post- and pre-activation,
    as published. Left out are the published supernet's parameters that no architecture can reach:
    the transposed convolutions of the second blocks, of cell 1's skips, and of cell 2's fourfold
    skip, 44 C^2 + 11 C of them at width C.

    Args:
        network: sizes; see `AutoGANSpace`.
    """

    def __init__(self, network: NetworkSettings) -> None:
        super().__init__(network, {decision.name: decision.options for decision in DECISIONS})

    def choose(self, weights: Sequence[Tensor], x: Tensor, stage: int | None) -> list[CellChoice]:
        """The choices of the cells up to ``stage``.

        0, 1 or 2, for images of a quarter, a half or all of the image size; by default told from
        the number of weights (4, 9 or 14).
        """
        stage = _stage_of(weights) if stage is None else stage
        if not 0 <= stage < len(CELLS):
            raise ConfigError(f"AutoGAN's generator has stages 0, 1 and 2, got stage {stage}")
        count = _DECISIONS_BY_STAGE[stage]
        if len(weights) < count:
            raise ArchitectureError(
                f"stage {stage} of AutoGAN decides {count} choices, got {len(weights)} weights"
            )
        pairs = zip(DECISIONS[:count], weights, strict=False)
        choices = {decision.name: as_choice(decision, weight) for decision, weight in pairs}
        return [CellChoice(**_of_cell(choices, cell)) for cell in CELLS[: stage + 1]]


class SuperDiscriminator(Shared, AutoGANDiscriminator):
    """AutoGAN's fixed discriminator as half of the supernet: there is nothing to decide."""

    def choose(self, weights: Sequence[Tensor], x: Tensor, stage: int | None) -> int | None:
        """The stage of the images.

        Raises:
            ArchitectureError: weights were given.
        """
        if len(weights) > 0:
            raise ArchitectureError(
                f"AutoGAN's discriminator has no decisions, got {len(weights)} weights"
            )
        return stage

    def run(self, x: Tensor, chosen: int | None, labels: Tensor | None) -> Tensor:
        """Map images of a stage to logits (N, 1)."""
        return AutoGANDiscriminator.forward(self, x, stage=chosen, labels=labels)


def _of_cell(values: Mapping[str, ValueT], cell: str) -> dict[str, ValueT]:
    """The entries of ``cell``, by the decision's name within it."""
    return {name.split(".")[1]: v for name, v in values.items() if name.startswith(f"{cell}.")}


def _stage_of(weights: Sequence[Tensor]) -> int:
    if len(weights) not in _DECISIONS_BY_STAGE:
        raise ArchitectureError(
            f"AutoGAN's generator takes 4, 9 or 14 weight vectors (stage 0, 1 or 2), "
            f"got {len(weights)}"
        )
    return _DECISIONS_BY_STAGE.index(len(weights))
