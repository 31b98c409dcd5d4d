"""AdversarialNAS' discriminators: derived, shared, and the fixed ones that can replace them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from nasgan.contracts import NetworkSettings
from nasgan.errors import ArchitectureError
from nasgan.networks.batched_spectral_norm import normalised_together, spectral_norm_layers
from nasgan.networks.blocks import linear, sum_pool
from nasgan.networks.conditional import ClassProjection
from nasgan.networks.spectral_norm import SpectralNormLayer, sample_groups
from nasgan_search_spaces.adversarial_nas.choices import (
    Path,
    path_of,
    selected_path,
    weight_rows,
)
from nasgan_search_spaces.adversarial_nas.decisions import (
    AVERAGE_POOL,
    CONVOLUTIONS,
    DOWN_OPTIONS,
    IDENTITY,
    MAX_POOL,
    NORMAL_OPTIONS,
    discriminator_decisions,
    down_cells,
    edge_of,
    running,
)
from nasgan_search_spaces.adversarial_nas.down_cell import DownCell, DownMixture
from nasgan_search_spaces.adversarial_nas.edges import Edge
from nasgan_search_spaces.adversarial_nas.mixture import EdgeGroup, MergedEdges, StackedEdges
from nasgan_search_spaces.halves import Derived, Half, Shared, refuse_stage

__all__ = ["DerivedDiscriminator", "FixedDiscriminator", "SuperDiscriminator"]

_FROM_INPUT = ("0-1", "0-2", "0-3")
_FROM_FIRST = ("1-2", "1-3")
_TO_OUTPUT = ("2-4", "3-4")


class _Discriminator(Half):
    """A chain of down-cells, sum over the pixels, one logit.

    Args:
        network: sizes.
        cells: number of down-cells.
        options: per decision, the options to hold; only decisions that run.
    """

    def __init__(
        self, network: NetworkSettings, cells: int, options: Mapping[str, Sequence[str]]
    ) -> None:
        super().__init__()
        channels = network.discriminator_channels
        self.cells = nn.ModuleDict()
        for k, cell in enumerate(down_cells(cells)):
            held = {edge_of(name)[1]: o for name, o in options.items() if edge_of(name)[0] == cell}
            self.cells[cell] = DownCell(
                cell,
                channels if k else network.image_channels,
                channels,
                held,
                reads_image=k == 0,
                spectral_norm=network.spectral_norm,
            )
        outputs = network.discriminator_outputs
        self.linear = linear(channels, outputs, spectral_norm=network.spectral_norm, bias=False)
        self.projection = ClassProjection(
            channels, network.num_classes, spectral_norm=network.spectral_norm
        )

    def run(self, x: Tensor, chosen: Path, labels: Tensor | None) -> Tensor:
        """Run the cells along a path."""
        for cell in self.cells.values():
            assert isinstance(cell, DownCell)
            x = cell.run(x, chosen)
        return self._logits(x, labels)

    def _logits(self, x: Tensor, labels: Tensor | None) -> Tensor:
        h = sum_pool(x)
        logits: Tensor = self.projection(self.linear(h), h, labels)
        return logits


class DerivedDiscriminator(Derived, _Discriminator):
    """The discriminator of one architecture (the original code never builds one).

    Args:
        network: sizes; see `AdversarialNASSpace`.
        cells: number of down-cells.
        options: the option of each decision of the discriminator.
    """

    def __init__(self, network: NetworkSettings, cells: int, options: Mapping[str, str]) -> None:
        super().__init__(network, cells, {name: (options[name],) for name in running(options)})
        self.chosen = path_of(options)


class SuperDiscriminator(Shared, _Discriminator):
    """The discriminator that holds every operation of every edge.

    Under `nasgan.networks.spectral_norm.sample_groups` a mixture runs once per part of the batch,
    because merged kernels differ with the spectral norms of each pass; that is exact, and cheaper
    than passes of their own.

    Args:
        network: sizes; see `AdversarialNASSpace`.
        cells: number of down-cells.
    """

    def __init__(self, network: NetworkSettings, cells: int) -> None:
        self.decisions = discriminator_decisions(cells)
        super().__init__(network, cells, {d.name: d.options for d in self.decisions})

    def choose(
        self, weights: Sequence[Tensor], x: Tensor, stage: int | None
    ) -> tuple[Path | None, dict[str, Tensor]]:
        """The path, if the weights select one, and the weights by decision.

        They need not add up to 1, see ``first_down_cell`` of `AdversarialNASSpace`.
        """
        refuse_stage(stage)
        names = (decision.name for decision in self.decisions)
        path = selected_path(self.decisions, weights, x)
        return path, dict(zip(names, weights, strict=True))

    def run(self, x: Tensor, chosen: Any, labels: Tensor | None) -> Tensor:
        """See `Half.run`."""
        path, named = chosen
        if path is not None:
            with normalised_together(self._layers(path)):
                return super().run(x, path, labels)
        groups = self._groups_of(named)
        stacked, scales = StackedEdges(groups), self._scales(groups)
        outputs = []
        sizes = list(self._sample_groups() or [len(x)])
        label_parts: Sequence[Tensor | None] = [None] * len(sizes)
        if labels is not None:
            label_parts = torch.split(labels, sizes)
        for part, own in zip(torch.split(x, sizes), label_parts, strict=True):
            with sample_groups(self, [len(part)]):
                outputs.append(self._mix(part, self._mixtures(stacked.merge(), scales), own))
        return torch.cat(outputs) if len(outputs) > 1 else outputs[0]

    def _layers(self, path: Path) -> Iterator[SpectralNormLayer]:
        """Those that a training pass along ``path`` uses."""
        edges = ((self._edge(name), choice.option) for name, choice in path.items())
        running = (edge[option] for edge, option in edges if option in edge)
        modules = chain([self.linear, self.projection], running)
        return spectral_norm_layers(modules if self.training else ())

    def _sample_groups(self) -> tuple[int, ...] | None:
        layer = self.linear
        return layer.groups if isinstance(layer, SpectralNormLayer) and self.training else None

    def _mix(self, x: Tensor, mixtures: Sequence[DownMixture], labels: Tensor | None) -> Tensor:
        for cell, mixture in zip(self.cells.values(), mixtures, strict=True):
            assert isinstance(cell, DownCell)
            x = cell.mix(x, mixture)
        return self._logits(x, labels)

    def _groups_of(self, weights: Mapping[str, Tensor]) -> list[EdgeGroup]:
        """The whole network's edges at once: many edges, few operations."""
        first = next(iter(self.cells))
        normal = [
            f"{cell}.{edge}"
            for cell in self.cells
            for edge in (_FROM_FIRST if cell == first else _FROM_INPUT + _FROM_FIRST)
        ]
        return [
            self._group([f"{first}.{edge}" for edge in _FROM_INPUT], CONVOLUTIONS, weights),
            self._group(normal, NORMAL_OPTIONS, weights),
            self._group(
                [f"{cell}.{edge}" for cell in self.cells for edge in _TO_OUTPUT],
                DOWN_OPTIONS,
                weights,
            ),
        ]

    def _scales(self, groups: Sequence[EdgeGroup]) -> list[list[Tensor | None]]:
        """Of each cell, the weights of the operations without parameters; see `DownMixture`."""
        keep = torch.split(groups[1].columns[IDENTITY], self._normal_edges())
        pools = (torch.split(groups[2].columns[pool], 2) for pool in (AVERAGE_POOL, MAX_POOL))
        cells = zip((None, *keep[1::2]), keep[::2], *pools, strict=True)
        return [list(of_cell) for of_cell in cells]

    def _normal_edges(self) -> list[int]:
        """How many there are from one node, cell by cell; the first has none from its input."""
        first, both = [len(_FROM_FIRST)], [len(_FROM_INPUT), len(_FROM_FIRST)]
        return first + both * (len(self.cells) - 1)

    def _mixtures(
        self, merged: Sequence[MergedEdges], scales: Sequence[Sequence[Tensor | None]]
    ) -> list[DownMixture]:
        """Hand each cell its part."""
        from_image, from_nodes, to_output = merged
        parts = from_nodes.split(self._normal_edges())
        halving = to_output.split([1] * 2 * len(self.cells))
        return [
            DownMixture(
                next(parts) if k else from_image,
                next(parts),
                next(halving),
                next(halving),
                *of_cell,  # type: ignore[arg-type]
            )
            for k, of_cell in enumerate(scales)
        ]

    def _group(
        self, names: Sequence[str], options: tuple[str, ...], weights: Mapping[str, Tensor]
    ) -> EdgeGroup:
        like = next(self.parameters())
        edges = [self._edge(name) for name in names]
        return EdgeGroup(edges, options, weight_rows(weights, names, like))

    def _edge(self, name: str) -> Edge:
        cell, edge = edge_of(name)
        held = self.cells[cell].edges
        assert isinstance(held, nn.ModuleDict)
        module = held[edge]
        assert isinstance(module, Edge)
        return module


class FixedDiscriminator(Shared):
    """A discriminator without decisions, alone or as half of the supernet.

    Args:
        network: the network itself.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def choose(self, weights: Sequence[Tensor], x: Tensor, stage: int | None) -> None:
        """Nothing; ``weights`` is empty."""
        refuse_stage(stage)
        if len(weights) > 0:
            raise ArchitectureError(
                f"a fixed discriminator has no decisions, got {len(weights)} weights"
            )

    def run(self, x: Tensor, chosen: None, labels: Tensor | None) -> Tensor:
        """See `Half.run`."""
        logits: Tensor = self.network(x, labels=labels)
        return logits
