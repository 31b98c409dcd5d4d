"""SVG elements in which all that comes from a record is escaped, looks of methods, and axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from nasgan.leaderboard.texts import shown

__all__ = [
    "NEUTRAL",
    "SHAPES",
    "Scale",
    "Style",
    "group",
    "key_line",
    "key_shape",
    "line_path",
    "mark",
    "number",
    "picture",
    "spanning",
    "stroke",
    "styles_of",
    "tag",
    "text",
]


def number(value: float) -> str:
    """A coordinate: a tenth of a pixel is enough."""
    short = f"{value:.1f}".removesuffix(".0")
    return "0" if short == "-0" else short


def tag(name: str, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """One element.

    Args:
        name: of the element; trusted.
        children: texts, which are escaped, and elements.
        attributes: names with ``_`` for ``-``, and a trailing one after Python's own words;
            values are escaped, numbers are coordinates, None leaves the attribute out.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is not None:
            written = value if isinstance(value, str) else number(value)
            parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(written)}"')
    content = "".join(str(escape(child)) for child in children)
    parts.append(f">{content}</{name}>" if content else "/>")
    return Markup("".join(parts))  # noqa: S704 - every part is escaped above


def group(children: Iterable[Markup], **attributes: str | float | None) -> Markup:
    """A ``g`` element."""
    return tag("g", *children, **attributes)


def text(x: float, y: float, content: str, **attributes: str | float | None) -> Markup:
    """A text with its base line at ``y``."""
    return tag("text", content, x=x, y=y, **attributes)


def line_path(points: Sequence[tuple[float, float]]) -> str:
    """The ``d`` of straight lines through ``points``."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points) if points else ""


def stroke(points: Sequence[tuple[float, float]], class_: str, **more: str | None) -> Markup:
    """A line through ``points``."""
    return tag("path", d=line_path(points), class_=class_, **more)


def picture(
    width: float, height: float, label: str, children: Iterable[Markup], *, class_: str = "chart"
) -> Markup:
    """A whole drawing that a screen reader takes for one picture, described by ``label``."""
    return tag(
        "svg",
        *children,
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        class_=class_,
        role="img",
        aria_label=label,
    )


COLOURS = 8
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "down")
_DASHES = (None, "7 3", "2 3", "9 3 2 3")

_HALF = 4.2


@dataclass(frozen=True)
class Style:
    """The look of one method.

    Attributes:
        colour: class of the style sheet.
        dash: of lines; None is solid.
        shape: of points.
    """

    colour: str
    dash: str | None = None
    shape: str = "circle"


NEUTRAL = Style("cn", "3 3", "diamond")
"""What comparisons look like: the average random architecture, real images."""


def styles_of(names: Iterable[str]) -> dict[str, Style]:
    """A style for each name: the same for equal sets of names, whatever their order."""
    return {
        name: Style(
            f"c{k % COLOURS}",
            _DASHES[(k + k // COLOURS) % len(_DASHES)],
            SHAPES[(k + k // COLOURS) % len(SHAPES)],
        )
        for k, name in enumerate(sorted(set(names)))
    }


def mark(x: float, y: float, style: Style, *, tip: str = "", size: float = 1.0) -> Markup:
    """A point of the style's shape; ``tip`` is told when it is pointed at."""
    h = _HALF * size
    title = (tag("title", tip),) if tip else ()
    kind = f"mark {style.colour}"
    if style.shape == "circle":
        return tag("circle", *title, cx=x, cy=y, r=h, class_=kind)
    if style.shape == "square":
        s = h * 0.9
        return tag("rect", *title, x=x - s, y=y - s, width=2 * s, height=2 * s, class_=kind)
    corners = {
        "triangle": [(0.0, -1.15), (1.05, 0.8), (-1.05, 0.8)],
        "down": [(0.0, 1.15), (1.05, -0.8), (-1.05, -0.8)],
        "diamond": [(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)],
        "cross": [
            *[(-0.35, -1.1), (0.35, -1.1), (0.35, -0.35), (1.1, -0.35), (1.1, 0.35), (0.35, 0.35)],
            *[(0.35, 1.1), (-0.35, 1.1), (-0.35, 0.35), (-1.1, 0.35), (-1.1, -0.35)],
            (-0.35, -0.35),
        ],
    }[style.shape]
    path = line_path([(x + h * dx, y + h * dy) for dx, dy in corners]) + "Z"
    return tag("path", *title, d=path, class_=kind)


