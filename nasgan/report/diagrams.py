"""Bars, squares of numbers, and the diagram of average ranks, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from nasgan.report.charts import WIDTH
from nasgan.report.svg import number, picture, tag, text

if TYPE_CHECKING:
    from nasgan.leaderboard.searches import CriticalDifference

__all__ = ["bar_chart", "critical_difference_picture", "critical_difference_svg", "matrix_chart"]

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


# The diagram of average ranks

_CD_WIDTH, _CD_LEFT, _CD_RIGHT = 640.0, 160.0, 480.0
_CD_BAR, _CD_AXIS, _CD_ROW, _CD_GAP = 22.0, 52.0, 20.0, 9.0
_INK = {"stroke": "currentColor"}


def critical_difference_svg(found: CriticalDifference) -> str:
    """`critical_difference_picture` as a file of its own."""
    drawn = str(critical_difference_picture(found))
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def critical_difference_picture(found: CriticalDifference) -> Markup:
    """The diagram of average ranks (Demšar 2006, figure 1): what no bar joins differs.

    The best strategy is on the left.
    """
    half = (len(found.ranks) + 1) // 2
    top = _CD_AXIS + _CD_GAP * (len(found.alike) + 1)
    height = top + _CD_ROW * half + 8
    parts = [*_scale(found), *_bars(found), *_names(found, half, top)]
    best = ", ".join(f"{name} {rank:.2f}" for name, rank in found.ranks.items())
    words = f"Average ranks: {best}; critical difference {found.difference:.2f}"
    return picture(_CD_WIDTH, height, words, [tag("g", *parts, font_family="sans-serif")])


def _x(rank: float, count: int) -> float:
    return _CD_LEFT + (rank - 1) / (count - 1) * (_CD_RIGHT - _CD_LEFT)


def _line(x1: float, y1: float, x2: float, y2: float, width: str = "1") -> Markup:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke_width=width, **_INK)


def _label(x: float, y: float, content: str, anchor: str) -> Markup:
    return text(x, y, content, text_anchor=anchor, font_size="12", fill="currentColor")


def _scale(found: CriticalDifference) -> Iterator[Markup]:
    count = len(found.ranks)
    yield _line(_CD_LEFT, _CD_AXIS, _CD_RIGHT, _CD_AXIS)
    for rank in range(1, count + 1):
        yield _line(_x(rank, count), _CD_AXIS - 5, _x(rank, count), _CD_AXIS)
        yield _label(_x(rank, count), _CD_AXIS - 9, str(rank), "middle")
    end = min(_x(1 + found.difference, count), _CD_WIDTH - 8)
    yield _line(_CD_LEFT, _CD_BAR, end, _CD_BAR, "2")
    yield _label(end + 6, _CD_BAR + 4, f"critical difference {found.difference:.2f}", "start")


def _bars(found: CriticalDifference) -> Iterator[Markup]:
    count = len(found.ranks)
    for row, names in enumerate(found.alike, 1):
        y = _CD_AXIS + _CD_GAP * row
        ends = (_x(found.ranks[names[k]], count) for k in (0, -1))
        left, right = ends
        yield _line(left - 4, y, right + 4, y, "4")


def _names(found: CriticalDifference, half: int, top: float) -> Iterator[Markup]:
    """The better half from the left side inwards, the others from the right."""
    ranked = list(found.ranks.items())
    for number_, (name, rank) in enumerate(ranked):
        on_left = number_ < half
        row = number_ if on_left else len(ranked) - 1 - number_
        x, y = _x(rank, len(ranked)), top + _CD_ROW * row + 8
        side = _CD_LEFT - 12 if on_left else _CD_RIGHT + 12
        path = f"M{number(x)} {number(_CD_AXIS)}V{number(y)}H{number(side)}"
        yield tag("path", d=path, fill="none", **_INK)
        words = f"{name} {rank:.2f}"
        yield _label(side + (-4 if on_left else 4), y + 4, words, "end" if on_left else "start")
