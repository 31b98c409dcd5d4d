"""The diagram of average ranks (Demšar 2006, figure 1): what no line joins differs."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from nasgan.leaderboard.searches import CriticalDifference
from nasgan.report.svg import number, picture, tag, text

__all__ = ["critical_difference_picture", "critical_difference_svg"]

_WIDTH, _LEFT, _RIGHT = 640.0, 160.0, 480.0
_BAR, _AXIS, _ROW, _GAP = 22.0, 52.0, 20.0, 9.0
_INK = {"stroke": "currentColor"}


def critical_difference_svg(found: CriticalDifference) -> str:
    """The diagram as a file of its own."""
    drawn = str(critical_difference_picture(found))
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def critical_difference_picture(found: CriticalDifference) -> Markup:
    """The diagram for a page; the best strategy is on the left."""
    half = (len(found.ranks) + 1) // 2
    top = _AXIS + _GAP * (len(found.alike) + 1)
    height = top + _ROW * half + 8
    parts = [*_scale(found), *_bars(found), *_names(found, half, top)]
    best = ", ".join(f"{name} {rank:.2f}" for name, rank in found.ranks.items())
    words = f"Average ranks: {best}; critical difference {found.difference:.2f}"
    return picture(_WIDTH, height, words, [tag("g", *parts, font_family="sans-serif")])


def _x(rank: float, count: int) -> float:
    return _LEFT + (rank - 1) / (count - 1) * (_RIGHT - _LEFT)


def _line(x1: float, y1: float, x2: float, y2: float, width: str = "1") -> Markup:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke_width=width, **_INK)


def _label(x: float, y: float, content: str, anchor: str) -> Markup:
    return text(x, y, content, text_anchor=anchor, font_size="12", fill="currentColor")


def _scale(found: CriticalDifference) -> Iterator[Markup]:
    count = len(found.ranks)
    yield _line(_LEFT, _AXIS, _RIGHT, _AXIS)
    for rank in range(1, count + 1):
        yield _line(_x(rank, count), _AXIS - 5, _x(rank, count), _AXIS)
        yield _label(_x(rank, count), _AXIS - 9, str(rank), "middle")
    end = min(_x(1 + found.difference, count), _WIDTH - 8)
    yield _line(_LEFT, _BAR, end, _BAR, "2")
    yield _label(end + 6, _BAR + 4, f"critical difference {found.difference:.2f}", "start")


def _bars(found: CriticalDifference) -> Iterator[Markup]:
    count = len(found.ranks)
    for row, names in enumerate(found.alike, 1):
        y = _AXIS + _GAP * row
        ends = (_x(found.ranks[names[k]], count) for k in (0, -1))
        left, right = ends
        yield _line(left - 4, y, right + 4, y, "4")


def _names(found: CriticalDifference, half: int, top: float) -> Iterator[Markup]:
    """The better half from the left side inwards, the others from the right."""
    ranked = list(found.ranks.items())
    for number_, (name, rank) in enumerate(ranked):
        on_left = number_ < half
        row = number_ if on_left else len(ranked) - 1 - number_
        x, y = _x(rank, len(ranked)), top + _ROW * row + 8
        side = _LEFT - 12 if on_left else _RIGHT + 12
        path = f"M{number(x)} {number(_AXIS)}V{number(y)}H{number(side)}"
        yield tag("path", d=path, fill="none", **_INK)
        words = f"{name} {rank:.2f}"
        yield _label(side + (-4 if on_left else 4), y + 4, words, "end" if on_left else "start")
