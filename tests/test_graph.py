from __future__ import annotations

import json
from typing import Any

import pytest

from nasgan.architecture import Architecture
from nasgan.errors import ArchitectureError
from nasgan.graph import Edge, Graph, Node, graph_of_choices


def graph(*edges: tuple[str, str]) -> Graph:
    names = dict.fromkeys(name for edge in edges for name in edge)
    return Graph("net", tuple(Node(n, n) for n in names), tuple(Edge(a, b) for a, b in edges))


def test_a_layer_is_the_longest_way_to_a_node() -> None:
    made = graph(("a", "b"), ("b", "c"), ("a", "c"), ("d", "c"))
    assert made.layers() == {"a": 0, "b": 1, "c": 2, "d": 0}


def test_json_and_back_gives_the_same() -> None:
    made = Graph(
        "net",
        (Node("a", "A", "cell", ("one", "two")), Node("b", "chosen")),
        (Edge("a", "b", "chosen", "unused"), Edge("a", "b", "", "fixed"), Edge("a", "b", "conv")),
    )
    assert Graph.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": []}, "needs nodes"),
        ({"nodes": [{"id": "a", "label": "x"}, {"id": "a", "label": "y"}]}, "its own id"),
        ({"nodes": [{"id": "a", "label": 3}]}, "must be a text"),
        ({"nodes": [{"id": "a", "label": "x" * 201}]}, "at most 200"),
        ({"nodes": [{"id": "a", "lines": [7]}]}, "must be a text"),
        ({"nodes": ["a"]}, "must be a text"),
        ({"nodes": [{"id": f"n{k}"} for k in range(501)], "edges": []}, "more than a drawing"),
        ({"edges": [{"source": "a", "target": "z"}]}, "names z"),
        ({"edges": [{"source": "a", "target": "b", "kind": "odd"}]}, "is one of"),
        ({"edges": [{"source": "a", "target": "a"}]}, "in a circle"),
        ({"edges": [{"source": a, "target": b} for a, b in ("ab", "ba")]}, "in a circle"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change: dict[str, Any], message: str) -> None:
    data = {"title": "net", "nodes": [{"id": "a", "label": "A"}, {"id": "b", "label": "B"}]}
    with pytest.raises(ArchitectureError, match=message):
        Graph.from_json({**data, **change})
    with pytest.raises(ArchitectureError, match="JSON object"):
        Graph.from_json([1])


def test_groups_of_decisions_become_nodes_in_order() -> None:
    choices = (("c1.norm", "batch"), ("c1.up", "nearest"), ("c2.norm", "none"), ("depth", "3"))
    made = graph_of_choices(Architecture("s", 1, choices))
    assert [(node.id, node.lines) for node in made.nodes] == [
        ("c1", ("norm: batch", "up: nearest")),
        ("c2", ("norm: none",)),
        ("depth", ("3",)),
    ]
    assert [(edge.source, edge.target) for edge in made.edges] == [("c1", "c2"), ("c2", "depth")]


def test_decisions_that_name_edges_become_edges() -> None:
    choices = (("c1.0-1", "conv"), ("c1.1-2", "none"), ("c2.0-1", "pool"), ("end.x", "y"))
    made = graph_of_choices(Architecture("s", 1, choices), only=["c1.0-1", "c1.1-2", "c2.0-1"])
    assert [(edge.source, edge.target, edge.label, edge.kind) for edge in made.edges] == [
        ("c1.0", "c1.1", "conv", "chosen"),
        ("c1.1", "c1.2", "none", "unused"),
        ("c1.2", "c2.0", "", "fixed"),
        ("c2.0", "c2.1", "pool", "chosen"),
    ]
    assert {node.group for node in made.nodes} == {"c1", "c2"}


def test_names_that_only_look_like_edges_are_listed() -> None:
    circle = (("c.0-1", "x"), ("c.1-0", "y"))
    mixed = (("c.0-1", "x"), ("c.norm", "y"))
    for choices in (circle, mixed):
        made = graph_of_choices(Architecture("s", 1, choices))
        assert len(made.nodes) == 1
        assert len(made.nodes[0].lines) == 2


def test_an_architecture_without_choices_has_no_drawing() -> None:
    with pytest.raises(ArchitectureError, match="needs nodes"):
        graph_of_choices(Architecture("s", 1, ()))
