"""AGAN's modules as drawings, one each, as in the paper's figure 6. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from nasgan.graph import Edge, Graph, Node
from nasgan_search_spaces.agan.decisions import (
    DOWN,
    INPUT,
    MODULE_INPUTS,
    PREV,
    SIDES,
    UP,
)
from nasgan_search_spaces.agan.repair import active

__all__ = ["draw_modules"]

_TITLES = {
    UP: "up-sampling module",
    DOWN: "down-sampling module",
    "normal": "normal module",
    "normal_g": "normal module of the generator",
    "normal_d": "normal module of the discriminator",
}
_WORDS = {
    "conv_1x1": "conv 1×1",
    "conv_3x3": "conv 3×3",
    "conv_5x5": "conv 5×5",
    "sep_conv_3x3": "separable 3×3",
    "sep_conv_5x5": "separable 5×5",
    "dil_conv_3x3": "dilated 3×3",
}
_RESAMPLING_WORDS = {
    "nearest": "nearest, conv 3×3",
    "bilinear": "bilinear, conv 3×3",
    "deconvolution": "deconvolution 4×4",
    "sub_pixel": "sub-pixel conv 3×3",
    "avg_pool": "average pool, conv 1×1",
    "max_pool": "max pool, conv 1×1",
    "conv_3x3": "conv 3×3, stride 2",
    "conv_4x4": "conv 4×4, stride 2",
}


def draw_modules(options: Mapping[str, str]) -> tuple[Graph, ...]:
    """A drawing of each module.

    Args:
        options: the option of each decision.
    """
    segments = dict.fromkeys(name.split(".")[0] for name in options)
    return tuple(_draw(segment, options) for segment in segments)


def _draw(segment: str, options: Mapping[str, str]) -> Graph:
    held = {name: options[name] for name in active(options) if name.split(".")[0] == segment}
    blocks = dict.fromkeys(name.split(".")[1] for name in held if name.endswith(".input"))
    read = {option for name, option in held.items() if name.endswith(".input")}
    resizing = [option for name, option in held.items() if name.startswith(f"{segment}.{PREV}.")]
    lines = tuple(f"after a resampling module: {_RESAMPLING_WORDS[o]}" for o in resizing)
    nodes = [Node(INPUT, INPUT)] if INPUT in read else []
    nodes += [Node(PREV, PREV, lines=lines)] if PREV in read else []
    edges: list[Edge] = []
    for block in blocks:
        for side in SIDES:
            source = held[f"{segment}.{block}.{side}.input"]
            nodes.append(Node(f"{block}.{side}", _label(segment, f"{block}.{side}", held), block))
            edges += [Edge(source, f"{block}.{side}"), Edge(f"{block}.{side}", block, kind="fixed")]
        nodes.append(Node(block, "+", block))
    nodes.append(Node("output", "output"))
    edges += [Edge(block, "output", kind="fixed") for block in blocks if block not in read]
    return Graph(_TITLES[segment], tuple(nodes), tuple(edges))


def _label(segment: str, slot: str, held: Mapping[str, str]) -> str:
    resamples = segment in (UP, DOWN) and held[f"{segment}.{slot}.input"] in MODULE_INPUTS
    if resamples:
        return _RESAMPLING_WORDS[held[f"{segment}.{slot}.resample"]]
    operation = held[f"{segment}.{slot}.operation"]
    return _WORDS.get(operation, operation)
