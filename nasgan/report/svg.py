"""SVG elements in which all that comes from a record is escaped, and how methods are told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

__all__ = [
    "NEUTRAL",
    "SHAPES",
    "Style",
    "group",
    "key_line",
    "key_shape",
    "line_path",
    "mark",
    "number",
    "picture",
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
            shown = value if isinstance(value, str) else number(value)
            parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
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
