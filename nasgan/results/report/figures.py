"""The charts of a chapter: scores over seeds, quality against size and cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nasgan.results.report.charts import Point, Reference, scatter_chart
from nasgan.results.report.collect import Chapter, LabelledRow, Run
from nasgan.results.report.labels import axis_label, direction_of, is_spread, metric_label
from nasgan.results.report.palette import (
    NEUTRAL,
    SHAPES,
    Style,
    key_line,
    key_shape,
    styles_of,
)
from nasgan.results.report.pareto import pareto_front
from nasgan.results.report.scales import shown
from nasgan.results.report.strips import Strip, strip_chart
from nasgan.results.report.views import Cell, Figure, Key, Tab, Table
from nasgan.results.rows import AVERAGE_RANDOM
from nasgan.results.tables import metric_names

__all__ = [
    "bounds",
    "direction",
    "line_keys",
    "seed_tabs",
    "series_styles",
    "tradeoff_figures",
    "tradeoff_keys",
]


def series_styles(chapters: Sequence[Chapter]) -> dict[str, Style]:
    """A style for each strategy and each trained architecture, the same throughout a page."""
    names = {row.series for chapter in chapters for row in chapter.rows}
    return {**styles_of(names - {AVERAGE_RANDOM}), AVERAGE_RANDOM: NEUTRAL}


def direction(chapter: Chapter, metric: str) -> str:
    """``"min"`` or ``"max"``: of the metric, or as the runs say whose objective it is."""
    for run in chapter.runs:
        if run.record.objective["metric"] == metric:
            return direction_of(metric, run.record.objective["direction"])
    return direction_of(metric, "min")


def bounds(chapter: Chapter) -> Mapping[str, float]:
    """The scores of real test images by metric; empty if no run has them."""
    return next((run.record.bound["metrics"] for run in chapter.runs if run.record.bound), {})


def line_keys(chapter: Chapter, styles: Mapping[str, Style]) -> list[Key]:
    """What the lines of a chapter's charts stand for."""
    names = {row.series for row in chapter.rows if not row.is_average_random}
    return [Key(key_line(styles[name]), name) for name in sorted(names)]


# Scores over seeds


def seed_tabs(chapter: Chapter, styles: Mapping[str, Style]) -> list[Tab]:
    """One tab for each metric, the one behind the ranks first; one figure for each space."""
    names = [name for name in metric_names(chapter.board.rows) if not is_spread(name)]
    names.sort(key=lambda name: name != chapter.board.ranked_by)
    return [
        Tab(axis_label(metric, chapter.protocol), _seed_figures(chapter, metric, styles))
        for metric in names
    ]


def _seed_figures(chapter: Chapter, metric: str, styles: Mapping[str, Style]) -> list[Figure]:
    bound = bounds(chapter).get(metric)
    references = [] if bound is None else [Reference(bound, "real test images")]
    sign = 1 if direction(chapter, metric) == "min" else -1
    by_space = {
        space: sorted(
            (row for row in chapter.rows if row.space == space and metric in row.row.metrics),
            key=lambda row: sign * row.row.metrics[metric].mean,
        )
        for space in chapter.spaces
    }
    strips = {
        space: [_strip(row, metric, styles) for row in rows] for space, rows in by_space.items()
    }
    among = [value for found in strips.values() for s in found for value, _ in s.values]
    name = metric_label(metric, chapter.protocol)
    return [
        Figure(
            space,
            strip_chart(
                found,
                x_label=axis_label(metric, chapter.protocol),
                label=f"{name} of each seed in {space}: " + _means_in_words(found),
                references=references,
                among=among,
            ),
        )
        for space, found in strips.items()
        if found
    ]


def _strip(row: LabelledRow, metric: str, styles: Mapping[str, Style]) -> Strip:
    summary = row.row.metrics[metric]
    if row.is_average_random:
        values = _random_values(row, metric)
    else:
        values = [
            (run.summary.metrics[metric], f"{run.name}: {shown(run.summary.metrics[metric], 4)}")
            for run in row.runs
            if run.summary.metrics and metric in run.summary.metrics
        ]
    return Strip(
        row.label.replace(f" · {row.space}", ""),
        styles[row.series],
        values,
        summary.mean,
        summary.ci_low,
        summary.ci_high,
    )


