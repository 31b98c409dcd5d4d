"""AutoGAN's up-sampling cell, one implementation for derived networks and the supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.networks.conditional import apply_norm, make_norm
from nasgan_search_spaces.autogan.decisions import SKIP_SOURCES
from nasgan_search_spaces.autogan.options import Choice, Options, UpsampleConv, share_of

__all__ = ["Cell", "CellChoice", "CellOptions"]


@dataclass(frozen=True)
class CellOptions:
    """The options that a cell holds, per decision; one each in a derived network."""

    block: tuple[str, ...]
    norm: tuple[str, ...]
    upsample: tuple[str, ...]
    shortcut: tuple[str, ...]
    skip: tuple[str, ...] = ("none",)


@dataclass(frozen=True)
class CellChoice:
    """What a cell does, per decision."""

    block: Choice
    norm: Choice
    upsample: Choice
    shortcut: Choice
    skip: Choice = "none"


class ConvBlock(nn.Module):
    """A convolution with normalisation and ReLU before it ("pre") or after it ("post")."""

    def __init__(
        self,
        channels: int,
        order: str,
        norms: Sequence[str],
        convolution: nn.Module,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.order = order
        self.norm = Options((name, make_norm(name, channels, num_classes)) for name in norms)
        self.convolution = convolution

    def forward(
        self, x: Tensor, norm: Choice, upsample: tuple[Choice, ...], labels: Tensor | None
    ) -> Tensor:
        """Map (N, C, H, W); ``upsample`` holds the mode where the convolution enlarges."""

        def rectified(x: Tensor) -> Tensor:
            return F.relu(self.norm.apply_by(lambda module: apply_norm(module, x, labels), norm))

        if self.order == "pre":
            x = rectified(x)
        y: Tensor = self.convolution(x, *upsample)
        return rectified(y) if self.order == "post" else y


class Cell(nn.Module):
    """Two convolution blocks, the first doubling the map, with skips in and a shortcut.

    The skips from earlier cells are added between the blocks; what the cell hands on as its own
    skip is the map after that addition, so it contains those that it received. All sums are out of
    place: the original's in-place ones broke the gradient of 274,833 of the 373,248 architectures.

    Soft choices mix where they act: ``upsample`` the enlarged maps, ``norm`` the normalised maps,
    ``block`` the outputs of the post- and pre-activation block, in each of the two blocks;
    ``shortcut`` and ``skip`` scale what they add by the weight of the options that add it.

    Args:
        channels: width.
        options: the options that it holds.
        distances: for each earlier cell whose map can be added, how many doublings away it is.
        num_classes: of class-conditional batch norms, or 0.
    """

    def __init__(
        self,
        channels: int,
        options: CellOptions,
        distances: Mapping[str, int],
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        self.options = options

        def block(order: str, *, first: bool) -> ConvBlock:
            if first:
                convolution: nn.Module = UpsampleConv(channels, 3, options.upsample)
            else:
                convolution = nn.Conv2d(channels, channels, 3, padding=1)
            return ConvBlock(channels, order, options.norm, convolution, num_classes)

        self.block1 = Options((order, block(order, first=True)) for order in options.block)
        self.block2 = Options((order, block(order, first=False)) for order in options.block)
        sources = {source for option in options.skip for source in SKIP_SOURCES[option]}
        self.skip = nn.ModuleDict(
            {
                source: UpsampleConv(channels, 1, options.upsample, distance)
                for source, distance in distances.items()
                if source in sources
            }
        )
        self.shortcut = nn.ModuleDict()
        if "on" in options.shortcut:
            self.shortcut["on"] = UpsampleConv(channels, 1, options.upsample)

    def forward(
        self,
        x: Tensor,
        earlier: Mapping[str, Tensor],
        choice: CellChoice,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run the cell.

        Args:
            x: (N, C, H, W).
            earlier: the skip maps of the earlier cells, by cell.
            choice: what to do.
            labels: int64 (N,), which class-conditional batch norms read.

        Returns:
            The skip map for later cells and the output, both (N, C, 2H, 2W).
        """
        h = self.block1(choice.block, x, choice.norm, (choice.upsample,), labels)
        for source, resize in self.skip.items():
            bringing = [name for name, sources in SKIP_SOURCES.items() if source in sources]
            share = share_of(choice.skip, self.options.skip, bringing)
            h = _add_share(h, share, resize, earlier[source], choice.upsample)
        out = self.block2(choice.block, h, choice.norm, (), labels)
        for option, resize in self.shortcut.items():
            share = share_of(choice.shortcut, self.options.shortcut, [option])
            out = _add_share(out, share, resize, x, choice.upsample)
        return h, out


def _add_share(
    h: Tensor, share: Tensor | bool, resize: nn.Module, x: Tensor, mode: Choice
) -> Tensor:
    if share is False:
        return h
    added: Tensor = resize(x, mode)
    return h + added if share is True else h + share.to(added) * added
