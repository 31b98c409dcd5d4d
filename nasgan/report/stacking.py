"""Groups below each other where the flow alone would put them side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from nasgan.graph import Graph

__all__ = ["stacked"]


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
