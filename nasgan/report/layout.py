"""Where the nodes and edges of a drawing go: layers from top to bottom, few crossings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

from nasgan.graph import Edge, Graph, Node
from nasgan.report.layers import Grid

__all__ = ["Box", "Route", "place"]

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


_CHARACTER = 6.6
_SMALL_CHARACTER = 5.7
_SIDE_ROOM = 9.0
_LINE = 13.0
_NODE_HEIGHT = 24.0
_GAP_Y = 16.0
_LABEL_HEIGHT = 14.0
_TITLE_HEIGHT = 20.0
_FRAME = 8.0
_LANE = 10.0
_MARGIN = 6.0


@dataclass(frozen=True)
class Route:
    """The way of an edge.

    Attributes:
        edge: the edge.
        points: corners from the source's border to the target's.
        label: centre of its label; None without one.
        is_lane: whether it runs beside the drawing, straight up and down.
    """

    edge: Edge
    points: Sequence[tuple[float, float]]
    label: tuple[float, float] | None
    is_lane: bool = False


@dataclass(frozen=True)
class Layout:
    """A drawing's geometry.

    Attributes:
        width: of the whole, pixels.
        height: of the whole, pixels.
        nodes: each node's box by id.
        frames: each group's box by its title.
        routes: the edges.
    """

    width: float
    height: float
    nodes: dict[str, Box]
    frames: dict[str, Box]
    routes: list[Route]


def place(graph: Graph) -> Layout:
    """Lay out ``graph`` in layers (after Sugiyama et al. 1981).

    Labels of edges get places of their own between the layers, so that none covers another. Edges
    that lead past other groups run beside the drawing, as skips are drawn in papers.
    """
    groups = {node.id: node.group for node in graph.nodes}
    depth = stacked(graph, _depths(graph))
    inner, outer = _split(graph, depth, groups)
    grid = Grid(
        depth,
        inner,
        node_widths={node.id: _size(node)[0] for node in graph.nodes},
        label_widths=[_label_width(edge) for edge in inner],
    )
    grid.order()
    grid.spread()
    tops = _tops(graph, depth, inner)
    nodes = {
        node.id: Box(grid.slot_of(node.id).x, tops[2 * depth[node.id]], *_size(node))
        for node in graph.nodes
    }
    routes = [
        _route(
            edge,
            nodes,
            [(grid.slots[s].x, tops[2 * depth[edge.source] + 1 + k]) for k, s in enumerate(slots)],
        )
        for edge, slots in zip(inner, grid.of_edge, strict=True)
    ]
    frames = _frames(graph, nodes, routes)
    return _finished(nodes, frames, routes, outer)


def _size(node: Node) -> tuple[float, float]:
    widths = [_CHARACTER * len(node.label), *(_SMALL_CHARACTER * len(line) for line in node.lines)]
    width = max(26.0, max(widths) + 2 * _SIDE_ROOM)
    return width, _NODE_HEIGHT + _LINE * len(node.lines)


def _depths(graph: Graph) -> dict[str, int]:
    """The layer of each node; what nothing leads to stands right above its first reader.

    There it gets a layer of its own if it would stand beside a group that it does not belong to.
    """
    depth = graph.layers()
    targets = {edge.target for edge in graph.edges}
    for node in graph.nodes:
        readers = [depth[edge.target] for edge in graph.edges if edge.source == node.id]
        if node.id in targets or not readers:
            continue
        reader = min(readers)
        depth[node.id] = reader - 1
        beside = {other.group for other in graph.nodes if depth[other.id] == reader - 1}
        if beside - {"", node.group}:
            for name in depth:
                depth[name] += depth[name] >= reader
            depth[node.id] = reader
    return depth


def _split(
    graph: Graph, depth: dict[str, int], groups: dict[str, str]
) -> tuple[list[Edge], list[Edge]]:
    """The edges through the drawing, and those beside it: they would cross another group."""
    inner: list[Edge] = []
    outer: list[Edge] = []
    for edge in graph.edges:
        passed = {
            groups[name]
            for name, layer in depth.items()
            if depth[edge.source] < layer < depth[edge.target]
        }
        own = {groups[edge.source]} & {groups[edge.target]}
        (outer if passed - {""} - own else inner).append(edge)
    return inner, outer


def _label_width(edge: Edge) -> float:
    return _SMALL_CHARACTER * len(edge.label) + 6 if edge.label else 0.0


def _route(edge: Edge, nodes: dict[str, Box], middle: list[tuple[float, float]]) -> Route:
    source, target = nodes[edge.source], nodes[edge.target]
    points = [
        (source.x, source.y + source.height / 2),
        *middle,
        (target.x, target.y - target.height / 2),
    ]
    return Route(edge, points, middle[0] if edge.label else None)


def _tops(graph: Graph, depth: dict[str, int], edges: Sequence[Edge]) -> list[float]:
    """The y of each layer's centre."""
    count = max(depth.values()) + 1
    heights = [0.0] * count
    for node in graph.nodes:
        heights[depth[node.id]] = max(heights[depth[node.id]], _size(node)[1])
    has_label = [False] * count
    for edge in edges:
        has_label[depth[edge.source]] |= bool(edge.label)
    begins, ends = _borders(graph, depth)
    y, tops = 0.0, []
    for k in range(count):
        if k:
            gap = _GAP_Y + (_LABEL_HEIGHT if has_label[k - 1] else 0.0)
            gap += _TITLE_HEIGHT + 2 * _FRAME if k in begins else _FRAME * (k in ends)
            tops.append(y + gap / 2)
            y += gap
        tops.append(y + heights[k] / 2)
        y += heights[k]
    return tops


