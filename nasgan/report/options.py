"""Which options a search preferred in its course, and the small pictures that show it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from markupsafe import Markup

from nasgan.report.chapters import Chapter
from nasgan.report.histories import RunHistory
from nasgan.report.svg import COLOURS, line_path, picture, tag

__all__ = ["course_of", "mean_course", "option_figures"]

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


def course_of(history: RunHistory, options: Mapping[str, Sequence[str]]) -> OptionCourse | None:
    """The course of one run; None if too little is known.

    Args:
        history: of the run.
        options: the names of the options by decision, as far as known; those missing are taken
            from what the search scored, or numbered.
    """
    return _learned(history, options) if history.options else _sampled(history, options)


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
    names = {name: _names(name, width, history, options) for name, width in widths.items()}
    shares = {
        name: tuple(
            tuple(row[name]) if len(row.get(name, ())) == len(opts) else None for _, row in lines
        )
        for name, opts in names.items()
    }
    return OptionCourse(places, shares, names, is_learned=True)


def _names(
    decision: str, width: int, history: RunHistory, options: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """The names of a decision's options: as known, as lines have them that map names to shares."""
    if len(options.get(decision, ())) == width:
        return tuple(options[decision])
    found = (shares.get(decision) for _, shares in history.options)
    named = next((tuple(map(str, each)) for each in found if isinstance(each, Mapping)), ())
    return named or tuple(f"option {k + 1}" for k in range(width))


def _clean(shares: Mapping[str, Any], options: Mapping[str, Sequence[str]]) -> Shares:
    """Rows of non-negative numbers that add up to 1; whatever is something else is left out."""
    clean = {}
    for name, given in shares.items():
        row = given
        if isinstance(given, Mapping):
            order: Iterable[Any] = options.get(name, given)
            row = [given.get(option, 0.0) for option in order]
        numbers = isinstance(row, list) and all(isinstance(n, int | float) for n in row)
        if numbers and all(0 <= n < math.inf for n in row) and sum(row) > 0:
            clean[str(name)] = [float(share) / sum(row) for share in row]
    return clean


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


_MOST_DECISIONS = 100


def option_figures(chapter: Chapter) -> list[dict[str, Any]]:
    """For each searched row of which enough is known, the mean over its seeds.

    Each has a ``title``; the ``kind`` of the shares; ``groups`` of decisions with the same options:
    ``(name, class of the style sheet)`` of each option, and ``(name, picture)`` of each decision;
    and a ``note`` on what is left out.
    """
    figures = []
    for row in chapter.search_rows:
        courses = [
            course
            for run, history in row.with_history
            if (course := course_of(history, run.record.decisions)) is not None
        ]
        mean = mean_course(courses)
        if mean is not None:
            figures.append({"title": row.label, **_option_figure(mean, len(courses))})
    return figures


def _option_figure(course: OptionCourse, runs: int) -> dict[str, Any]:
    decisions = list(course.shares)[:_MOST_DECISIONS]
    panels: dict[tuple[str, ...], list[tuple[str, Markup]]] = {}
    for decision in decisions:
        drawn = _picture(decision, course)
        if drawn is not None:
            panels.setdefault(course.options[decision], []).append((decision, drawn))
    kind = "probabilities" if course.is_learned else "how often each was scored"
    rest = len(course.shares) - len(decisions)
    return {
        "kind": kind + (f", mean over {runs} seeds" if runs > 1 else ""),
        "groups": [
            ([(name, option_colour(k)) for k, name in enumerate(options)], found)
            for options, found in panels.items()
        ],
        "note": f"{rest} more decisions are not shown" if rest else "",
    }


def _picture(decision: str, course: OptionCourse) -> Markup | None:
    options = course.options[decision]
    known = [
        (place, row)
        for place, row in zip(course.places, course.shares[decision], strict=True)
        if row is not None
    ]
    if not known:
        return None
    first, last = known[0][1], known[-1][1]
    leading = sorted(zip(last, options, strict=True), reverse=True)[:3]
    words = ", ".join(f"{option} {share:.0%}" for share, option in leading if share > 0)
    return stack_chart(
        [place for place, _ in known],
        [row for _, row in known],
        [option_colour(k) for k in range(len(options))],
        label=f"{decision}: {words} at the end",
        tips=[
            f"{option}: {start:.0%} at first, {end:.0%} at the end"
            for option, start, end in zip(options, first, last, strict=True)
        ],
    )


_WIDTH, _HEIGHT = 150.0, 64.0

OPTION_COLOURS = COLOURS + 4


def option_colour(index: int) -> str:
    """The class of the style sheet for the ``index``-th option."""
    return f"o{index % OPTION_COLOURS}"


def stack_chart(
    places: Sequence[float],
    shares: Sequence[Sequence[float]],
    colours: Sequence[str],
    *,
    label: str,
    tips: Sequence[str],
) -> Markup:
    """Areas stacked to 1; the last share is held to the end.

    Args:
        places: ascending, from 0 (the start) to 1 (the end); where the shares are known.
        shares: for each place the share of each option; they add up to 1.
        colours: a class for each option.
        label: the chart in words, for those who do not see it.
        tips: for each option what is told when its area is pointed at.
    """
    xs = [_WIDTH * place for place in places]
    if xs[-1] < _WIDTH:
        xs, shares = [*xs, _WIDTH], [*shares, shares[-1]]
    tops = [0.0] * len(xs)
    borders = []
    for k in range(len(colours)):
        tops = [top + row[k] for top, row in zip(tops, shares, strict=True)]
        borders.append(list(tops))
    parts = []
    # From the top one down: each area covers the lower part of the one before.
    layers = list(zip(borders, colours, tips, strict=True))
    for border, colour, tip in reversed(layers):
        outline = [(x, _HEIGHT * (1 - min(1.0, top))) for x, top in zip(xs, border, strict=True)]
        corners = [(_WIDTH, _HEIGHT), (xs[0], _HEIGHT)]
        if any(y < _HEIGHT for _, y in outline):
            path = line_path([*outline, *corners]) + "Z"
            parts.append(tag("path", tag("title", tip), d=path, class_=f"area {colour}"))
    return picture(_WIDTH, _HEIGHT, label, parts, class_="stack")
