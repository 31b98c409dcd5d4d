"""AdversarialNAS' networks as drawings. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from nasgan.graph import Edge, EdgeKind, Graph, Node
from nasgan_search_spaces.adversarial_nas.decisions import (
    MAX_DOWN_CELLS,
    NONE,
    UP_CELLS,
    down_cells,
    edge_of,
    running,
)

__all__ = ["draw_discriminator", "draw_fixed_discriminator", "draw_generator"]

_NODES = ("0", "1", "2", "3", "4")
_WORDS = {
    "skip_connect": "identity",
    "avg_pool": "average pool",
    "max_pool": "max pool",
    "conv_1x1": "conv 1×1",
    "conv_3x3": "conv 3×3",
    "conv_5x5": "conv 5×5",
    "dil_conv_3x3": "dilated 3×3",
    "dil_conv_5x5": "dilated 5×5",
}


def draw_generator(options: Mapping[str, str], image_size: int, latent_scales: int) -> Graph:
    """The generator: its up-cells, the latent's parts, and the fixed skips between the cells.

    Args:
        options: the option of each decision.
        image_size: side of the images, pixels.
        latent_scales: how many cells get a part of the latent.
    """
    used = set(running(options))
    nodes = [Node(f"z{k}", f"latent part {k + 1}", "", ("linear",)) for k in range(latent_scales)]
    edges = [
        Edge(f"z{k}", f"{cell}.0", kind="fixed") for k, cell in enumerate(UP_CELLS[:latent_scales])
    ]
    for k, cell in enumerate(UP_CELLS):
        side = image_size >> (len(UP_CELLS) - 1 - k)
        nodes += _cell_nodes(cell, f"{cell} · to {side}×{side}")
        edges += _cell_edges(cell, options, used)
        if k:
            edges.append(Edge(f"{UP_CELLS[k - 1]}.4", f"{cell}.0", kind="fixed"))
        if any(f"{cell}.{edge}" in used for edge in ("1-3", "2-3")):
            edges += [Edge(f"{e}.3", f"{cell}.3", kind="fixed") for e in UP_CELLS[:k]]
    nodes += [Node("head", "conv 3×3, tanh"), Node("image", f"image {image_size}×{image_size}")]
    edges += [
        Edge(f"{UP_CELLS[-1]}.4", "head", kind="fixed"),
        Edge("head", "image", kind="fixed"),
    ]
    return Graph("generator", tuple(nodes), tuple(edges))


def draw_discriminator(options: Mapping[str, str], image_size: int) -> Graph:
    """The searched discriminator: its down-cells.

    Args:
        options: the option of each decision.
        image_size: side of the images, pixels.
    """
    used = set(running(options))
    held = {edge_of(name)[0] for name in options}
    cells = [cell for cell in down_cells(MAX_DOWN_CELLS) if cell in held]
    nodes = [Node("image", f"image {image_size}×{image_size}")]
    edges: list[Edge] = []
    before = "image"
    for k, cell in enumerate(cells):
        side = image_size >> (k + 1)
        nodes += _cell_nodes(cell, f"{cell} · to {side}×{side}")
        edges.append(Edge(before, f"{cell}.0", kind="fixed"))
        edges += _cell_edges(cell, options, used)
        before = f"{cell}.4"
    nodes.append(Node("logit", "sum, linear"))
    edges.append(Edge(before, "logit", kind="fixed"))
    return Graph("discriminator", tuple(nodes), tuple(edges))


def draw_fixed_discriminator(kind: str, image_size: int) -> Graph:
    """AutoGAN's or SNGAN's discriminator as one box."""
    nodes = (
        Node("image", f"image {image_size}×{image_size}"),
        Node("network", {"autogan": "AutoGAN", "sngan": "SNGAN"}[kind], "", ("fixed",)),
        Node("logit", "logit"),
    )
    edges = (Edge("image", "network", kind="fixed"), Edge("network", "logit", kind="fixed"))
    return Graph("discriminator", nodes, edges)


def _cell_nodes(cell: str, title: str) -> list[Node]:
    return [Node(f"{cell}.{name}", name, title) for name in _NODES]


def _cell_edges(cell: str, options: Mapping[str, str], used: set[str]) -> list[Edge]:
    """The edges of ``cell`` but those of none; an edge that nothing reads is unused."""
    edges = []
    for name, option in options.items():
        owner, edge = edge_of(name)
        if owner != cell or option == NONE:
            continue
        source, target = edge.split("-")
        kind: EdgeKind = "chosen" if name in used else "unused"
        label = _WORDS.get(option, option)
        edges.append(Edge(f"{cell}.{source}", f"{cell}.{target}", label, kind))
    return edges
