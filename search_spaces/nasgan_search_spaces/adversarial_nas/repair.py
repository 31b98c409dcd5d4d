"""Which edges of a cell must not all be none, and what is done when they are. Imports no torch.

The rules are those of the published derivation: in an up-cell, nodes 3 and 4 need an input; in a
down-cell, nodes 2 and 3 need one, and node 1 needs one where another node reads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product

from nasgan.architecture import Decision
from nasgan_search_spaces.adversarial_nas.decisions import (
    IDENTITY,
    NONE,
    edge_of,
)

__all__ = ["Fault", "by_probability", "faults", "reachable_size", "repaired"]

#: A cell, a node of it that has no input, and the edges of which one must not be none.
Fault = tuple[str, str, tuple[str, ...]]
#: Chooses, among decisions that are all none, which one becomes what.
Remedy = Callable[[Sequence[str]], tuple[str, str]]

_UP_NODES = (("3", ("1-3", "2-3")), ("4", ("1-4", "2-4", "3-4")))
_DOWN_NODES = (("2", ("0-2", "1-2")), ("3", ("0-3", "1-3")), ("1", ("0-1",)))
_READERS_OF_NODE_1 = ("1-2", "1-3")


def faults(options: Mapping[str, str]) -> list[Fault]:
    """The nodes without an input that they need.

    Args:
        options: the option of each decision.
    """
    cells = dict.fromkeys(edge_of(name)[0] for name in options)
    return [fault for cell in cells for fault in _faults_of(cell, options)]


def repaired(options: Mapping[str, str], remedy: Remedy | None = None) -> dict[str, str]:
    """``options`` with an input for every node that needs one, node by node in published order.

    Args:
        options: the option of each decision.
        remedy: see `by_probability`; by default the first edge becomes the identity, the smallest
            change that gives the node an input.
    """
    remedy = remedy or (lambda names: (names[0], IDENTITY))
    result = dict(options)
    while found := faults(result):
        cell, _, edges = found[0]
        name, option = remedy([f"{cell}.{edge}" for edge in edges])
        result[name] = option
    return result


def by_probability(
    decisions: Sequence[Decision], probabilities: Sequence[Sequence[float]]
) -> Remedy:
    """The published remedy: the edge least probably none takes its most probable other option."""
    by_name = {
        decision.name: dict(zip(decision.options, row, strict=True))
        for decision, row in zip(decisions, probabilities, strict=True)
    }

    def remedy(names: Sequence[str]) -> tuple[str, str]:
        name = min(names, key=lambda candidate: by_name[candidate][NONE])
        others = {option: p for option, p in by_name[name].items() if option != NONE}
        return name, max(others, key=lambda option: others[option])

    return remedy


def reachable_size(decisions: Sequence[Decision]) -> int:
    """The exact number of architectures that need no repair."""
    cells: dict[str, list[Decision]] = {}
    for decision in decisions:
        cells.setdefault(edge_of(decision.name)[0], []).append(decision)
    return math.prod(_reachable_in_cell(cell, held) for cell, held in cells.items())


def _faults_of(cell: str, options: Mapping[str, str]) -> list[Fault]:
    def off(edge: str) -> bool:
        return options[f"{cell}.{edge}"] == NONE

    if f"{cell}.0-3" not in options:
        return [(cell, node, edges) for node, edges in _UP_NODES if all(map(off, edges))]
    return [
        (cell, node, edges)
        for node, edges in _DOWN_NODES
        if all(map(off, edges)) and not (node == "1" and all(map(off, _READERS_OF_NODE_1)))
    ]


def _reachable_in_cell(cell: str, decisions: Sequence[Decision]) -> int:
    """Validity goes only by which edges are none: count those patterns."""
    total = 0
    for pattern in product((True, False), repeat=len(decisions)):
        named = {d.name: NONE if off else "" for d, off in zip(decisions, pattern, strict=True)}
        counts = [
            int(NONE in d.options) if off else len(set(d.options) - {NONE})
            for d, off in zip(decisions, pattern, strict=True)
        ]
        if not _faults_of(cell, named):
            total += math.prod(counts)
    return total
