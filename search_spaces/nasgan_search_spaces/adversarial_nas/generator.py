"""AdversarialNAS' generators, derived and shared (Gao et al. 2020, section 3.2 and its code)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from nasgan.contracts import NetworkSettings
from nasgan.networks.conditional import JoinedLatent, apply_norm, make_norm
from nasgan_search_spaces.adversarial_nas.choices import path_of, selected_path, weight_rows
from nasgan_search_spaces.adversarial_nas.decisions import (
    UP_CELLS,
    edge_of,
    generator_decisions,
    running,
)
from nasgan_search_spaces.adversarial_nas.up_cell import NORMAL_EDGES, UP_EDGES, UpCell
from nasgan_search_spaces.halves import Derived, Half, Shared, refuse_stage

__all__ = ["DerivedGenerator", "SuperGenerator"]

_Earlier = dict[str, Tensor | None]
_Ran = tuple[Tensor | None, Tensor]
_CellRunner = Callable[[UpCell, Tensor, _Earlier], _Ran]


class _Generator(Half):
    """Three up-cells of one width, fed with parts of the latent; BN, ReLU, conv 3x3 and tanh.

    The latent is cut into ``latent_scales`` parts, as equal as can be. A linear layer turns the
    first into the input of the first cell; the others are added to the inputs of the next cells.
    (The paper is silent about that; its code does so.) With classes the batch norm is
    class-conditional; since the cells have none, embeddings of the class are joined to all parts.

    Args:
        network: sizes; images of 8 x the bottom width.
        latent_scales: 2 or 3.
        options: per decision, the options to hold; only decisions that run.
    """

    def __init__(
        self,
        network: NetworkSettings,
        latent_scales: int,
        options: Mapping[str, Sequence[str]],
    ) -> None:
        super().__init__()
        channels = network.generator_channels
        self.bottom = network.image_size // 2 ** len(UP_CELLS)
        least, larger = divmod(network.latent_dim, latent_scales)
        self.parts = [least + (k < larger) for k in range(latent_scales)]
        latents = [JoinedLatent(part, network.num_classes) for part in self.parts]
        self.latents = nn.ModuleList(latents)
        self.linears = nn.ModuleList(
            nn.Linear(latent.out_features, channels * (self.bottom << k) ** 2)
            for k, latent in enumerate(latents)
        )
        self.cells = nn.ModuleDict()
        for k, cell in enumerate(UP_CELLS):
            held = {edge_of(name)[1]: o for name, o in options.items() if edge_of(name)[0] == cell}
            reads_skips = any(edge.endswith("-3") for edge in held)
            skips = {UP_CELLS[j]: 2 ** (k - j) for j in range(k)} if reads_skips else {}
            mode = "bilinear" if k == 1 else "nearest"
            self.cells[cell] = UpCell(cell, channels, held, skips, mode)
        self.head = nn.Sequential(
            make_norm("batch", channels, network.num_classes),
            nn.ReLU(),
            nn.Conv2d(channels, network.image_channels, 3, padding=1),
        )

    def run(self, x: Tensor, chosen: _CellRunner, labels: Tensor | None) -> Tensor:
        """Run all cells, each as ``chosen`` runs one."""
        earlier: _Earlier = {}
        h: Tensor | None = None
        parts = [*torch.split(x, self.parts, dim=1)]
        for k, (name, cell) in enumerate(self.cells.items()):
            if k < len(parts):
                side = self.bottom << k
                latent = self.latents[k](parts[k], labels)
                added = self.linears[k](latent).view(x.shape[0], -1, side, side)
                h = added if h is None else h + added
            assert h is not None
            assert isinstance(cell, UpCell)
            earlier[name], h = chosen(cell, h, earlier)
        assert h is not None
        norm, *rest = self.head
        h = apply_norm(norm, h, labels)
        for layer in rest:
            h = layer(h)
        return torch.tanh(h)


class DerivedGenerator(Derived, _Generator):
    """The generator of one architecture.

    Args:
        network: sizes; see `AdversarialNASSpace`.
        latent_scales: as there.
        options: the option of each decision of the generator.
    """

    def __init__(
        self, network: NetworkSettings, latent_scales: int, options: Mapping[str, str]
    ) -> None:
        held = {name: (options[name],) for name in running(options)}
        super().__init__(network, latent_scales, held)
        self.path = path_of(options)

    def chosen(self, cell: UpCell, x: Tensor, earlier: _Earlier) -> _Ran:
        """Run the architecture's path."""
        return cell.run(x, earlier, self.path)


class SuperGenerator(Shared, _Generator):
    """The generator that holds every operation of every edge.

    Args:
        network: sizes; see `AdversarialNASSpace`.
        latent_scales: as there.
    """

    def __init__(self, network: NetworkSettings, latent_scales: int) -> None:
        self.decisions = generator_decisions()
        super().__init__(network, latent_scales, {d.name: d.options for d in self.decisions})

    def choose(self, weights: Sequence[Tensor], x: Tensor, stage: int | None) -> _CellRunner:
        """See `Shared.choose`."""
        refuse_stage(stage)
        path = selected_path(self.decisions, weights, x)
        if path is not None:
            return lambda cell, x, earlier: cell.run(x, earlier, path)
        rows = self._rows(dict(zip((d.name for d in self.decisions), weights, strict=True)))
        return lambda cell, x, earlier: cell.mix(x, earlier, *rows[cell.name])

    def _rows(self, weights: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, ...]]:
        """Of each cell, the weights of both kinds of edges, see `UpCell.mix`."""
        like = next(self.parameters())
        by_kind = []
        for edges in (UP_EDGES, NORMAL_EDGES):
            names = [f"{cell}.{edge}" for cell in self.cells for edge in edges]
            by_kind.append(torch.split(weight_rows(weights, names, like), len(edges)))
        return dict(zip(self.cells, zip(*by_kind, strict=True), strict=True))
