"""Bars below each other and squares of numbers, as SVG with the colours of the page."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from nasgan.report.charts import WIDTH
from nasgan.report.svg import picture, tag, text

__all__ = ["bar_chart", "matrix_chart"]

_LEFT, _RIGHT, _ROW, _TOP = 14.0, 56.0, 30.0, 6.0
_THICK = 8.0
_MARGIN, _HEAD = 56.0, 34.0


def bar_chart(bars: Sequence[tuple[str, float, str]], *, label: str) -> Markup:
    """Bars from 0 to the right; one below 0 has no length.

    Args:
        bars: from top to bottom the name, the value, and what is written behind it.
        label: the chart in words, for those who do not see it.
    """
    most = max((value for _, value, _ in bars), default=0.0)
    parts: list[Markup] = []
    for row, (name, value, words) in enumerate(bars):
        top = _TOP + row * _ROW
        width = max(0.0, value) / most * (WIDTH - _LEFT - _RIGHT) if most > 0 else 0.0
        parts.append(text(_LEFT, top + 12, name, class_="row-label"))
        bar = {"x": _LEFT, "y": top + 17, "width": width, "height": _THICK}
        parts.append(tag("rect", **bar, rx=2.0, class_="area o0"))
        parts.append(text(_LEFT + width + 6, top + 17 + _THICK, words, class_="tick"))
    return picture(WIDTH, _TOP + _ROW * len(bars) + 6, label, parts)


def matrix_chart(
    names: Sequence[str], values: Sequence[Sequence[float | None]], *, title: str, label: str
) -> Markup:
    """A square of numbers from 0 to 1, the darker the larger.

    Args:
        names: of rows and columns.
        values: by row and column; None is left empty.
        title: what rows and columns are.
        label: the chart in words, for those who do not see it.
    """
    side = (WIDTH - _MARGIN - 14) / max(1, len(names))
    parts = [text(4, 12, title, class_="axis-label")]
    for row, name in enumerate(names):
        middle = _HEAD + (row + 0.5) * side
        parts.append(text(_MARGIN - 8, middle + 4, name, class_="tick", text_anchor="end"))
        across = _MARGIN + (row + 0.5) * side
        parts.append(text(across, _HEAD - 6, name, class_="tick", text_anchor="middle"))
        for column, value in enumerate(values[row]):
            if value is not None:
                parts += _square(_MARGIN + column * side, _HEAD + row * side, side, value)
    return picture(WIDTH, _HEAD + side * len(names) + 6, label, parts)


def _square(x: float, y: float, side: float, value: float) -> list[Markup]:
    shade = f"{0.08 + 0.5 * min(1.0, max(0.0, value)):.2f}"
    place = {"x": x + 1, "y": y + 1, "width": side - 2, "height": side - 2}
    return [
        tag("rect", **place, rx=3.0, class_="area o0", fill_opacity=shade),
        text(x + side / 2, y + side / 2 + 4, f"{value:.2f}", text_anchor="middle"),
    ]
