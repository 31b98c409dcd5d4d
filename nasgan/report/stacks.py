"""How the shares of a decision's options change over time: small stacked areas."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from nasgan.report.palette import COLOURS
from nasgan.report.svg import line_path, picture, tag

__all__ = ["OPTION_COLOURS", "option_colour", "stack_chart"]

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
