"""AGAN's decisions, segment by segment (Wang & Huan 2019, figures 1 and 2). Imports no torch.

A segment programs one type of module: ``up``, ``down`` and ``normal``. ``"up.block2.left.input"``
is what the left slot of block 2 of the up-sampling module reads, ``"up.block2.left.resample"`` what
it does if that is a module input, ``"up.block2.left.operation"`` what it does if it is an earlier
block. ``"normal.prev.upsample"`` enlarges ``prev`` in generators, ``"normal.prev.downsample"``
shrinks it in discriminators.

Known is that there are three segments, that a module reads ``prev`` beside its own input, and that
``prev`` is resampled where a module follows a resampling one (figure 6). Reconstructed, because the
paper's own list is not available: the blocks, the slots and all options.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nasgan.architecture import Decision, Part

__all__ = [
    "ATTENTION",
    "DOWN",
    "DOWN_OPTIONS",
    "INPUT",
    "MODULE_INPUTS",
    "NAME",
    "NORMAL_OPTIONS",
    "PREV",
    "RESAMPLERS",
    "SIDES",
    "UP",
    "UP_OPTIONS",
    "VERSION",
    "agan_decisions",
    "block_names",
    "normal_segment",
    "prev_decision",
]

NAME = "agan"
VERSION = 1

UP = "up"
DOWN = "down"

INPUT = "input"
PREV = "prev"
MODULE_INPUTS = (INPUT, PREV)
SIDES = ("left", "right")

NORMAL_OPTIONS = (
    "identity",
    "conv_1x1",
    "conv_3x3",
    "conv_5x5",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
)
ATTENTION = "attention"
UP_OPTIONS = ("nearest", "bilinear", "deconvolution", "sub_pixel")
DOWN_OPTIONS = ("avg_pool", "max_pool", "conv_3x3", "conv_4x4")

#: Of each network, its resampling segment, the options of it, and what that does to ``prev``.
RESAMPLERS: dict[Part, tuple[str, tuple[str, ...], str]] = {
    "generator": (UP, UP_OPTIONS, "upsample"),
    "discriminator": (DOWN, DOWN_OPTIONS, "downsample"),
}

_SegmentPart = Part | Literal["both"]


def block_names(count: int) -> tuple[str, ...]:
    """The names of ``count`` blocks."""
    return tuple(f"block{k + 1}" for k in range(count))


def normal_segment(part: Part, *, separate: bool) -> str:
    """The segment of the normal modules of ``part``."""
    return f"normal_{part[0]}" if separate else "normal"


def prev_decision(part: Part, *, separate: bool, normals: int) -> str:
    """The decision of how ``prev`` is resized in ``part``.

    It is made by the modules that follow a resampling one: the normal ones, or the resampling ones
    themselves if there are no others.
    """
    segment, _, verb = RESAMPLERS[part]
    reader = normal_segment(part, separate=separate) if normals else segment
    return f"{reader}.{PREV}.{verb}"


def agan_decisions(
    *, blocks: int, separate_normal: bool, attention: bool, normals_per_resample: int
) -> tuple[Decision, ...]:
    """All decisions, in the order of the segments: up, down, normal; settings as in `AGANSpace`."""
    operations = (*NORMAL_OPTIONS, ATTENTION) if attention else NORMAL_OPTIONS
    decisions: list[Decision] = []
    for part, (segment, resamplers, _) in RESAMPLERS.items():
        decisions += _module(segment, blocks, operations, part, resamplers)
        if not normals_per_resample:
            decisions += _prev(part, separate_normal, normals_per_resample)
    if not normals_per_resample:
        return tuple(decisions)
    if not separate_normal:
        decisions += _module("normal", blocks, operations, "both")
    for part in RESAMPLERS:
        if separate_normal:
            decisions += _module(normal_segment(part, separate=True), blocks, operations, part)
        decisions += _prev(part, separate_normal, normals_per_resample)
    return tuple(decisions)


def _module(
    segment: str,
    blocks: int,
    operations: Sequence[str],
    part: _SegmentPart,
    resamplers: Sequence[str] = (),
) -> list[Decision]:
    names = block_names(blocks)
    return [
        Decision(f"{segment}.{block}.{side}.{what}", tuple(options), part)
        for k, block in enumerate(names)
        for side in SIDES
        for what, options in {
            "input": (*MODULE_INPUTS, *names[:k]),
            "resample": resamplers,
            # The slots of the first block read module inputs only.
            "operation": operations if k or not resamplers else (),
        }.items()
        if options
    ]


def _prev(part: Part, separate: bool, normals: int) -> list[Decision]:
    name = prev_decision(part, separate=separate, normals=normals)
    return [Decision(name, RESAMPLERS[part][1], part)]
