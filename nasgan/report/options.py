"""Which options a search preferred in its course: learned probabilities, or what it sampled."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from nasgan.report.histories import RunHistory

__all__ = ["OptionCourse", "course_of", "mean_course"]

_PLACES = 24
_LEAST_SAMPLES = 16
_SAMPLES_PER_WINDOW = 8

Shares: TypeAlias = "dict[str, list[float]]"


@dataclass(frozen=True)
class OptionCourse:
    """The shares of all options over the course of a search, or the mean over several.

    Attributes:
        places: ascending, 0 is the start of the search and 1 its end.
        shares: for each decision, for each place, the share of each of its options; None where a
            decision was not open yet.
        options: the names of each decision's options.
        is_learned: probabilities that the strategy held, as opposed to counts of what it scored.
    """

    places: tuple[float, ...]
    shares: Mapping[str, tuple[tuple[float, ...] | None, ...]]
    options: Mapping[str, tuple[str, ...]]
    is_learned: bool


def course_of(
    history: RunHistory, options: Mapping[str, Sequence[str]], *, sampled: bool = False
) -> OptionCourse | None:
    """The course of one run; None if too little is known.

    Args:
        history: of the run.
        options: the names of the options by decision, as far as known; those missing are taken
            from what the search scored, or numbered.
        sampled: count what was scored even if the strategy told its probabilities.
    """
    if history.options and not sampled:
        return _learned(history, options)
    return _sampled(history, options)


def mean_course(courses: Sequence[OptionCourse]) -> OptionCourse | None:
    """The mean over runs of one kind of a row, at common places; None without any."""
    if not courses:
        return None
    kind = courses[0].is_learned
    courses = [course for course in courses if course.is_learned == kind]
    places = tuple(k / (_PLACES - 1) for k in range(_PLACES))
    names = {name: opts for course in courses for name, opts in course.options.items()}
    shares = {}
    for decision, options in names.items():
        rows: list[tuple[float, ...] | None] = []
        for place in places:
            found = [_at(course, decision, place) for course in courses]
            known = [row for row in found if row is not None and len(row) == len(options)]
            rows.append(
                tuple(sum(column) / len(known) for column in zip(*known, strict=True))
                if known
                else None
            )
        shares[decision] = tuple(rows)
    return OptionCourse(places, shares, names, kind)


def _at(course: OptionCourse, decision: str, place: float) -> tuple[float, ...] | None:
    rows = course.shares.get(decision)
    if rows is None:
        return None
    return rows[max(0, bisect_right(course.places, place + 1e-9) - 1)]


def _learned(history: RunHistory, options: Mapping[str, Sequence[str]]) -> OptionCourse | None:
    lines = [(steps, _clean(shares, options)) for steps, shares in history.options]
    first, last = lines[0][0], lines[-1][0]
    if last > first:
        places = tuple((steps - first) / (last - first) for steps, _ in lines)
    else:
        places = tuple(k / max(1, len(lines) - 1) for k in range(len(lines)))
    widths = {name: len(row) for _, shares in lines for name, row in shares.items()}
    if not widths:
        return None
    names = {
        name: tuple(options.get(name, ()))
        if len(options.get(name, ())) == width
        else _names_in_lines(history, name) or tuple(f"option {k + 1}" for k in range(width))
        for name, width in widths.items()
    }
    shares = {
        name: tuple(_fitting(row.get(name), len(opts)) for _, row in lines)
        for name, opts in names.items()
    }
    return OptionCourse(places, shares, names, is_learned=True)


def _names_in_lines(history: RunHistory, decision: str) -> tuple[str, ...]:
    """The options' names, if the lines map names to shares."""
    for _, shares in history.options:
        if isinstance(shares.get(decision), Mapping):
            return tuple(map(str, shares[decision]))
    return ()


def _clean(shares: Mapping[str, Any], options: Mapping[str, Sequence[str]]) -> Shares:
    """Rows of non-negative numbers that add up to 1; whatever is something else is left out."""
    clean = {}
    for name, given in shares.items():
        row = given
        if isinstance(given, Mapping):
            order: Iterable[Any] = options.get(name, given)
            row = [given.get(option, 0.0) for option in order]
        if isinstance(row, list) and all(map(_is_share, row)) and sum(row) > 0:
            clean[str(name)] = [float(share) / sum(row) for share in row]
    return clean


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < math.inf


def _fitting(row: Sequence[float] | None, width: int) -> tuple[float, ...] | None:
    return tuple(row) if row is not None and len(row) == width else None


def _sampled(history: RunHistory, options: Mapping[str, Sequence[str]]) -> OptionCourse | None:
    drawn = [scored.choices for scored in history.scored]
    if len(drawn) < _LEAST_SAMPLES:
        return None
    count = min(_PLACES, max(2, len(drawn) // _SAMPLES_PER_WINDOW))
    edges = [k * len(drawn) // count for k in range(count + 1)]
    decisions = dict.fromkeys(name for choices in drawn for name in choices)
    names = {
        name: tuple(options.get(name) or sorted({c[name] for c in drawn if name in c}))
        for name in decisions
    }
    shares = {
        name: tuple(
            _frequencies([c[name] for c in drawn[a:b] if name in c], names[name])
            for a, b in pairwise(edges)
        )
        for name in decisions
    }
    places = tuple(k / (count - 1) for k in range(count))
    return OptionCourse(places, shares, names, is_learned=False)


def _frequencies(values: Sequence[str], options: Sequence[str]) -> tuple[float, ...] | None:
    counts = Counter(values)
    total = sum(counts[option] for option in options)
    return tuple(counts[option] / total for option in options) if total else None
