"""The edges that run beside a drawing: on which side, and how far out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from nasgan.graph import Edge

__all__ = ["Box", "Side", "lanes_of"]

Side: TypeAlias = Literal[-1, 1]
"""Left or right."""


@dataclass
class Box:
    """A rectangle around something, by its centre.

    Attributes:
        x: centre, pixels.
        y: centre, pixels.
        width: pixels.
        height: pixels.
    """

    x: float
    y: float
    width: float
    height: float


def lanes_of(edges: Sequence[Edge], nodes: Mapping[str, Box]) -> dict[Edge, tuple[Side, int]]:
    """The side of each edge and its lane there, from 1 outwards.

    The edges of one source share a lane on each side, as branches of one line; short lanes are
    inside. An edge runs on the right, unless only on the left no other node is in its way.
    """
    trunks: dict[tuple[str, Side], list[Edge]] = {}
    for edge in edges:
        trunks.setdefault((edge.source, _side(edge, nodes)), []).append(edge)
    taken: dict[Side, list[list[tuple[float, float]]]] = {-1: [], 1: []}
    lanes: dict[Edge, tuple[Side, int]] = {}
    spans = {
        key: (nodes[key[0]].y, max(nodes[edge.target].y for edge in found))
        for key, found in trunks.items()
    }
    for key in sorted(trunks, key=lambda key: spans[key][1] - spans[key][0]):
        side = key[1]
        number = _first_free(taken[side], *spans[key])
        lanes.update(dict.fromkeys(trunks[key], (side, number)))
    return lanes


def _first_free(taken: list[list[tuple[float, float]]], top: float, bottom: float) -> int:
    """Take the first lane that is free from ``top`` to ``bottom``; returns its number."""
    for number, spans in enumerate(taken, start=1):
        if all(bottom < a or b < top for a, b in spans):
            spans.append((top, bottom))
            return number
    taken.append([(top, bottom)])
    return len(taken)


def _side(edge: Edge, nodes: Mapping[str, Box]) -> Side:
    ends = (nodes[edge.source], nodes[edge.target])
    if not all(_is_outermost(box, nodes, 1) for box in ends) and all(
        _is_outermost(box, nodes, -1) for box in ends
    ):
        return -1
    return 1


def _is_outermost(box: Box, nodes: Mapping[str, Box], side: Side) -> bool:
    """Whether nothing in the row of ``box`` lies further out."""
    return not any(
        side * (other.x - box.x) > 0
        for other in nodes.values()
        if abs(other.y - box.y) < (other.height + box.height) / 2
    )
