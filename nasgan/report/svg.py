"""SVG elements as text in which everything that comes from a record is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

__all__ = ["group", "line_path", "number", "picture", "tag", "text"]


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
