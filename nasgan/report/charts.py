"""Line charts with bands, scatter plots and strips, as SVG with the colours of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from nasgan.leaderboard.texts import shown
from nasgan.report.svg import (
    Scale,
    Style,
    group,
    line_path,
    mark,
    picture,
    spanning,
    stroke,
    tag,
    text,
)

__all__ = [
    "Band",
    "Line",
    "Point",
    "Reference",
    "Strip",
    "line_chart",
    "near",
    "scatter_chart",
    "strip_chart",
]

WIDTH, HEIGHT = 360.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 14.0, 26.0, 40.0
_LABEL_HEIGHT = 13.0
_REFERENCE_ROOM = 1.0
_LEAST_STEP = 0.05


@dataclass(frozen=True)
class Band:
    """A line's value at one place.

    Attributes:
        x: where.
        mean: the value.
        low: lower end of its band; equal to the mean where there is none.
        high: upper end.
    """

    x: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: told when it is pointed at.
        style: how it looks.
        points: by ascending x.
    """

    name: str
    style: Style
    points: Sequence[Band]


@dataclass(frozen=True)
class Reference:
    """A horizontal line for comparison.

    Attributes:
        value: where.
        label: written on it.
    """

    value: float
    label: str


@dataclass(frozen=True)
class Point:
    """A point of a scatter plot.

    Attributes:
        x: first coordinate.
        y: second coordinate.
        style: how it looks.
        tip: told when it is pointed at.
    """

    x: float
    y: float
    style: Style
    tip: str


@dataclass(frozen=True)
class Frame:
    """The axes of a chart.

    Attributes:
        x: the horizontal scale.
        y: the vertical scale.
        x_label: what is measured along x.
        y_label: what is measured along y.
    """

    x: Scale
    y: Scale
    x_label: str
    y_label: str

    def draw(self) -> list[Markup]:
        """Grid lines, numbers and labels."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        parts = [
            text(4, top - 11, self.y_label, class_="axis-label"),
            text(right, bottom + 34, self.x_label, class_="axis-label", text_anchor="end"),
        ]
        for value, label in self.y.labels():
            y = self.y(value)
            parts.append(stroke([(left, y), (right, y)], "grid"))
            parts.append(text(left - 6, y + 4, label, class_="tick", text_anchor="end"))
        for value, label in _apart(self.x):
            x = self.x(value)
            parts.append(stroke([(x, bottom), (x, bottom + 4)], "axis"))
            parts.append(text(x, bottom + 17, label, class_="tick", text_anchor="middle"))
        parts.append(stroke([(left, bottom), (right, bottom)], "axis"))
        return parts

    def reference(self, line: Reference) -> list[Markup]:
        """A dashed line with its label, above it where there is room."""
        y = self.y(line.value)
        at = y + 12 if y - _LABEL_HEIGHT < self.y.end else y - 4
        return [
            stroke([(self.x.start, y), (self.x.end, y)], "reference"),
            text(self.x.end, at, line.label, class_="tick told", text_anchor="end"),
        ]


def near(references: Sequence[Reference], values: Sequence[float]) -> list[Reference]:
    """The references that an axis of ``values`` can show without losing its detail."""
    if not values:
        return []
    low, high = min(values), max(values)
    room = _REFERENCE_ROOM * (high - low)
    return [line for line in references if low - room <= line.value <= high + room]


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    label: str,
    references: Sequence[Reference] = (),
    steps: bool = True,
) -> Markup:
    """Lines with their bands over one horizontal axis that begins at 0.

    Args:
        lines: drawn in order.
        x_label: what is measured along x.
        y_label: what is measured along y.
        label: the chart in words, for those who do not see it.
        references: horizontal lines for comparison.
        steps: hold each value up to the next place, as an incumbent does.
    """
    bands = [point for line in lines for point in line.points]
    values = [v for point in bands for v in (point.low, point.mean, point.high)]
    references = near(references, values)
    frame = Frame(
        spanning((point.x for point in bands), _LEFT, WIDTH - _RIGHT, log=False, zero=True),
        spanning(values + [line.value for line in references], HEIGHT - _BOTTOM, _TOP, log=None),
        x_label,
        y_label,
    )
    parts = frame.draw()
    for reference in references:
        parts += frame.reference(reference)
    for line in lines:
        parts.append(
            tag("path", d=_band_path(frame, line, steps), class_=f"band {line.style.colour}")
        )
    for line in lines:
        parts.append(_drawn_line(frame, line, steps))
    return picture(WIDTH, HEIGHT, label, parts)


def scatter_chart(
    points: Sequence[Point],
    *,
    x_label: str,
    y_label: str,
    label: str,
    front: Sequence[tuple[float, float]] = (),
    x_log: bool | None = None,
) -> Markup:
    """Points, and the front of those that no other beats.

    Args:
        points: drawn in order.
        x_label: what is measured along x.
        y_label: what is measured along y.
        label: the chart in words, for those who do not see it.
        front: its corners by ascending x, joined by steps.
        x_log: whether the horizontal axis is logarithmic; None: where the numbers ask for it.
    """
    frame = Frame(
        spanning((point.x for point in points), _LEFT, WIDTH - _RIGHT, log=x_log),
        spanning([point.y for point in points], HEIGHT - _BOTTOM, _TOP),
        x_label,
        y_label,
    )
    parts = frame.draw()
    if front:
        corners = _staircase([(frame.x(x), frame.y(y)) for x, y in front])
        corners.append((frame.x.end, corners[-1][1]))
        parts.append(stroke(corners, "front"))
    parts.append(group(mark(frame.x(p.x), frame.y(p.y), p.style, tip=p.tip) for p in points))
    return picture(WIDTH, HEIGHT, label, parts)


def _drawn_line(frame: Frame, line: Line, steps: bool) -> Markup:
    middle = [(frame.x(point.x), frame.y(point.mean)) for point in line.points]
    corners, look = _staircase(middle) if steps else middle, line.style
    drawn = stroke(corners, f"line {look.colour}", stroke_dasharray=look.dash)
    parts = [tag("title", line.name), drawn]
    if len(middle) == 1:
        (x, _), (only,) = middle[0], line.points
        if only.low < only.high:
            ends = [(x, frame.y(only.low)), (x, frame.y(only.high))]
            parts.append(stroke(ends, f"interval {line.style.colour}"))
        parts.append(mark(*middle[0], replace(line.style, shape="circle"), size=0.7))
    return group(parts)


def _band_path(frame: Frame, line: Line, steps: bool) -> str:
    upper = [(frame.x(point.x), frame.y(point.high)) for point in line.points]
    lower = [(frame.x(point.x), frame.y(point.low)) for point in line.points]
    if steps:
        upper, lower = _staircase(upper), _staircase(lower)
    if not upper or all(point.low == point.high for point in line.points):
        return ""
    return line_path([*upper, *reversed(lower)]) + "Z"


def _staircase(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners that hold each y until the next x, without those on a straight line."""
    corners: list[tuple[float, float]] = list(points[:1])
    for x, y in points[1:]:
        if abs(y - corners[-1][1]) >= _LEAST_STEP:
            corners += [(x, corners[-1][1]), (x, y)]
    if corners and points[-1][0] > corners[-1][0]:
        corners.append((points[-1][0], corners[-1][1]))
    return corners


