"""Which decisions of an architecture have an effect, and how many architectures there are.

A module that does not read its input would cut out the module before it, and with it decisions: so
one slot at least reads it, in repaired architectures the first.

A slot of a resampling module resamples a module input, or applies a normal operation to an earlier
block: one of its two decisions is idle. How ``prev`` is resized matters where a slot reads it. An
idle decision takes its first option, so that architectures are equal if they build the same
networks. (Two that are mirror images, left and right exchanged, count as two: in the supernet the
slots hold parameters of their own.) Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from nasgan.architecture import Decision
from nasgan_search_spaces.agan.decisions import DOWN, INPUT, MODULE_INPUTS, PREV, UP

__all__ = ["active", "reachable_size", "repaired"]

_Decisions: TypeAlias = Mapping[str, Decision]


def active(options: Mapping[str, str]) -> tuple[str, ...]:
    """The decisions, of those given with their option, that have an effect, in their order."""
    reading_prev = {
        _segment(name)
        for name, option in options.items()
        if name.endswith(".input") and option == PREV
    }

    def has_effect(name: str) -> bool:
        place, _, what = name.rpartition(".")
        if what == "input":
            return True
        if what in ("resample", "operation"):
            reads_module_input = options[f"{place}.input"] in MODULE_INPUTS
            resamples = _segment(name) in (UP, DOWN) and reads_module_input
            return resamples == (what == "resample")
        return _segment(name) in reading_prev

    return tuple(name for name in options if has_effect(name))


def repaired(decisions: Sequence[Decision], indices: Sequence[int]) -> tuple[int, ...]:
    """``indices`` with an input for every module and 0 for the decisions that are idle."""
    chosen = {d.name: d.options[index] for d, index in zip(decisions, indices, strict=True)}
    for segment in _segments(decisions):
        places = _places(decisions, segment)
        if all(chosen[f"{place}.input"] != INPUT for place in places):
            chosen[f"{places[0]}.input"] = INPUT
    effective = set(active(chosen))
    return tuple(d.index(chosen[d.name]) if d.name in effective else 0 for d in decisions)


def reachable_size(decisions: Sequence[Decision]) -> int:
    """The exact number of architectures that need no repair."""
    total = 1
    for segment in _segments(decisions):
        held = {d.name: d for d in decisions if _segment(d.name) == segment}
        places = _places(decisions, segment)

        def ways(*unread: str, held: _Decisions = held, places: Sequence[str] = places) -> int:
            return math.prod(_ways(held, place, unread) for place in places)

        reading_input = ways() - ways(INPUT)
        reading_input_alone = ways(PREV) - ways(INPUT, PREV)
        resizings = math.prod(
            len(d.options) for name, d in held.items() if name.startswith(f"{segment}.{PREV}.")
        )
        total *= (reading_input - reading_input_alone) * resizings + reading_input_alone
    return total


def _segments(decisions: Sequence[Decision]) -> list[str]:
    return list(dict.fromkeys(_segment(decision.name) for decision in decisions))


def _places(decisions: Sequence[Decision], segment: str) -> list[str]:
    """The slots of ``segment`` in order."""
    names = [d.name for d in decisions if _segment(d.name) == segment]
    return [name.removesuffix(".input") for name in names if name.endswith(".input")]


def _segment(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def _ways(decisions: _Decisions, place: str, unread: Sequence[str]) -> int:
    """How many ways there are to fill a slot, without those that read any of ``unread``."""
    total = 0
    for source in decisions[f"{place}.input"].options:
        resamples = f"{place}.resample" in decisions and source in MODULE_INPUTS
        what = "resample" if resamples else "operation"
        total += (source not in unread) * len(decisions[f"{place}.{what}"].options)
    return total
