"""The hand-crafted networks as drawings: a node for each of their layers or residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

from nasgan.graph import Edge, Graph, Node
from nasgan.networks.sizes import bottom_and_doublings

__all__ = ["draw_discriminator", "draw_generator"]

_Layer: TypeAlias = "tuple[str, tuple[str, ...]]"


def draw_generator(network: str, image_size: int) -> Graph:
    """A generator.

    Args:
        network: ``"dcgan"`` or ``"sngan"``.
        image_size: side of the images, pixels.
    """
    layers: list[_Layer]
    bottom, doublings = bottom_and_doublings(image_size)
    sides = [bottom << k for k in range(1, doublings + 1)]
    if network == "dcgan":
        layers = [
            ("transposed conv 4×4", ("batch norm, ReLU before", f"to {side}×{side}"))
            for side in sides
        ]
        head = "tanh"
    else:
        layers = [("residual block", ("nearest ×2", f"to {side}×{side}")) for side in sides]
        head = "conv 3×3, tanh"
    start = ("latent z", f"linear, {bottom}×{bottom}")
    return _chain("generator", network, start, layers, (head, _image(image_size)))


def draw_discriminator(network: str, image_size: int, *, spectral_norm: bool) -> Graph:
    """A discriminator.

    Args:
        network: ``"dcgan"`` or ``"sngan"``.
        image_size: side of the images, pixels.
        spectral_norm: whether it normalises the weights instead of DCGAN's maps.
    """
    layers: list[_Layer]
    _, doublings = bottom_and_doublings(image_size)
    norm = ("spectral norm",) if spectral_norm else ()
    if network == "dcgan":
        # Without spectral norm all but the first have batch norm.
        norms = [norm or (("batch norm",) if k else ()) for k in range(doublings)]
        layers = [
            ("conv 4×4, stride 2", (*norms[k], f"to {image_size >> k + 1}×{image_size >> k + 1}"))
            for k in range(doublings)
        ]
        head = "linear"
    else:
        halvings = max(1, doublings - 1)
        sides = [image_size >> min(k, halvings) for k in range(1, halvings + 3)]
        layers = [("residual block", (*norm, f"to {side}×{side}")) for side in sides]
        head = "sum, linear"
    return _chain("discriminator", network, (_image(image_size),), layers, (head, "logit"))


def _image(side: int) -> str:
    return f"image {side}×{side}"


def _chain(
    title: str,
    network: str,
    start: tuple[str, ...],
    layers: Sequence[_Layer],
    end: tuple[str, ...],
) -> Graph:
    """Nodes below each other; those in the middle are what the decision chose."""
    nodes = [Node(f"start{k}", label) for k, label in enumerate(start)]
    nodes += [
        Node(f"layer{k}", label, network.upper(), lines) for k, (label, lines) in enumerate(layers)
    ]
    nodes += [Node(f"end{k}", label) for k, label in enumerate(end)]
    inside = {node.id for node in nodes if node.group}
    edges = [
        Edge(a.id, b.id) if b.id in inside else Edge(a.id, b.id, kind="fixed")
        for a, b in pairwise(nodes)
    ]
    return Graph(title, tuple(nodes), tuple(edges))
