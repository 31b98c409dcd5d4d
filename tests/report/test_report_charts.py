from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from nasgan.report.charts import (
    Band,
    Line,
    Point,
    Reference,
    Strip,
    line_chart,
    near,
    scatter_chart,
    strip_chart,
)
from nasgan.report.figures import pareto_front
from nasgan.report.options import stack_chart
from nasgan.report.svg import COLOURS, SHAPES, Style, line_path, mark, number, styles_of, tag

HOSTILE = "</svg><script>alert('x')</script>\"&"
STYLE = Style("c0")


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("text")]


def by_class(svg: str, name: str) -> list[ET.Element]:
    root = ET.fromstring(svg)
    return [e for e in root.iter() if name in e.get("class", "").split()]


def corners(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def test_all_that_goes_into_an_element_is_escaped() -> None:
    made = tag("text", HOSTILE, aria_label=HOSTILE, class_="a")
    element = ET.fromstring(made)
    assert element.text == HOSTILE
    assert element.get("aria-label") == HOSTILE
    assert "<script" not in made


def test_elements_nest_and_absent_attributes_are_left_out() -> None:
    made = tag("g", tag("path", d="M0 0"), tag("b"), stroke=None, x=1.04, y=-0.01)
    assert made == '<g x="1" y="0"><path d="M0 0"/><b/></g>'


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (2.25, "2.2"), (-0.02, "0"), (-1.5, "-1.5")])
def test_coordinates_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_styles_differ_and_do_not_depend_on_the_order_of_names() -> None:
    names = [f"s{k}" for k in range(2 * COLOURS)]
    styles = styles_of(names)
    assert styles == styles_of(reversed(names))
    assert len(set(styles.values())) == len(names)
    assert len({(s.dash, s.shape) for s in list(styles.values())[:COLOURS]}) > 3, "not colour alone"


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_lies_around_its_place(shape: str) -> None:
    element = ET.fromstring(mark(50, 80, Style("c0", shape=shape), tip="what"))
    assert element.find("title") is not None
    if element.get("d"):
        points = corners(element.get("d", ""))
        middle = [sum(axis) / len(axis) for axis in zip(*points, strict=True)]
        assert middle == pytest.approx([50, 80], abs=1.0)


def test_an_incumbents_line_is_a_staircase_over_its_axis() -> None:
    points = [Band(10, 8, 7, 9), Band(20, 8, 8, 8), Band(30, 4, 3, 5)]
    svg = line_chart([Line("a", STYLE, points)], x_label="cost", y_label="FID", label="in words")
    (line,) = by_class(svg, "line")
    (x0, y0), (x1, y1), (x2, y2) = corners(line.get("d", ""))
    assert x0 < x1 == x2
    assert y0 == y1 < y2, "a smaller score is lower"
    zero = [c for c in texts(svg) if c == "0"]
    assert zero, "cost begins at 0"
    band = corners(by_class(svg, "band")[0].get("d", ""))
    assert min(y for _, y in band) < y0 < max(y for _, y in band)
    assert ET.fromstring(svg).get("aria-label") == "in words"


def test_a_line_of_one_seed_has_no_band() -> None:
    line = Line("a", STYLE, [Band(1, 2, 2, 2), Band(2, 1, 1, 1)])
    svg = line_chart([line], x_label="x", y_label="y", label="w")
    assert [element.get("d") for element in by_class(svg, "band")] == [""]


def test_a_single_point_can_be_seen() -> None:
    svg = line_chart([Line("a", STYLE, [Band(5, 1, 1, 1)])], x_label="x", y_label="y", label="w")
    assert len(by_class(svg, "mark")) == 1


def test_numbers_along_an_axis_do_not_touch() -> None:
    points = [Point(1e5 * k, k, STYLE, "") for k in range(1, 12)]
    svg = scatter_chart(points, x_label="x", y_label="y", label="w")
    ticks = [e for e in by_class(svg, "tick") if e.get("text-anchor") == "middle"]
    ends = [
        (float(e.get("x", 0)) - 3 * len(e.text or ""), float(e.get("x", 0)) + 3 * len(e.text or ""))
        for e in ticks
    ]
    assert len(ends) >= 3
    assert all(right < left for (_, right), (left, _) in pairwise(ends))


def test_points_lie_inside_the_picture() -> None:
    points = [Point(3, -7, STYLE, HOSTILE), Point(1000, 55, STYLE, "b")]
    svg = scatter_chart(points, x_label=HOSTILE, y_label="y", label=HOSTILE, front=[(3, -7)])
    root = ET.fromstring(svg)
    _, _, width, height = map(float, root.get("viewBox", "").split())
    circles = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in root.iter("circle")]
    assert len(circles) == 2
    assert all(0 < x < width and 0 < y < height for x, y in circles)
    assert "<script" not in svg


def test_references_far_away_are_left_out() -> None:
    close, far = Reference(2.0, "close"), Reference(0.01, "far")
    assert near([close, far], [3.0, 5.0]) == [close]
    assert near([close], []) == []


@pytest.mark.parametrize(
    ("smaller", "expected"),
    [(True, [(1, 9), (2, 5), (4, 1)]), (False, [(1, 9), (5, 10)])],
)
def test_the_front_holds_what_nothing_beats(smaller: bool, expected: list[tuple[int, int]]) -> None:
    points = [(2, 5), (1, 9), (3, 6), (4, 1), (5, 10), (2, 7), (4, 1)]
    front = pareto_front(points, smaller_is_better=smaller)
    assert front == expected
    better = (lambda a, b: a <= b) if smaller else (lambda a, b: a >= b)
    for point in front:  # by the definition, from each point's side
        assert not any(o[0] <= point[0] and better(o[1], point[1]) and o != point for o in points)


def test_a_strip_shows_every_seed_the_mean_and_the_interval() -> None:
    strips = [
        Strip("a" * 60, STYLE, [(1, "one"), (3, "two")], 2, 1.2, 2.8),
        Strip(HOSTILE, STYLE, [(5, HOSTILE)], 5, None, None),
    ]
    svg = strip_chart(strips, x_label="FID", label="w", references=[Reference(0.5, "real")])
    assert len(by_class(svg, "mark")) == 3
    assert len(by_class(svg, "interval")) == 1
    assert HOSTILE in texts(svg)
    assert any(text.endswith("…") for text in texts(svg)), "a long name is cut"
    assert "real" in texts(svg)


def test_areas_are_stacked_to_the_top() -> None:
    svg = stack_chart(
        [0.0, 0.5], [[0.25, 0.75], [1.0, 0.0]], ["o0", "o1"], label="w", tips=["a", "b"]
    )
    upper, lower = (corners(e.get("d", "")) for e in by_class(svg, "area"))
    assert {y for _, y in upper[:3]} == {0}, "shares add up to 1"
    assert [y for _, y in lower[:3]] == [48, 0, 0]
    assert lower[2][0] == 150, "the last share is held to the end"


def test_paths_join_their_points() -> None:
    assert line_path([(0, 0), (1.5, 2)]) == "M0 0L1.5 2"
    assert line_path([]) == ""
