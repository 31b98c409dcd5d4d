"""One line for each row of a table: every seed as a point, the mean, and its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nasgan.report.charts import WIDTH, Reference, near
from nasgan.report.palette import Style, mark
from nasgan.report.scales import Scale, shown, spanning
from nasgan.report.svg import line_path, picture, tag, text

__all__ = ["Strip", "strip_chart"]

_LEFT, _RIGHT = 14.0, 14.0
_TOP, _STEP, _BOTTOM = 34.0, 40.0, 24.0
_MOST_CHARACTERS = 42


@dataclass(frozen=True)
class Strip:
    """One row.

    Attributes:
        label: its name.
        style: how it looks.
        values: ``(score, tip)`` of each seed.
        mean: over the seeds.
        low: lower end of the interval; None without one, as ``high``.
        high: upper end.
    """

    label: str
    style: Style
    values: Sequence[tuple[float, str]]
    mean: float
    low: float | None
    high: float | None


def strip_chart(
    strips: Sequence[Strip],
    *,
    x_label: str,
    label: str,
    references: Sequence[Reference] = (),
) -> Markup:
    """The strips below each other over one axis.

    Args:
        strips: from top to bottom.
        x_label: what is measured.
        label: the chart in words, for those who do not see it.
        references: vertical lines for comparison.
    """
    known = [value for strip in strips for value, _ in strip.values]
    known += [
        end for strip in strips for end in (strip.mean, strip.low, strip.high) if end is not None
    ]
    references = near(references, known)
    known += [line.value for line in references]
    scale = spanning(known, _LEFT, WIDTH - _RIGHT)
    bottom = _TOP + _STEP * len(strips)
    parts = [text(WIDTH - _RIGHT, 12, x_label, class_="axis-label", text_anchor="end")]
    for value, tick in scale.labels(4):
        x = scale(value)
        parts.append(tag("path", d=line_path([(x, _TOP), (x, bottom)]), class_="grid"))
        parts.append(text(x, bottom + 16, tick, class_="tick", text_anchor="middle"))
    for line in references:
        parts += _reference(scale(line.value), bottom, line.label)
    for k, strip in enumerate(strips):
        parts += _drawn(strip, scale, _TOP + k * _STEP)
    return picture(WIDTH, bottom + _BOTTOM, label, parts)


def _drawn(strip: Strip, scale: Scale, top: float) -> list[Markup]:
    y = top + 27
    name = strip.label
    if len(name) > _MOST_CHARACTERS:
        name = name[: _MOST_CHARACTERS - 1] + "…"
    parts = [
        text(_LEFT, top + 13, name, class_="row-label"),
        text(WIDTH - _RIGHT, top + 13, shown(strip.mean, 4), class_="row-value", text_anchor="end"),
    ]
    if strip.low is not None and strip.high is not None:
        ends = [(scale(strip.low), y), (scale(strip.high), y)]
        parts.append(tag("path", d=line_path(ends), class_=f"interval {strip.style.colour}"))
    x = scale(strip.mean)
    parts.append(
        tag("path", d=line_path([(x, y - 7), (x, y + 7)]), class_=f"line {strip.style.colour}")
    )
    parts += [mark(scale(value), y, strip.style, tip=tip, size=0.8) for value, tip in strip.values]
    return parts


def _reference(x: float, bottom: float, label: str) -> list[Markup]:
    anchor = "start" if x < WIDTH / 2 else "end"
    return [
        tag("path", d=line_path([(x, _TOP - 4), (x, bottom)]), class_="reference"),
        text(x, _TOP - 8, label, class_="tick told", text_anchor=anchor),
    ]
