"""AdversarialNAS' decisions, in the column order of its genotypes. Imports no torch.

A decision is the operation on one edge of one cell: ``"up2.1-3"`` is the edge from node 1 to node 3
of the generator's second up-cell, ``"down1.0-2"`` one of the discriminator's first down-cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nasgan.architecture import Decision

__all__ = [
    "AVERAGE_POOL",
    "CONVOLUTIONS",
    "DOWN_CELL",
    "DOWN_OPTIONS",
    "IDENTITY",
    "MAX_DOWN_CELLS",
    "MAX_POOL",
    "NAME",
    "NONE",
    "NORMAL_OPTIONS",
    "UP_CELL",
    "UP_CELLS",
    "UP_OPTIONS",
    "VERSION",
    "discriminator_decisions",
    "down_cells",
    "edge_of",
    "generator_decisions",
    "running",
]

NAME = "adversarial_nas"
VERSION = 1

NONE = "none"
IDENTITY = "skip_connect"
AVERAGE_POOL = "avg_pool"
MAX_POOL = "max_pool"

CONVOLUTIONS = ("conv_1x1", "conv_3x3", "conv_5x5", "dil_conv_3x3", "dil_conv_5x5")
NORMAL_OPTIONS = (NONE, IDENTITY, *CONVOLUTIONS)
UP_OPTIONS = ("nearest", "bilinear", "deconvolution")
DOWN_OPTIONS = (AVERAGE_POOL, MAX_POOL, *CONVOLUTIONS[1:])

UP_CELLS = ("up1", "up2", "up3")
MAX_DOWN_CELLS = 4

#: The edges of a cell, in the order of the genotype's columns, and what they choose from.
UP_CELL: Mapping[str, tuple[str, ...]] = {
    "0-1": UP_OPTIONS,
    "0-2": UP_OPTIONS,
    "1-3": NORMAL_OPTIONS,
    "2-3": NORMAL_OPTIONS,
    "1-4": NORMAL_OPTIONS,
    "2-4": NORMAL_OPTIONS,
    "3-4": NORMAL_OPTIONS,
}
DOWN_CELL: Mapping[str, tuple[str, ...]] = {
    "0-1": NORMAL_OPTIONS,
    "0-2": NORMAL_OPTIONS,
    "0-3": NORMAL_OPTIONS,
    "1-2": NORMAL_OPTIONS,
    "1-3": NORMAL_OPTIONS,
    "2-4": DOWN_OPTIONS,
    "3-4": DOWN_OPTIONS,
}
# The published code makes a weight for each of the normal options on every normal edge.
_SURPLUS = len(NORMAL_OPTIONS) - len(CONVOLUTIONS)


def down_cells(count: int) -> tuple[str, ...]:
    """The names of ``count`` down-cells."""
    return tuple(f"down{k + 1}" for k in range(count))


def generator_decisions() -> tuple[Decision, ...]:
    """The 21 decisions of the generator."""
    return tuple(
        Decision(f"{cell}.{edge}", options)
        for cell in UP_CELLS
        for edge, options in UP_CELL.items()
    )


def discriminator_decisions(cells: int, *, truncated: bool = False) -> tuple[Decision, ...]:
    """The 7 decisions of each of ``cells`` down-cells.

    The first cell reads the image, so that its edges from there change the number of channels and
    have the convolutions alone.

    Args:
        cells: number of down-cells.
        truncated: those edges get the first 5 of 7 weights, as published.
    """
    decisions = []
    for k, cell in enumerate(down_cells(cells)):
        for edge, options in DOWN_CELL.items():
            from_image = k == 0 and edge.startswith("0-")
            decisions.append(
                Decision(
                    f"{cell}.{edge}",
                    CONVOLUTIONS if from_image else options,
                    part="discriminator",
                    surplus=_SURPLUS if from_image and truncated else 0,
                )
            )
    return tuple(decisions)


def edge_of(decision: str) -> tuple[str, str]:
    """The cell and the edge that a decision is about."""
    cell, edge = decision.split(".")
    return cell, edge


def running(options: Mapping[str, str]) -> tuple[str, ...]:
    """The decisions, of those given with their option, whose operation has a part in the output.

    Not so where the option is none, and on edges into a node that nothing reads. Such edges hold no
    parameters in derived networks. (The original holds the up-sampling ones.)

    Args:
        options: the option of each decision of the generator, or of the discriminator, or of both.
    """
    chosen = {name: option for name, option in options.items() if option != NONE}
    idle: set[str] = set()
    middle_is_read = False
    for cell in reversed(UP_CELLS):
        # Node 3 is also what a later cell adds to its own node 3.
        middle_is_read = middle_is_read or f"{cell}.3-4" in chosen
        if not middle_is_read:
            idle |= {f"{cell}.1-3", f"{cell}.2-3"}
        for node in ("1", "2"):
            idle |= _unread(chosen, idle, cell, f"0-{node}", [f"{node}-3", f"{node}-4"])
    for cell in down_cells(MAX_DOWN_CELLS):
        idle |= _unread(chosen, idle, cell, "0-1", ["1-2", "1-3"])
    return tuple(name for name in chosen if name not in idle)


def _unread(
    chosen: Mapping[str, str], idle: Iterable[str], cell: str, edge: str, readers: Sequence[str]
) -> set[str]:
    """``edge`` of ``cell`` as a set, or nothing if one of the ``readers`` of its node runs."""
    reads = any(f"{cell}.{e}" in chosen and f"{cell}.{e}" not in set(idle) for e in readers)
    return set() if reads else {f"{cell}.{edge}"}
