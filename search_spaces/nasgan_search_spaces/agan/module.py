"""A module of AGAN: a cell of blocks in the manner of NASNet (reconstructed)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from nasgan.architecture import Part
from nasgan_search_spaces.agan.choices import Choice, Choices, add, gather, unread
from nasgan_search_spaces.agan.decisions import (
    DOWN,
    INPUT,
    MODULE_INPUTS,
    PREV,
    RESAMPLERS,
    SIDES,
    UP,
    block_names,
    normal_segment,
    prev_decision,
)
from nasgan_search_spaces.agan.layers import Layers, Style
from nasgan_search_spaces.agan.operations import Operations, resampling

__all__ = ["Module", "Place", "Setup", "places"]


@dataclass(frozen=True)
class Setup:
    """The settings of the space that shape its modules; see `AGANSpace`."""

    blocks: int = 4
    output: str = "sum"
    separate_normal: bool = False
    attention: bool = False
    normals_per_resample: int = 1


@dataclass(frozen=True)
class Place:
    """Where in a network a module stands.

    Attributes:
        name: of the module there, e.g. ``"up1"``.
        segment: the decisions that program it.
        resizes_prev: the decision of how ``prev`` is brought to the size of the input; None where
            it has that size.
    """

    name: str
    segment: str
    resizes_prev: str | None


def places(part: Part, doublings: int, setup: Setup) -> tuple[Place, ...]:
    """The modules of a network in order: a resampling one per doubling, normal ones after each."""
    resampler = RESAMPLERS[part][0]
    normals = setup.normals_per_resample
    normal = normal_segment(part, separate=setup.separate_normal)
    decision = prev_decision(part, separate=setup.separate_normal, normals=normals)
    found: list[Place] = []
    for k in range(doublings):
        for j in range(1 + normals):
            # ``prev`` is the output of the module before the preceding one, which resampled it if
            # it is the resampling one; the first module has no such.
            follows_resampler = j == 1 or (not normals and k > 0)
            name = f"normal{k * normals + j}" if j else f"{resampler}{k + 1}"
            found.append(
                Place(name, normal if j else resampler, decision if follows_resampler else None)
            )
    return tuple(found)


class Slot(nn.ModuleDict):
    """One of the two sides of a block: what it reads, and what it makes of it.

    Soft choices mix the maps that it reads, then the operations; module inputs and earlier blocks
    of resampling modules separately, because they differ in size and in what is done to them.

    Args:
        name: of its decisions, e.g. ``"up.block2.left"``.
        options: the options to hold, by decision.
        style: of the network.
    """

    def __init__(self, name: str, options: Mapping[str, tuple[str, ...]], style: Style) -> None:
        super().__init__()
        self.name = name
        segment = name.split(".", maxsplit=1)[0]
        self.resamples = segment in (UP, DOWN)
        reads = options[f"{name}.input"]
        if any(self._kind(source) == "resample" for source in reads):
            held = options[f"{name}.resample"]
            self["resample"] = resampling(held, style, doubles=segment == UP)
        if any(self._kind(source) == "operation" for source in reads):
            self["operation"] = Operations(options[f"{name}.operation"], style)

    def forward(
        self, maps: Mapping[str, Tensor], choices: Choices, labels: Tensor | None
    ) -> Tensor:
        """The slot's map; ``maps`` are those that it can read, by name."""
        reads = choices[f"{self.name}.input"]
        total: Tensor | None = None
        for kind, layers in self.items():
            own = {source: scale for source, scale in reads.items() if self._kind(source) == kind}
            if own:
                x, share = gather(maps, own)
                total = add(total, layers(x, choices[f"{self.name}.{kind}"], labels), share)
        assert total is not None
        return total

    def running(self, choices: Choices) -> Iterator[nn.Module]:
        """The layers that a pass runs."""
        kinds = {self._kind(source) for source in choices[f"{self.name}.input"]}
        for kind, layers in self.items():
            if kind in kinds:
                yield from _of_options(layers, choices[f"{self.name}.{kind}"])

    def _kind(self, source: str) -> str:
        return "resample" if self.resamples and source in MODULE_INPUTS else "operation"


