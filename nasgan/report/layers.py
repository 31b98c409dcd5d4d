"""The layers of a drawing, the order and the places in them, and the lanes beside them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby, pairwise
from typing import Literal, TypeAlias

from nasgan.graph import Edge, Graph

__all__ = ["Box", "Grid", "lanes_of", "stacked"]

_GAP_X = 12.0
_PASSING = 4.0
_SWEEPS = 4
_RELAXATIONS = 16
_STARTS = 6

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


@dataclass
class Slot:
    """One thing in a layer: a node, an edge's label, or an edge that passes by.

    Attributes:
        width: pixels.
        above: indices of the slots that it is joined to in the layer above.
        below: in the layer below.
        x: centre, pixels.
    """

    width: float
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    x: float = 0.0


class Grid:
    """Layers of slots: even ones hold nodes, odd ones the labels between them.

    Args:
        depth: the layer of each node, in halves of these layers.
        edges: to draw through the layers.
        node_widths: pixels, by id.
        label_widths: of each edge's label, pixels; 0 without one.
    """

    def __init__(
        self,
        depth: Mapping[str, int],
        edges: Sequence[Edge],
        *,
        node_widths: Mapping[str, float],
        label_widths: Sequence[float],
    ) -> None:
        self.layers: list[list[int]] = [[] for _ in range(2 * max(depth.values()) + 1)]
        self.slots: list[Slot] = []
        self.of_node = {
            name: self._add(2 * depth[name], width) for name, width in node_widths.items()
        }
        self.of_edge: list[list[int]] = []
        for edge, label in zip(edges, label_widths, strict=True):
            first, last = 2 * depth[edge.source], 2 * depth[edge.target]
            passing = [
                self._add(layer, max(label, _PASSING) if layer == first + 1 else _PASSING)
                for layer in range(first + 1, last)
            ]
            chain = [self.of_node[edge.source], *passing, self.of_node[edge.target]]
            for above, below in pairwise(chain):
                self.slots[above].below.append(below)
                self.slots[below].above.append(above)
            self.of_edge.append(passing)

    def _add(self, layer: int, width: float) -> int:
        self.slots.append(Slot(width))
        self.layers[layer].append(len(self.slots) - 1)
        return len(self.slots) - 1

    def slot_of(self, node: str) -> Slot:
        """The slot of a node."""
        return self.slots[self.of_node[node]]

    def order(self) -> None:
        """Sort the layers so that few edges cross; from several starts, as one may get stuck."""
        best = (self._crossings(), [list(layer) for layer in self.layers])
        for start in range(_STARTS):
            if start:
                for layer in self.layers:
                    random.Random(start).shuffle(layer)  # noqa: S311 - not for secrets
            for sweep in range(_SWEEPS):
                self._sweep(down=sweep % 2 == 0)
                self._swap()
                crossings = self._crossings()
                if crossings < best[0]:
                    best = (crossings, [list(layer) for layer in self.layers])
                if best[0] == 0:
                    break
        self.layers = best[1]
        self._mirror()

    def _mirror(self) -> None:
        """Of two mirror images take the one in which more nodes keep the graph's order.

        What lies between two layers of a single slot can be mirrored by itself.
        """
        nodes = set(self.of_node.values())
        for _, part in groupby(self.layers, key=lambda layer: len(layer) > 1):
            layers = list(part)
            pairs = [pair for layer in layers for pair in combinations(layer, 2)]
            kept = [a < b for a, b in pairs if a in nodes and b in nodes]
            if 2 * sum(kept) < len(kept):
                for layer in layers:
                    layer.reverse()

    def _sweep(self, *, down: bool) -> None:
        """Sort each layer by the mean place of its neighbours above or below."""
        place = {s: k for layer in self.layers for k, s in enumerate(layer)}
        for layer in self.layers if down else reversed(self.layers):
            self._sort(layer, place, down=down)

    def _sort(self, layer: list[int], place: dict[int, int], *, down: bool) -> None:
        def mean(s: int) -> float:
            near = self.slots[s].above if down else self.slots[s].below
            return sum(place[n] for n in near) / len(near) if near else place[s]

        layer.sort(key=lambda s: (mean(s), place[s]))
        place.update({s: k for k, s in enumerate(layer)})

    def _swap(self) -> None:
        for k, layer in enumerate(self.layers):
            for i in range(len(layer) - 1):
                before = self._crossings(k)
                layer[i], layer[i + 1] = layer[i + 1], layer[i]
                if self._crossings(k) >= before:
                    layer[i], layer[i + 1] = layer[i + 1], layer[i]

    def _crossings(self, around: int | None = None) -> int:
        """Crossings of all edges, or of those that begin or end in the layer ``around``."""
        first, last = (0, len(self.layers)) if around is None else (max(0, around - 1), around + 1)
        count = 0
        for k in range(first, min(last, len(self.layers) - 1)):
            below = {s: i for i, s in enumerate(self.layers[k + 1])}
            lines = [
                (i, below[t]) for i, s in enumerate(self.layers[k]) for t in self.slots[s].below
            ]
            count += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(lines, 2))
        return count

    def spread(self) -> None:
        """Give each slot its x: near its neighbours, and apart from those beside it."""
        for layer in self.layers:
            total = sum(self.slots[s].width + _GAP_X for s in layer)
            x = -total / 2
            for s in layer:
                self.slots[s].x = x + (self.slots[s].width + _GAP_X) / 2
                x += self.slots[s].width + _GAP_X
        for sweep in range(_RELAXATIONS):
            for layer in self.layers if sweep % 2 else reversed(self.layers):
                self._relax(layer)

    def _relax(self, layer: Sequence[int]) -> None:
        wanted = []
        for s in layer:
            near = [self.slots[n].x for n in (*self.slots[s].above, *self.slots[s].below)]
            wanted.append(sum(near) / len(near) if near else self.slots[s].x)
        apart = [
            (self.slots[a].width + self.slots[b].width) / 2 + _GAP_X for a, b in pairwise(layer)
        ]
        pushed_right, pushed_left = list(wanted), list(wanted)
        for k, gap in enumerate(apart):
            pushed_right[k + 1] = max(pushed_right[k + 1], pushed_right[k] + gap)
        for k in reversed(range(len(apart))):
            pushed_left[k] = min(pushed_left[k], pushed_left[k + 1] - apart[k])
        # Both keep the gaps, so their mean does.
        for s, right, left in zip(layer, pushed_right, pushed_left, strict=True):
            self.slots[s].x = (right + left) / 2


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


def stacked(graph: Graph, depth: Mapping[str, int]) -> dict[str, int]:
    """The layer of each node such that no two groups share any, so that frames lie apart.

    Args:
        graph: the graph.
        depth: the layer of each node, as the flow asks for it.

    Returns:
        ``depth`` itself if its groups lie apart, or lead into each other both ways.
    """
    members: dict[str, list[str]] = {}
    for node in graph.nodes:
        # A node without a group stands for itself; no group can have its name.
        members.setdefault(node.group or f"\0{node.id}", []).append(node.id)
    groups = [
        [depth[name] for name in ids] for unit, ids in members.items() if not unit.startswith("\0")
    ]
    if all(max(a) < min(b) or max(b) < min(a) for a, b in combinations(groups, 2)):
        return dict(depth)
    order = _in_order(graph, members, depth)
    if order is None:
        return dict(depth)
    layers: dict[str, int] = {}
    free = 0
    for unit in order:
        own = sorted({depth[name] for name in members[unit]})
        layers.update({name: free + own.index(depth[name]) for name in members[unit]})
        free += len(own)
    return layers


def _in_order(
    graph: Graph, members: Mapping[str, list[str]], depth: Mapping[str, int]
) -> list[str] | None:
    """The units such that each comes after those that lead to it; None if that cannot be."""
    unit_of = {name: unit for unit, ids in members.items() for name in ids}
    before: dict[str, set[str]] = {unit: set() for unit in members}
    for edge in graph.edges:
        if unit_of[edge.source] != unit_of[edge.target]:
            before[unit_of[edge.target]].add(unit_of[edge.source])
    first = {unit: min(depth[name] for name in ids) for unit, ids in members.items()}
    order: list[str] = []
    while len(order) < len(members):
        ready = [u for u in members if u not in order and before[u] <= set(order)]
        if not ready:
            return None
        order.append(min(ready, key=lambda unit: first[unit]))
    return order
