"""What the searches of a chapter preferred in their course, as small pictures by kind of choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nasgan.report.collect import Chapter
from nasgan.report.options import OptionCourse, course_of, mean_course
from nasgan.report.stacks import option_colour, stack_chart

__all__ = ["OptionFigure", "OptionGroup", "OptionPanel", "option_figures"]

_MOST_DECISIONS = 100


@dataclass(frozen=True)
class OptionPanel:
    """One decision.

    Attributes:
        name: of the decision.
        picture: the shares of its options.
    """

    name: str
    picture: Markup


@dataclass(frozen=True)
class OptionGroup:
    """The decisions that have the same options.

    Attributes:
        keys: ``(name, class of the style sheet)`` of each option.
        panels: the decisions.
    """

    keys: Sequence[tuple[str, str]]
    panels: Sequence[OptionPanel]


@dataclass(frozen=True)
class OptionFigure:
    """The decisions of a row over the course of its searches.

    Attributes:
        title: the row's name.
        kind: what the shares are.
        groups: the decisions by their options.
        note: what is left out.
    """

    title: str
    kind: str
    groups: Sequence[OptionGroup]
    note: str = ""


def option_figures(chapter: Chapter) -> list[OptionFigure]:
    """For each searched row of which enough is known, the mean over its seeds."""
    figures = []
    for row in chapter.search_rows:
        courses = [
            course
            for run in row.runs
            if run.history is not None
            and (course := course_of(run.history, run.record.decisions)) is not None
        ]
        mean = mean_course(courses)
        if mean is not None:
            figures.append(_option_figure(row.label, mean, len(courses)))
    return figures


def _option_figure(title: str, course: OptionCourse, runs: int) -> OptionFigure:
    decisions = list(course.shares)[:_MOST_DECISIONS]
    panels: dict[tuple[str, ...], list[OptionPanel]] = {}
    for decision in decisions:
        panel = _panel(decision, course)
        if panel is not None:
            panels.setdefault(course.options[decision], []).append(panel)
    groups = [
        OptionGroup([(name, option_colour(k)) for k, name in enumerate(options)], found)
        for options, found in panels.items()
    ]
    kind = "probabilities" if course.is_learned else "how often each was scored"
    over = f", mean over {runs} seeds" if runs > 1 else ""
    rest = len(course.shares) - len(decisions)
    note = f"{rest} more decisions are not shown" if rest else ""
    return OptionFigure(title, kind + over, groups, note)


def _panel(decision: str, course: OptionCourse) -> OptionPanel | None:
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
    picture = stack_chart(
        [place for place, _ in known],
        [row for _, row in known],
        [option_colour(k) for k in range(len(options))],
        label=f"{decision}: {words} at the end",
        tips=[
            f"{option}: {start:.0%} at first, {end:.0%} at the end"
            for option, start, end in zip(options, first, last, strict=True)
        ],
    )
    return OptionPanel(decision, picture)