def _random_values(row: LabelledRow, metric: str) -> list[tuple[float, str]]:
    """Each random architecture once, however many runs of a seed trained it."""
    tried = {
        (run.summary.seed, random.architecture): random.metrics[metric]
        for run in row.runs
        for random in run.summary.random_architectures
        if metric in random.metrics
    }
    return [
        (value, f"random architecture {name}, seed {seed}: {shown(value, 4)}")
        for (seed, name), value in tried.items()
    ]


def _means_in_words(strips: Sequence[Strip]) -> str:
    return "; ".join(f"{strip.label} mean {shown(strip.mean, 4)}" for strip in strips)


# Quality against size and cost

_Size = Callable[[Run], "float | None"]


def _total_seconds(run: Run) -> float:
    return sum(phase["device_seconds"] for phase in run.record.cost.values())


_SIZES: dict[str, tuple[str, _Size]] = {
    "Parameters of the generator": (
        "parameters",
        lambda run: run.summary.generator_parameters,
    ),
    "Multiply-adds of the generator": ("multiply-adds per image", lambda run: run.summary.macs),
    "Cost from end to end": ("device seconds, search and final training", _total_seconds),
}


def tradeoff_figures(chapter: Chapter, styles: Mapping[str, Style]) -> list[Figure]:
    """The score behind the ranks against size and cost, a point for each run."""
    metric = chapter.board.ranked_by
    scored = [run for run in chapter.runs if run.summary.metrics and metric in run.summary.metrics]
    figures = []
    for title, (x_label, size) in _SIZES.items():
        found = [(x, run) for run in scored if (x := size(run)) is not None]
        if found:
            figures.append(_tradeoff(chapter, title, x_label, found, styles))
    return figures


def tradeoff_keys(chapter: Chapter, styles: Mapping[str, Style]) -> list[Key]:
    """Colours are methods, shapes are spaces."""
    names = sorted({row.series for row in chapter.rows if not row.is_average_random})
    keys = [Key(key_shape(Style(styles[name].colour)), name) for name in names]
    if len(chapter.spaces) > 1:
        keys += [
            Key(key_shape(Style("cn", shape=_shape(chapter, space))), space)
            for space in chapter.spaces
        ]
    return keys


def _shape(chapter: Chapter, space: str) -> str:
    return SHAPES[chapter.spaces.index(space) % len(SHAPES)]


def _tradeoff(
    chapter: Chapter,
    title: str,
    x_label: str,
    found: Sequence[tuple[float, Run]],
    styles: Mapping[str, Style],
) -> Figure:
    metric = chapter.board.ranked_by
    name = metric_label(metric, chapter.protocol)
    scores = {run.summary.run_id: (run.summary.metrics or {})[metric] for _, run in found}
    smaller = direction(chapter, metric) == "min"
    front = pareto_front(
        [(x, scores[run.summary.run_id]) for x, run in found], smaller_is_better=smaller
    )
    points = [
        Point(
            x,
            scores[run.summary.run_id],
            Style(styles[run.series].colour, shape=_shape(chapter, run.space)),
            f"{run.name}: {name} {shown(scores[run.summary.run_id], 4)}, {shown(x)} ({x_label})",
        )
        for x, run in found
    ]
    on_front = [run for x, run in found if (x, scores[run.summary.run_id]) in front]
    rows = [
        [
            Cell(run.name),
            Cell(shown(x), x),
            Cell(shown(scores[run.summary.run_id], 4), scores[run.summary.run_id]),
            Cell("yes" if run in on_front else ""),
        ]
        for x, run in sorted(found, key=lambda item: item[0])
    ]
    return Figure(
        title,
        scatter_chart(
            points,
            x_label=x_label,
            y_label=axis_label(metric, chapter.protocol),
            label=f"{name} against {x_label}, {len(points)} runs; on the Pareto front: "
            + "; ".join(run.name for run in on_front[:8]),
            front=front,
        ),
        table=Table(
            f"{title}: the numbers", ("Run", x_label, name, "On the front"), rows, frozenset({1, 2})
        ),
    )