def _apart(scale: Scale) -> Iterable[tuple[float, str]]:
    """The labels of a horizontal axis that do not touch each other."""
    kept_to = float("-inf")
    for value, label in scale.labels():
        half = 3.5 * len(label)
        x = scale(value)
        if x - half >= kept_to:
            kept_to = x + half + 6
            yield value, label


_STRIP_LEFT, _STRIP_RIGHT = 14.0, 14.0
_STRIP_TOP, _STEP, _STRIP_BOTTOM = 34.0, 40.0, 24.0
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
    scale = spanning(known, _STRIP_LEFT, WIDTH - _STRIP_RIGHT)
    bottom = _STRIP_TOP + _STEP * len(strips)
    parts = [text(WIDTH - _STRIP_RIGHT, 12, x_label, class_="axis-label", text_anchor="end")]
    for value, tick in scale.labels(4):
        x = scale(value)
        parts.append(stroke([(x, _STRIP_TOP), (x, bottom)], "grid"))
        parts.append(text(x, bottom + 16, tick, class_="tick", text_anchor="middle"))
    for line in references:
        parts += _reference(scale(line.value), bottom, line.label)
    for k, strip in enumerate(strips):
        parts += _drawn(strip, scale, _STRIP_TOP + k * _STEP)
    return picture(WIDTH, bottom + _STRIP_BOTTOM, label, parts)


def _drawn(strip: Strip, scale: Scale, top: float) -> list[Markup]:
    y = top + 27
    name = strip.label
    if len(name) > _MOST_CHARACTERS:
        name = name[: _MOST_CHARACTERS - 1] + "…"
    parts = [
        text(_STRIP_LEFT, top + 13, name, class_="row-label"),
        text(
            WIDTH - _STRIP_RIGHT,
            top + 13,
            shown(strip.mean, 4),
            class_="row-value",
            text_anchor="end",
        ),
    ]
    if strip.low is not None and strip.high is not None:
        ends = [(scale(strip.low), y), (scale(strip.high), y)]
        parts.append(stroke(ends, f"interval {strip.style.colour}"))
    x = scale(strip.mean)
    parts.append(stroke([(x, y - 7), (x, y + 7)], f"line {strip.style.colour}"))
    parts += [mark(scale(value), y, strip.style, tip=tip, size=0.8) for value, tip in strip.values]
    return parts


def _reference(x: float, bottom: float, label: str) -> list[Markup]:
    anchor = "start" if x < WIDTH / 2 else "end"
    return [
        stroke([(x, _STRIP_TOP - 4), (x, bottom)], "reference"),
        text(x, _STRIP_TOP - 8, label, class_="tick told", text_anchor=anchor),
    ]
