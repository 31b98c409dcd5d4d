"""AutoGAN's decisions in published order (Gong et al. 2019, section 3.1). Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasgan.architecture import Architecture, Decision

__all__ = ["CELLS", "DECISIONS", "NAME", "SKIP_SOURCES", "VERSION", "encoded"]

NAME = "autogan"
VERSION = 1

CELLS = ("cell1", "cell2", "cell3")

#: The earlier cells that each option of a ``skip`` decision brings in. The index of an option of
#: cell 3 is the published two-bit number: high bit cell 1, low bit cell 2.
SKIP_SOURCES: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "cell2": ("cell2",),
    "cell1": ("cell1",),
    "both": ("cell1", "cell2"),
}

_SKIP_OPTIONS = {
    "cell2": ("none", "cell1"),
    "cell3": ("none", "cell2", "cell1", "both"),
}


def _cell_decisions(stage: int, cell: str) -> list[Decision]:
    options = {
        "block": ("post", "pre"),
        "norm": ("none", "batch", "instance"),
        "upsample": ("bilinear", "nearest", "deconvolution"),
        "shortcut": ("off", "on"),
    }
    if cell in _SKIP_OPTIONS:
        options["skip"] = _SKIP_OPTIONS[cell]
    return [Decision(f"{cell}.{name}", names, stage=stage) for name, names in options.items()]


DECISIONS: tuple[Decision, ...] = tuple(
    decision for stage, cell in enumerate(CELLS) for decision in _cell_decisions(stage, cell)
)


def encoded(indices: Sequence[int]) -> Architecture:
    """The architecture of the 14 published integers."""
    pairs = zip(DECISIONS, indices, strict=True)
    return Architecture(NAME, VERSION, tuple((d.name, d.options[index]) for d, index in pairs))
