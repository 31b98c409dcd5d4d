from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from report_samples import SPACES, graphs, run_record, sample

from nasgan.graph import Edge, Graph, Node
from nasgan.report.drawing import draw_graph, graphs_of, place
from nasgan.report.layers import Box
from nasgan_search_spaces.agan.decisions import agan_decisions
from nasgan_search_spaces.agan.drawing import draw_modules
from nasgan_search_spaces.agan.repair import repaired


def graphs_of_all_spaces() -> list[Graph]:
    drawn = [
        Graph.from_json(data)
        for space in SPACES
        for seed in range(3)
        for data in graphs(space, sample(space, random.Random(seed)))
    ]
    return drawn + [graph for seed in range(3) for graph in agan_modules(seed)]


def agan_modules(seed: int) -> tuple[Graph, ...]:
    """Modules whose blocks would stand side by side, as nothing orders them."""
    rng = random.Random(seed)
    decisions = agan_decisions(
        blocks=4, separate_normal=False, attention=False, normals_per_resample=1
    )
    indices = repaired(decisions, [rng.randrange(len(d.options)) for d in decisions])
    return draw_modules({d.name: d.options[i] for d, i in zip(decisions, indices, strict=True)})


def apart(a: Box, b: Box) -> bool:
    return (
        abs(a.x - b.x) >= (a.width + b.width) / 2 - 0.01
        or abs(a.y - b.y) >= (a.height + b.height) / 2 - 0.01
    )


@pytest.mark.parametrize("graph", graphs_of_all_spaces(), ids=lambda graph: graph.title)
def test_nodes_and_labels_do_not_cover_each_other(graph: Graph) -> None:
    layout = place(graph)
    boxes = list(layout.nodes.values())
    boxes += [
        Box(*route.label, 5.5 * len(route.edge.label), 11) for route in layout.routes if route.label
    ]
    assert all(apart(a, b) for a, b in combinations(boxes, 2))
    for box in boxes:
        assert 0 <= box.x - box.width / 2 < box.x + box.width / 2 <= layout.width
        assert 0 <= box.y - box.height / 2 < box.y + box.height / 2 <= layout.height


@pytest.mark.parametrize("graph", graphs_of_all_spaces(), ids=lambda graph: graph.title)
def test_the_flow_goes_down_and_frames_hold_their_own_nodes_alone(graph: Graph) -> None:
    layout = place(graph)
    for edge in graph.edges:
        assert layout.nodes[edge.source].y < layout.nodes[edge.target].y
    for node in graph.nodes:
        for title, frame in layout.frames.items():
            box = layout.nodes[node.id]
            inside = (
                abs(box.x - frame.x) <= (frame.width - box.width) / 2 + 0.01
                and abs(box.y - frame.y) <= (frame.height - box.height) / 2 + 0.01
            )
            assert inside == (node.group == title), f"{node.id} and {title}"
            assert node.group == title or apart(box, frame)


def test_a_cell_that_can_be_drawn_without_crossings_is() -> None:
    pairs = ["01", "02", "13", "23", "14", "24", "34"]
    graph = Graph(
        "cell",
        tuple(Node(name, name, "cell") for name in "01234"),
        tuple(Edge(a, b, "conv") for a, b in pairs),
    )
    layout = place(graph)
    lines = [list(pairwise(r.points)) for r in layout.routes]
    crossings = 0
    for first, second in combinations(lines, 2):
        for (ax, ay), (bx, _) in first:
            for (cx, cy), (dx, _) in second:
                crossings += abs(ay - cy) < 1 and (ax - cx) * (bx - dx) < -1e-6
    assert crossings == 0
    assert layout.nodes["1"].x < layout.nodes["2"].x, "of mirror images the one in order"


def test_edges_past_other_groups_run_beside_them() -> None:
    nodes = tuple(Node(f"{cell}{k}", str(k), cell) for cell in "abc" for k in (1, 2))
    chain = [Edge(x.id, y.id) for x, y in pairwise(nodes)]
    skips = [Edge("a1", "c2", "skip"), Edge("a2", "c1")]
    layout = place(Graph("net", nodes, (*chain, *skips)))
    lanes = [route for route in layout.routes if route.is_lane]
    assert {(r.edge.source, r.edge.target) for r in lanes} == {("a1", "c2"), ("a2", "c1")}
    right = max(frame.x + frame.width / 2 for frame in layout.frames.values())
    places = [route.points[1][0] for route in lanes]
    assert min(places) > right
    assert len(set(places)) == 2, "each in a lane of its own"
    assert max(places) < layout.width


def test_the_edges_of_one_source_are_branches_of_one_line() -> None:
    nodes = tuple(Node(f"{cell}{k}", str(k), cell) for cell in "abcd" for k in (1, 2))
    chain = [Edge(x.id, y.id) for x, y in pairwise(nodes)]
    skips = [Edge("a1", "c1"), Edge("a1", "d1"), Edge("b1", "d2")]
    layout = place(Graph("net", nodes, (*chain, *skips)))
    lanes = {(r.edge.source, r.edge.target): r for r in layout.routes if r.is_lane}
    first, second, other = (lanes[edge.source, edge.target].points[1] for edge in skips)
    assert first == second
    assert first[0] != other[0]


def test_an_edge_beside_the_drawing_passes_behind_no_node() -> None:
    nodes = (
        Node("in", "in"),
        *(Node(f"{cell}.{side}", side, cell) for cell in "ab" for side in ("left", "right")),
        Node("out", "out"),
    )
    edges = [Edge("in", node.id) for node in nodes[1:5]]
    edges += [Edge(node.id, "out") for node in nodes[1:5]]
    layout = place(Graph("net", nodes, tuple(edges)))
    assert layout.frames["a"].y != layout.frames["b"].y, "below each other"
    for route in layout.routes:
        if route.is_lane:
            ends = (route.edge.source, route.edge.target)
            for (x0, y0), (x1, y1) in pairwise(route.points):
                for name, box in layout.nodes.items():
                    is_hit = (
                        min(x0, x1) < box.x + box.width / 2 - 0.1
                        and max(x0, x1) > box.x - box.width / 2 + 0.1
                        and min(y0, y1) < box.y + box.height / 2
                        and max(y0, y1) > box.y - box.height / 2
                    )
                    assert not is_hit or name in ends


def test_a_layout_is_the_same_each_time() -> None:
    graph = graphs_of_all_spaces()[-1]
    assert place(graph) == place(graph)


def test_a_record_without_drawings_is_drawn_from_its_decisions() -> None:
    record = run_record("random", "adversarial_nas", 0, random.Random(0), graphs=[])
    (graph,) = graphs_of(record)
    assert {node.group for node in graph.nodes} >= {"up1", "down4"}
    damaged = run_record("random", "autogan", 0, random.Random(0), graphs=[{"title": 3}])
    assert [node.id for node in graphs_of(damaged)[0].nodes] == ["cell1", "cell2", "cell3"]
    failed = run_record("random", "autogan", 0, random.Random(0), status="failed")
    assert graphs_of(failed) == ()


def test_a_drawing_names_its_choices_for_those_who_do_not_see_it() -> None:
    edge = Edge("a", "b", "</text><script>")
    graph = Graph("net", (Node("a", "<i>A", "", ("<b>",)), Node("b", "B")), (edge,))
    svg = draw_graph(graph, of="seed 0")
    assert 'aria-label="net of seed 0: &lt;i&gt;A (&lt;b&gt;); a to b &lt;/text&gt;' in svg
    assert "<script" not in svg
    assert "<i>" not in svg
