"""Architectures as pictures: a space's own description, or one made of the decisions alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from markupsafe import Markup

from nasgan.architecture import Architecture
from nasgan.errors import ArchitectureError
from nasgan.graph import Graph, graph_of_choices
from nasgan.report.layout import Box, Route, place
from nasgan.report.svg import line_path, number, picture, tag, text
from nasgan.runs.record import RunRecord

__all__ = ["draw_graph", "graphs_of"]

_LINE = 13.0


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
        parts += _frame(title, box)
    parts += [_route(route) for route in layout.routes]
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


def _frame(title: str, box: Box) -> list[Markup]:
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


def _route(route: Route) -> Markup:
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