class Projection(Layers):
    """A 1x1 convolution of each unused block, for the output by concatenation.

    Convolving a concatenation 1x1 is adding up a 1x1 convolution of each of its parts; in parts, a
    supernet and its derived networks share the parameters. (Spectral norms are those of the parts.)

    Args:
        style: of the network.
    """

    def __init__(self, style: Style) -> None:
        super().__init__({"conv": style.conv(1)}, style, normalised=True)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y: Tensor = self["conv"](self.rectified(x, labels))
        return y


class Module(nn.Module):
    """Blocks, each the sum of its two slots; the output collects the blocks that no slot reads.

    Args:
        place: where it stands.
        options: the options to hold, by decision; absent decisions hold none.
        setup: of the space.
        style: of the network.
    """

    def __init__(
        self, place: Place, options: Mapping[str, tuple[str, ...]], setup: Setup, style: Style
    ) -> None:
        super().__init__()
        self.resizes_prev = place.resizes_prev
        self.prev: nn.Module | None = None
        if place.resizes_prev is not None and place.resizes_prev in options:
            doubles = place.resizes_prev.endswith(".upsample")
            self.prev = resampling(options[place.resizes_prev], style, doubles=doubles)
        self.blocks = nn.ModuleDict()
        for block in block_names(setup.blocks):
            names = {side: f"{place.segment}.{block}.{side}" for side in SIDES}
            self.blocks[block] = nn.ModuleDict(
                {side: Slot(name, options, style) for side, name in names.items()}
            )
        self._slots = [f"{place.segment}.{block}.{side}" for block in self.blocks for side in SIDES]
        self.project = nn.ModuleDict()
        if setup.output == "concat":
            reads = [options[f"{name}.input"] for name in self._slots]
            certain = {held[0] for held in reads if len(held) == 1}
            self.project.update(
                {block: Projection(style) for block in self.blocks if block not in certain}
            )

    def forward(self, x: Tensor, prev: Tensor, choices: Choices, labels: Tensor | None) -> Tensor:
        """Run the module.

        Args:
            x: its input, (N, C, H, W), the output of the module before.
            prev: the output of the module before that.
            choices: what to do, by decision.
            labels: int64 (N,), for class-conditional batch norm.

        Returns:
            (N, C, H, W), or twice or half the size.
        """
        reads = self._reads(choices)
        maps = {INPUT: x}
        if any(PREV in choice for choice in reads):
            if self.prev is not None and self.resizes_prev is not None:
                prev = self.prev(prev, choices[self.resizes_prev], labels)
            maps[PREV] = prev
        for block, slots in self.blocks.items():
            assert isinstance(slots, nn.ModuleDict)
            left, right = (slot(maps, choices, labels) for slot in slots.values())
            maps[block] = left + right
        output: Tensor | None = None
        for block, share in unread(self.blocks, reads).items():
            y = maps[block]
            if block in self.project:
                y = self.project[block](y, labels)
            output = add(output, y, share)
        assert output is not None
        return output

    def running(self, choices: Choices) -> Iterator[nn.Module]:
        """The layers that a pass runs, each once where ``choices`` are a path."""
        reads = self._reads(choices)
        if self.prev is not None and any(PREV in choice for choice in reads):
            assert isinstance(self.prev, nn.ModuleDict)
            assert self.resizes_prev is not None
            yield from _of_options(self.prev, choices[self.resizes_prev])
        for slots in self.blocks.values():
            assert isinstance(slots, nn.ModuleDict)
            for slot in slots.values():
                assert isinstance(slot, Slot)
                yield from slot.running(choices)
        yield from _of_options(self.project, unread(self.blocks, reads))

    def _reads(self, choices: Choices) -> list[Choice]:
        return [choices[f"{name}.input"] for name in self._slots]


def _of_options(layers: nn.Module, options: Iterable[str]) -> Iterator[nn.Module]:
    assert isinstance(layers, nn.ModuleDict)
    return (layers[option] for option in options if option in layers)
