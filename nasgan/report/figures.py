"""The charts of a chapter: scores over seeds, quality against size and cost, proxies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from statistics import fmean
from typing import Any

from markupsafe import Markup

from nasgan.leaderboard.columns import metric_title
from nasgan.leaderboard.rows import metric_names
from nasgan.leaderboard.texts import shown
from nasgan.metrics.table import METRICS, SIZES
from nasgan.pareto import first_front
from nasgan.report.chapters import Chapter, LabelledRow, Run
from nasgan.report.charts import Point, Reference, Strip, scatter_chart, strip_chart
from nasgan.report.svg import Style
from nasgan.report.views import (
    ARROWS,
    Cell,
    Figure,
    Tab,
    Table,
    axis_label,
    direction_of,
    fidelity_words,
    number_cell,
)
from nasgan.runs.proxy import LEAST_CORRELATED

__all__ = [
    "bound_lines",
    "direction",
    "pareto_front",
    "proxy_figures",
    "searched_label",
    "seed_tabs",
    "series_keys",
    "tradeoff_tabs",
]


def direction(chapter: Chapter, metric: str) -> str:
    """``"min"`` or ``"max"``: of the metric, or as the runs say whose objective it is."""
    for run in chapter.runs:
        if run.record.objective["metric"] == metric:
            return direction_of(metric, run.record.objective["direction"])
    return direction_of(metric, "min")


def searched_label(chapter: Chapter, metric: str, *, arrow: bool = False) -> str:
    """What searches score: a metric, a size, or what an evaluator calls its scores itself.

    Args:
        chapter: the runs.
        metric: its name.
        arrow: whether to say where better lies.
    """
    searched = (run.record.search_objective for run in chapter.runs)
    own = {found["metric"]: found["direction"] for found in searched if found is not None}
    if metric in SIZES and metric not in own:
        return SIZES[metric].label + (ARROWS[SIZES[metric].direction] if arrow else "")
    if metric not in own or metric in METRICS:
        return (axis_label if arrow else metric_title)(metric, chapter.protocol)
    return metric + ARROWS[own[metric]] if arrow else metric


def series_keys(chapter: Chapter, draw: Callable[[Style], Markup]) -> list[tuple[Markup, str]]:
    """The looks of a chapter's charts as ``draw`` shows them, and what they stand for."""
    names = {row.series for row in chapter.rows if not row.is_average_random}
    return [(draw(chapter.styles[name]), name) for name in sorted(names)]


# Scores over seeds


def seed_tabs(chapter: Chapter) -> list[Tab]:
    """One tab for each metric, the one behind the ranks first; one figure for each task."""
    names = metric_names(chapter.board.rows, spreads=False)
    names.sort(key=lambda name: name != chapter.board.ranked_by)
    return [
        Tab(axis_label(metric, chapter.protocol), _seed_figures(chapter, metric))
        for metric in names
    ]


def _seed_figures(chapter: Chapter, metric: str) -> list[Figure]:
    sign = 1 if direction(chapter, metric) == "min" else -1
    figures = []
    for task, rows in chapter.by_task.items():
        scored = [row for row in rows if metric in row.row["metrics"]]
        scored.sort(key=lambda row: sign * row.row[f"{metric}_mean"])
        if not scored:
            continue
        title = chapter.task_titles[task]
        strips = [_strip(chapter, row, metric) for row in scored]
        means = "; ".join(f"{strip.label} mean {shown(strip.mean, 4)}" for strip in strips)
        picture = strip_chart(
            strips,
            x_label=axis_label(metric, chapter.protocol),
            label=f"{metric_title(metric, chapter.protocol)} of each seed in {title}: {means}",
            references=bound_lines(chapter, metric),
        )
        figures.append(Figure(title, picture))
    return figures


def bound_lines(chapter: Chapter, metric: str) -> list[Reference]:
    """The score of real test images, if the runs have it."""
    bound = chapter.bound["metrics"].get(metric)
    return [] if bound is None else [Reference(bound, "real test images")]


def _strip(chapter: Chapter, row: LabelledRow, metric: str) -> Strip:
    if row.is_average_random:
        # Each random architecture once, however many runs of a seed trained it.
        tried = {
            (run.summary.seed, random.architecture): random.metrics[metric]
            for run in row.runs
            for random in run.summary.random_architectures
            if metric in random.metrics
        }
        values = [
            (value, f"random architecture {name}, seed {seed}: {shown(value, 4)}")
            for (seed, name), value in tried.items()
        ]
    else:
        values = [
            (run.metrics[metric], f"{row.label}, seed {run.seed}: {shown(run.metrics[metric], 4)}")
            for run in (*(run.summary for run in row.runs), *row.simulated)
            if run.metrics and metric in run.metrics
        ]
    statistics = (row.row[f"{metric}_{name}"] for name in ("mean", "ci_low", "ci_high"))
    return Strip(row.short, chapter.styles[row.series], values, *statistics)


# Quality against size and cost

_SIZES: Mapping[str, tuple[str, Callable[[Run], float | None]]] = {
    "Parameters of the generator": (
        "parameters",
        lambda run: run.summary.generator_parameters,
    ),
    "Multiply-adds of the generator": ("multiply-adds per image", lambda run: run.summary.macs),
    "Cost from end to end": (
        "device seconds, search and final training",
        lambda run: run.device_seconds,
    ),
}