def _borders(graph: Graph, depth: dict[str, int]) -> tuple[set[int], set[int]]:
    """The layers at which a group begins, and those that follow a group's last."""
    begins, ends = set(), set()
    for name in {node.group for node in graph.nodes if node.group}:
        layers = [depth[node.id] for node in graph.nodes if node.group == name]
        begins.add(min(layers))
        ends.add(max(layers) + 1)
    return begins, ends


def _frames(graph: Graph, nodes: dict[str, Box], routes: Sequence[Route]) -> dict[str, Box]:
    groups = {node.id: node.group for node in graph.nodes}
    frames = {}
    for name in dict.fromkeys(node.group for node in graph.nodes if node.group):
        boxes = [nodes[node.id] for node in graph.nodes if node.group == name]
        boxes += [
            Box(x, y, _label_width(route.edge), 0.0)
            for route in routes
            if groups[route.edge.source] == name == groups[route.edge.target]
            for x, y in route.points[1:-1]
        ]
        left = min(box.x - box.width / 2 for box in boxes) - _FRAME
        right = max(box.x + box.width / 2 for box in boxes) + _FRAME
        right = max(right, left + _CHARACTER * len(name) + 2 * _FRAME)
        top = min(box.y - box.height / 2 for box in boxes) - _FRAME - _TITLE_HEIGHT + 4
        bottom = max(box.y + box.height / 2 for box in boxes) + _FRAME
        frames[name] = Box((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return frames


def _finished(
    nodes: dict[str, Box], frames: dict[str, Box], routes: list[Route], outer: Sequence[Edge]
) -> Layout:
    """Add the edges beside the drawing, and move all so that it begins at the margin."""
    boxes = [*nodes.values(), *frames.values()]
    left = min(box.x - box.width / 2 for box in boxes)
    right = max(box.x + box.width / 2 for box in boxes)
    top = min(box.y - box.height / 2 for box in boxes)
    bottom = max(box.y + box.height / 2 for box in boxes)
    lanes = lanes_of(outer, nodes)
    for edge in outer:
        source, target = nodes[edge.source], nodes[edge.target]
        sign, number = lanes[edge]
        x = (right if sign > 0 else left) + sign * _LANE * number
        down, up = source.y + 4, target.y - 4
        points = [
            (source.x + sign * source.width / 2, down),
            (x, down),
            (x, up),
            (target.x + sign * target.width / 2, up),
        ]
        routes.append(Route(edge, points, None, is_lane=True))
    left -= _LANE * max((number for sign, number in lanes.values() if sign < 0), default=0)
    right += _LANE * max((number for sign, number in lanes.values() if sign > 0), default=0)
    dx, dy = _MARGIN - left, _MARGIN - top
    for box in boxes:
        box.x, box.y = box.x + dx, box.y + dy
    moved = [
        Route(
            route.edge,
            [(x + dx, y + dy) for x, y in route.points],
            None if route.label is None else (route.label[0] + dx, route.label[1] + dy),
            route.is_lane,
        )
        for route in routes
    ]
    return Layout(right - left + 2 * _MARGIN, bottom - top + 2 * _MARGIN, nodes, frames, moved)