def key_line(style: Style) -> Markup:
    """A short piece of the style's line, for a key."""
    line = tag("path", d="M1 7H27", class_=f"line {style.colour}", stroke_dasharray=style.dash)
    return tag("svg", line, viewBox="0 0 28 14", width=28, height=14, aria_hidden="true")


def key_shape(style: Style) -> Markup:
    """The style's point, for a key."""
    point = mark(7, 7, style)
    return tag("svg", point, viewBox="0 0 14 14", width=14, height=14, aria_hidden="true")


# Axes: from data to pixels, with ticks at round numbers

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOG_RATIO = 30.0
_MARGIN = 0.05
# Far from where arithmetic on the ends of an axis would overflow.
_HUGE = 1e100


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic map from ``[low, high]`` to pixels.

    Attributes:
        low: smallest value of the axis.
        high: largest value, above ``low``.
        start: pixel of ``low``.
        end: pixel of ``high``; smaller than ``start`` on vertical axes.
        is_log: whether the logarithm is mapped; both ends are then positive.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of ``value``, which is moved to the nearest end if it lies outside."""
        low, high, at = (self._transformed(v) for v in (self.low, self.high, value))
        share = min(1.0, max(0.0, (at - low) / (high - low)))
        return self.start + share * (self.end - self.start)

    def _transformed(self, value: float) -> float:
        if not self.is_log:
            return value
        return math.log10(max(value, self.low))

    def ticks(self, count: int = 5) -> list[float]:
        """About ``count`` round values within the axis, ascending."""
        if self.is_log:
            return _log_ticks(self.low, self.high, count)
        step = _round_step((self.high - self.low) / max(1, count))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(k * step, 12) for k in range(first, last + 1)]

    def labels(self, count: int = 5) -> list[tuple[float, str]]:
        """The ticks with what is written at each: equally many decimals throughout."""
        ticks = self.ticks(count)
        if self.is_log or len(ticks) < 2:
            return [(tick, shown(tick)) for tick in ticks]
        step = ticks[1] - ticks[0]
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        if decimals and round(step * 10**decimals, 6) % 1:
            decimals += 1
        return [(tick, _grouped(tick, decimals)) for tick in ticks]


def spanning(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    log: bool | None = None,
    zero: bool = False,
) -> Scale:
    """The scale that shows all ``values`` with a little room at both ends.

    Args:
        values: finite numbers; without any the axis goes from 0 to 1.
        start: pixel of the smallest.
        end: pixel of the largest.
        log: logarithmic or not; None: as `log_is_better` says.
        zero: begin at 0 exactly, on a linear axis.
    """
    known = sorted(max(-_HUGE, min(_HUGE, value)) for value in values)
    if not known:
        return Scale(0.0, 1.0, start, end)
    low, high = known[0], known[-1]
    use_log = low > 1 / _HUGE and (log_is_better(known) if log is None else log)
    if use_log:
        ratio = max((high / low) ** _MARGIN, 1.02)
        return Scale(low / ratio, high * ratio, start, end, is_log=True)
    room = (high - low) * _MARGIN or abs(high) * _MARGIN or 0.5
    if zero and low >= 0:
        return Scale(0.0, high + (room if high > 0 else 1.0), start, end)
    return Scale(low - room, high + room, start, end)


def log_is_better(values: Iterable[float]) -> bool:
    """Whether positive values lie orders of magnitude apart."""
    known = list(values)
    return bool(known) and min(known) > 0 and max(known) / min(known) > _LOG_RATIO


def _grouped(value: float, decimals: int) -> str:
    if abs(value) >= 1e4:
        return shown(value, 4)
    return f"{value:.{decimals}f}" if value else "0"


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor for factor in _ROUND if step <= factor * power * (1 + 1e-9)) * power


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [f * 10.0**k for k in range(first, last + 1) for f in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= min(3, count):
            return ticks[:: max(1, math.ceil(len(ticks) / (count + 1)))]
    return Scale(low, high, 0, 1).ticks(count)