def tradeoff_tabs(chapter: Chapter) -> list[Tab]:
    """The score behind the ranks against size and cost: a figure for each task, a point a run.

    Of one task all figures are in one tab.
    """
    metric, tabs = chapter.board.ranked_by, []
    for title, (x_label, size) in _SIZES.items():
        figures = []
        for task, rows in chapter.by_task.items():
            found = [
                (x, (run.summary.metrics or {})[metric], run)
                for row in rows
                for run in row.runs
                if not row.is_average_random and metric in (run.summary.metrics or {})
                if (x := size(run)) is not None
            ]
            if found:
                place = chapter.task_titles[task]
                figures.append(_tradeoff(chapter, title, place, x_label, found))
        if figures:
            tabs.append(Tab(title, figures))
    if len(chapter.by_task) > 1:
        return tabs
    alone = [replace(figure, title=tab.title) for tab in tabs for figure in tab.figures]
    return [Tab("", alone)] if alone else []


def _tradeoff(
    chapter: Chapter,
    title: str,
    task: str,
    x_label: str,
    found: Sequence[tuple[float, float, Run]],
) -> Figure:
    metric = chapter.board.ranked_by
    name = metric_title(metric, chapter.protocol)
    smaller = direction(chapter, metric) == "min"
    front = pareto_front([(x, score) for x, score, _ in found], smaller_is_better=smaller)
    points = [
        Point(
            x,
            score,
            chapter.styles[run.series],
            f"{run.name}: {name} {shown(score, 4)}, {shown(x)} ({x_label})",
        )
        for x, score, run in found
    ]
    best = [run.name for x, score, run in found if (x, score) in front][:8]
    rows = [
        (
            run.name,
            number_cell(x),
            number_cell(score, 4),
            "yes" if (x, score) in front else "",
        )
        for x, score, run in sorted(found, key=itemgetter(0))
    ]
    return Figure(
        task,
        scatter_chart(
            points,
            x_label=x_label,
            y_label=axis_label(metric, chapter.protocol),
            label=f"{name} against {x_label} in {task}, {len(points)} runs; on the Pareto front: "
            + "; ".join(best),
            front=front,
        ),
        table=Table.of(
            f"{title}, {task}: the numbers", ("Run", x_label, name, "On the front"), rows, {1, 2}
        ),
    )


def pareto_front(
    points: Iterable[tuple[float, float]], *, smaller_is_better: bool
) -> list[tuple[float, float]]:
    """The points ``(cost, score)`` that no other beats in both, by ascending cost.

    Args:
        points: the less of the first, the better; the second as the next argument says.
        smaller_is_better: the direction of the second.
    """
    sign = -1.0 if smaller_is_better else 1.0
    distinct = sorted(set(points))
    return [distinct[i] for i in first_front([(-cost, sign * score) for cost, score in distinct])]


_COEFFICIENTS = {"spearman": "Spearman", "kendall": "Kendall"}


def proxy_figures(chapter: Chapter) -> list[Figure]:
    """The score in the search against the score after retraining, for rows that have both."""
    figures = []
    for row in chapter.search_rows:
        found = [
            (run, run.record.proxy_correlation)
            for run in row.runs
            if run.record.proxy_correlation is not None
        ]
        if found:
            figures.append(_proxy_figure(chapter, row, found))
    return figures


def _proxy_figure(
    chapter: Chapter,
    row: LabelledRow,
    found: Sequence[tuple[Run, Mapping[str, Any]]],
) -> Figure:
    first = found[0][1]
    name = metric_title(first["metric"], chapter.protocol)
    searched = first.get("search_metric", name)
    points = [
        Point(
            point["search"],
            point["final"],
            chapter.styles[row.series],
            f"{point['architecture']}, seed {run.summary.seed}: "
            f"{shown(point['search'], 4)} in the search, {shown(point['final'], 4)} retrained",
        )
        for run, proxy in found
        for point in proxy["points"]
    ]
    words = _in_words([proxy for _, proxy in found])
    how = fidelity_words(first["fidelity"])
    return Figure(
        row.label,
        scatter_chart(
            points,
            x_label=f"{searched} in the search, {how}" if how else f"{searched} in the search",
            y_label=f"{name}, retrained",
            label=f"{searched} in the search against {name} after retraining, {row.label}: {words}",
        ),
        note=words,
        table=Table.of(
            f"Rank correlation of {row.label}",
            ("Run", *_COEFFICIENTS.values(), "Architectures"),
            [
                [
                    Cell(f"seed {run.summary.seed}", run.summary.seed),
                    *(
                        Cell("" if (v := proxy[key]) is None else _signed(v), v)
                        for key in _COEFFICIENTS
                    ),
                    proxy["n"],
                ]
                for run, proxy in found
            ],
            {1, 2, 3},
        ),
    )


def _in_words(proxies: Sequence[Mapping[str, Any]]) -> str:
    """The mean of each coefficient over the seeds that have one."""
    known = [proxy for proxy in proxies if any(proxy[key] is not None for key in _COEFFICIENTS)]
    if not known:
        most = max(proxy["n"] for proxy in proxies)
        if most < LEAST_CORRELATED:
            return f"too few for a rank correlation: {_sizes(proxies)}"
        return f"no rank correlation, as all scores of a side are equal; {_sizes(proxies)}"
    parts = []
    for key, name in _COEFFICIENTS.items():
        values = [proxy[key] for proxy in known if proxy[key] is not None]
        parts.append(f"{name} {_signed(fmean(values))}" if values else f"{name} unknown")
    over = f"; mean over {len(known)} seeds of" if len(known) > 1 else ";"
    words = f"{', '.join(parts)}{over} {_sizes(known)}"
    without = len(proxies) - len(known)
    others = f"{without} other seed{'s' if without > 1 else ''}"
    return f"{words}; none for {others}" if without else words


def _sizes(proxies: Sequence[Mapping[str, Any]]) -> str:
    sizes = sorted({proxy["n"] for proxy in proxies})
    number = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return f"{number} architectures{' each' if len(proxies) > 1 else ''}"


def _signed(value: float) -> str:
    return f"{value:.3f}".replace("-", "\u2212")
