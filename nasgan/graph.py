"""Architectures as drawings: nodes and labelled edges that the report lays out.

A space describes its architectures (`nasgan.contracts.SearchSpace.describe`), the run record keeps
the description, and the report draws it without the space. Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal, get_args

from nasgan.architecture import Architecture
from nasgan.errors import ArchitectureError

__all__ = ["Edge", "EdgeKind", "Graph", "Node", "graph_of_choices"]

EdgeKind = Literal["chosen", "fixed", "unused"]

_DEFAULT_KIND: EdgeKind = "chosen"
_MOST_NODES = 500
_MOST_EDGES = 2000
_MOST_CHARACTERS = 200
_EDGE_NAME = re.compile(r"(\w+)-(\w+)")


@dataclass(frozen=True)
class Node:
    """A place in a network.

    Attributes:
        id: unique in its graph.
        label: what is drawn, a few words.
        group: the cell that it belongs to, drawn as a frame with this title; may be empty.
        lines: details in small print below the label.
    """

    id: str
    label: str
    group: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edge:
    """A map that flows from one node to another.

    Attributes:
        source: id of a node.
        target: id of another node.
        label: the operation on the way; may be empty.
        kind: ``chosen`` by the architecture, ``fixed`` in the space, or ``unused``: decided, but
            without a part in the output.
    """

    source: str
    target: str
    label: str = ""
    kind: EdgeKind = _DEFAULT_KIND


@dataclass(frozen=True)
class Graph:
    """One network as a directed graph without circles.

    Attributes:
        title: e.g. ``"generator"``.
        nodes: in the order of the flow where that is a choice.
        edges: between them.

    Raises:
        ArchitectureError: an id is there twice, an edge leads nowhere, there is a circle, or the
            graph is too large to draw.
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()

    def __post_init__(self) -> None:
        ids = {node.id for node in self.nodes}
        if not ids or len(ids) != len(self.nodes):
            raise ArchitectureError(f"graph {self.title!r}: it needs nodes, each of its own id")
        if len(self.nodes) > _MOST_NODES or len(self.edges) > _MOST_EDGES:
            raise ArchitectureError(
                f"graph {self.title!r}: {len(self.nodes)} nodes and {len(self.edges)} edges are "
                f"more than a drawing can show ({_MOST_NODES} and {_MOST_EDGES}); group them"
            )
        for edge in self.edges:
            lost = {edge.source, edge.target} - ids
            if lost:
                raise ArchitectureError(
                    f"graph {self.title!r}: an edge names {', '.join(sorted(lost))}, which is no "
                    "node of it"
                )
        self.layers()

    def layers(self) -> dict[str, int]:
        """For each node the length of the longest path that leads to it.

        Raises:
            ArchitectureError: there is a circle.
        """
        before: dict[str, set[str]] = {node.id: set() for node in self.nodes}
        for edge in self.edges:
            before[edge.target].add(edge.source)
        depth: dict[str, int] = {}
        try:
            for name in TopologicalSorter(before).static_order():
                depth[name] = 1 + max((depth[source] for source in before[name]), default=-1)
        except CycleError as error:
            raise ArchitectureError(
                f"graph {self.title!r}: it runs in a circle through {', '.join(error.args[1])}"
            ) from error
        return {node.id: depth[node.id] for node in self.nodes}

    def to_json(self) -> dict[str, Any]:
        """The graph as JSON data without what is empty; `from_json` reads it back."""
        return {
            "title": self.title,
            "nodes": [_filled({**asdict(node), "lines": list(node.lines)}) for node in self.nodes],
            "edges": [_filled(asdict(edge)) for edge in self.edges],
        }

    @classmethod
    def from_json(cls, data: object, *, source: str = "graph") -> Graph:
        """Read what `to_json` wrote. ``source`` names the origin in error messages.

        Raises:
            ArchitectureError: malformed, or as for a graph that is built.
        """
        if not isinstance(data, Mapping):
            raise ArchitectureError(f"{source}: a graph is a JSON object, got {data!r:.80}")
        nodes = [
            Node(
                _text(item, "id", source),
                _text(item, "label", source),
                _text(item, "group", source),
                tuple(_text({"line": line}, "line", source) for line in _list(item, "lines")),
            )
            for item in _list(data, "nodes")
        ]
        edges = [
            Edge(
                _text(item, "source", source),
                _text(item, "target", source),
                _text(item, "label", source),
                _kind(item, source),
            )
            for item in _list(data, "edges")
        ]
        return cls(_text(data, "title", source), tuple(nodes), tuple(edges))


