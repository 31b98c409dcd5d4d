"""AutoGAN's networks as drawings. Imports no torch."""

from __future__ import annotations

from itertools import pairwise

from nasgan.architecture import Architecture
from nasgan.graph import Edge, Graph, Node
from nasgan_search_spaces.autogan.decisions import CELLS, SKIP_SOURCES

__all__ = ["draw_discriminator", "draw_generator"]

_NORMS = {"none": "no norm", "batch": "batch norm", "instance": "instance norm"}


def draw_generator(architecture: Architecture, image_size: int) -> Graph:
    """The generator: cells with what they decide, the skips between them and their shortcuts.

    Args:
        architecture: of this space.
        image_size: side of the images, pixels.
    """
    nodes = [Node("z", "latent z"), Node("linear", "linear")]
    edges = [Edge("z", "linear", kind="fixed")]
    end = "linear"
    handed_on: dict[str, str] = {}
    for k, cell in enumerate(CELLS):
        side = image_size >> (len(CELLS) - 1 - k)
        skips = SKIP_SOURCES[architecture[f"{cell}.skip"]] if k else ()
        inside = _Cell(cell, architecture, side)
        nodes += inside.nodes(bool(skips))
        edges += inside.edges(end, bool(skips))
        edges += [Edge(handed_on[source], inside.middle(True)) for source in skips]
        handed_on[cell] = inside.middle(bool(skips))
        end = inside.end
    nodes += [Node("head", "conv 3×3, tanh"), Node("image", f"image {image_size}×{image_size}")]
    edges += [Edge(end, "head", kind="fixed"), Edge("head", "image", kind="fixed")]
    return Graph("generator", tuple(nodes), tuple(edges))


class _Cell:
    """The nodes and edges of one cell."""

    def __init__(self, name: str, architecture: Architecture, side: int) -> None:
        self.name = name
        self.side = side
        self.block = architecture[f"{name}.block"]
        self.norm = _NORMS[architecture[f"{name}.norm"]]
        self.upsample = architecture[f"{name}.upsample"]
        self.has_shortcut = architecture[f"{name}.shortcut"] == "on"

    @property
    def end(self) -> str:
        return f"{self.name}.out" if self.has_shortcut else f"{self.name}.conv2"

    def middle(self, has_skips: bool) -> str:
        """What the cell hands on as its own skip."""
        return f"{self.name}.skip" if has_skips else f"{self.name}.conv1"

    def nodes(self, has_skips: bool) -> list[Node]:
        title = f"{self.name} · {self.side}×{self.side}"
        norm = f"{self.norm}, {self.block}-activation"
        nodes = [Node(f"{self.name}.conv1", "conv 3×3", title, (f"{self.upsample} ×2", norm))]
        if has_skips:
            nodes.append(Node(f"{self.name}.skip", "+", title))
        nodes.append(Node(f"{self.name}.conv2", "conv 3×3", title, (norm,)))
        if self.has_shortcut:
            nodes.append(Node(f"{self.name}.out", "+", title))
        return nodes

    def edges(self, start: str, has_skips: bool) -> list[Edge]:
        first, second = f"{self.name}.conv1", f"{self.name}.conv2"
        edges = [Edge(start, first, kind="fixed")]
        if has_skips:
            edges.append(Edge(first, f"{self.name}.skip", kind="fixed"))
        edges.append(Edge(self.middle(has_skips), second, kind="fixed"))
        if self.has_shortcut:
            edges += [Edge(second, self.end, kind="fixed"), Edge(start, self.end)]
        return edges


def draw_discriminator(image_size: int) -> Graph:
    """The fixed discriminator."""
    sides = (image_size // 2, image_size // 4, image_size // 4, image_size // 4)
    names = [f"block{k + 1}" for k in range(len(sides))]
    nodes = [Node("image", f"image {image_size}×{image_size}")]
    nodes += [
        Node(name, "residual block", "fixed", (f"to {side}×{side}",))
        for name, side in zip(names, sides, strict=True)
    ]
    nodes.append(Node("logit", "sum, linear"))
    chain = [node.id for node in nodes]
    edges = [Edge(a, b, kind="fixed") for a, b in pairwise(chain)]
    return Graph("discriminator", tuple(nodes), tuple(edges))
