"""Architectures as pictures: a space's own description, or one made of the decisions alone.

They are laid out in layers from top to bottom, with few crossings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from markupsafe import Markup

from nasgan.architecture import Architecture
from nasgan.errors import ArchitectureError
from nasgan.graph import Edge, Graph, Node, graph_of_choices
from nasgan.report.layers import Box, Grid, lanes_of, stacked
from nasgan.report.svg import line_path, number, picture, tag, text
from nasgan.runs.record import RunRecord

__all__ = ["Route", "draw_graph", "graphs_of", "place"]

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


def graphs_of(record: RunRecord) -> tuple[Graph, ...]:
    """The drawings of a run's result; none if it failed.

    A record without drawings, or with one that is malformed, is drawn from its decisions.
    """
    if record.architecture is None:
        return ()
    try:
        given = tuple(Graph.from_json(data, source=record.run_id) for data in record.graphs)
        architecture = Architecture.from_json(record.architecture, source=record.run_id)
        return given or (graph_of_choices(architecture),)
    except ArchitectureError:
        architecture = Architecture.from_json(record.architecture, source=record.run_id)
        return (graph_of_choices(architecture),) if len(architecture) else ()


@lru_cache(maxsize=1024)  # a live page draws the same again whenever a run ends
def draw_graph(graph: Graph, *, of: str) -> Markup:
    """The picture of ``graph``; ``of`` says whose it is, for those who do not see it."""
    layout = place(graph)
    parts: list[Markup] = []
    for title, box in layout.frames.items():
        parts += _drawn_frame(title, box)
    parts += [_drawn_route(route) for route in layout.routes]
    parts += [_label(route) for route in layout.routes if route.label is not None]
    for node in graph.nodes:
        parts += _node(node.label, node.lines, layout.nodes[node.id], plain=not node.group)
    return picture(layout.width, layout.height, _in_words(graph, of), parts, class_="drawing")


def _in_words(graph: Graph, of: str) -> str:
    chosen = [
        f"{edge.source} to {edge.target} {edge.label}"
        for edge in graph.edges
        if edge.label and edge.kind != "unused"
    ]
    named = [f"{node.label} ({', '.join(node.lines)})" for node in graph.nodes if node.lines]
    return f"{graph.title} of {of}: {'; '.join([*named, *chosen]) or 'as drawn'}"


def _drawn_frame(title: str, box: Box) -> list[Markup]:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    return [
        tag("rect", x=left, y=top, width=box.width, height=box.height, rx=8, class_="cell"),
        text(left + 8, top + 15, title, class_="cell-title"),
    ]


def _node(label: str, lines: Sequence[str], box: Box, *, plain: bool) -> list[Markup]:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    round_ = min(box.height / 2, 12.0) if not lines else 6.0
    parts = [
        tag(
            "rect",
            x=left,
            y=top,
            width=box.width,
            height=box.height,
            rx=round_,
            class_="node plain" if plain else "node",
        ),
        text(box.x, top + 16.5, label, class_="node-label", text_anchor="middle"),
    ]
    for k, line in enumerate(lines):
        y = top + 29 + k * _LINE
        parts.append(text(box.x, y, line, class_="node-line", text_anchor="middle"))
    return parts


def _drawn_route(route: Route) -> Markup:
    edge = route.edge
    path = line_path(route.points) if route.is_lane else _curve(route.points)
    words = f"{edge.source} → {edge.target}" + (f": {edge.label}" if edge.label else "")
    line = tag("path", d=path, class_=f"edge {edge.kind}")
    head = tag("path", d=_head(route), class_=f"head {edge.kind}")
    return tag("g", tag("title", words), line, head)


def _label(route: Route) -> Markup:
    assert route.label is not None
    x, y = route.label
    kind = "edge-label unused" if route.edge.kind == "unused" else "edge-label"
    return text(x, y + 4, route.edge.label, class_=kind, text_anchor="middle")


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """A smooth way down through ``points``: each piece leaves and arrives vertically."""
    path = line_path(points[:1])
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = number((y0 + y1) / 2)
        path += f"C{number(x0)} {middle} {number(x1)} {middle} {number(x1)} {number(y1)}"
    return path


def _head(route: Route) -> str:
    x, y = route.points[-1]
    out = 6 if route.points[-2][0] > x else -6
    corners = [(x, y), (x + out, y - 3), (x + out, y + 3)]
    if not route.is_lane:
        corners = [(x, y), (x - 3, y - 6), (x + 3, y - 6)]
    return line_path(corners) + "Z"


# Layout


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