def graph_of_choices(
    architecture: Architecture, *, title: str = "architecture", only: Iterable[str] | None = None
) -> Graph:
    """A drawing made of the decisions alone, for spaces that do not describe their architectures.

    Decisions ``group.name`` make one node for each group, in order, that lists the choices; where
    all names of a group are of the form ``1-3``, they are its edges instead.

    Args:
        architecture: what to draw.
        title: of the graph.
        only: the decisions to draw; by default all.

    Raises:
        ArchitectureError: there is nothing to draw.
    """
    wanted = None if only is None else set(only)
    groups: dict[str, dict[str, str]] = {}
    for name, option in architecture:
        if wanted is None or name in wanted:
            group, _, inner = name.partition(".")
            groups.setdefault(group, {})[inner] = option
    nodes: list[Node] = []
    edges: list[Edge] = []
    ends: Sequence[str] = ()
    for group, choices in groups.items():
        inner_nodes, inner_edges = _drawn_as_edges(group, choices) or _drawn_as_list(group, choices)
        targets = {edge.target for edge in inner_edges}
        sources = {edge.source for edge in inner_edges}
        starts = [node.id for node in inner_nodes if node.id not in targets]
        edges += [Edge(end, start, kind="fixed") for end in ends for start in starts]
        ends = [node.id for node in inner_nodes if node.id not in sources]
        nodes += inner_nodes
        edges += inner_edges
    return Graph(title, tuple(nodes), tuple(edges))


def _drawn_as_list(group: str, choices: Mapping[str, str]) -> tuple[list[Node], list[Edge]]:
    lines = tuple(f"{name}: {option}" if name else option for name, option in choices.items())
    return [Node(group, group, lines=lines)], []


def _drawn_as_edges(group: str, choices: Mapping[str, str]) -> tuple[list[Node], list[Edge]] | None:
    """The group's nodes and edges; None if its decisions do not all name an edge."""
    matches = {name: _EDGE_NAME.fullmatch(name) for name in choices}
    ends = {name: match.groups() for name, match in matches.items() if match is not None}
    if len(ends) != len(choices):
        return None
    names = list(dict.fromkeys(name for pair in ends.values() for name in pair))
    nodes = [Node(f"{group}.{name}", name, group) for name in names]
    edges = [
        Edge(
            f"{group}.{source}",
            f"{group}.{target}",
            choices[name],
            "unused" if choices[name] == "none" else "chosen",
        )
        for name, (source, target) in ends.items()
    ]
    try:
        Graph(group, tuple(nodes), tuple(edges))
    except ArchitectureError:
        return None
    return nodes, edges


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` without those that reading puts in by itself."""
    return {k: v for k, v in values.items() if v and (k, v) != ("kind", _DEFAULT_KIND)}


def _list(data: object, key: str) -> list[Any]:
    value = data.get(key) if isinstance(data, Mapping) else None
    return list(value) if isinstance(value, list | tuple) else []


def _text(data: object, key: str, source: str) -> str:
    value = data.get(key, "") if isinstance(data, Mapping) else None
    if not isinstance(value, str) or len(value) > _MOST_CHARACTERS:
        raise ArchitectureError(
            f"{source}: {key!r} of a graph must be a text of at most {_MOST_CHARACTERS} "
            f"characters, got {value!r:.80}"
        )
    return value


def _kind(data: Any, source: str) -> EdgeKind:
    for kind in get_args(EdgeKind):
        if data.get("kind", _DEFAULT_KIND) == kind:
            return kind  # type: ignore[no-any-return]
    raise ArchitectureError(
        f"{source}: the kind of an edge is one of {', '.join(get_args(EdgeKind))}, got "
        f"{data.get('kind')!r:.80}"
    )
