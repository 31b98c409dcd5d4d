"""Performance over the course of the runs of a chapter: curves, and the figures made of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from nasgan.leaderboard.bootstrap import summarise
from nasgan.leaderboard.rows import Task
from nasgan.leaderboard.texts import in_unit, shown
from nasgan.report.chapters import Chapter, LabelledRow
from nasgan.report.charts import Band, Line, Reference, line_chart
from nasgan.report.figures import bound_lines, direction, searched_label
from nasgan.report.histories import RunHistory
from nasgan.report.views import (
    UNIT_WORDS,
    Cell,
    Figure,
    Tab,
    Table,
    Value,
    fidelity_words,
    interval_words,
    number_cell,
)

__all__ = [
    "incumbent_curve",
    "lines_figure",
    "mean_curve",
    "search_tabs",
    "training_curve",
    "training_tabs",
]

Curve: TypeAlias = "list[tuple[float, float]]"
"""``(cost, score)`` by ascending cost; the score holds until the next."""

_MOST_PLACES = 120


def incumbent_curve(history: RunHistory, unit: str, *, stage: int | None) -> Curve:
    """The score of the incumbent as the search saw it, against the cost of the search.

    Args:
        history: of one run.
        unit: of the cost, e.g. ``"generator_steps"``.
        stage: the last one of a progressive search: scores of its earlier stages are of smaller
            images and do not compare; None where there are no stages.
    """
    latest: dict[str, float] = {}
    curve: Curve = []
    for scored in history.scored:
        if scored.stage not in (None, stage):
            continue
        if scored.score is not None:
            latest[scored.architecture] = scored.score
        if scored.incumbent in latest:
            curve.append((scored.spent[unit], latest[scored.incumbent]))
    return _by_cost(curve)


def training_curve(
    history: RunHistory, unit: str, metric: str, *, smaller_is_better: bool, before: float = 0.0
) -> Curve:
    """The best score so far of the final trainings of a run's results, against the cost.

    Args:
        history: of one run; random architectures trained for comparison are left out.
        unit: of the cost.
        metric: the score.
        smaller_is_better: its direction.
        before: what the search cost: the curve begins after it.
    """
    curve: Curve = []
    best: float | None = None
    for point in history.checkpoints:
        if history.finalists and point.architecture not in history.finalists:
            continue
        value = point.metrics.get(metric)
        if value is None:
            continue
        better = best is None or (value < best if smaller_is_better else value > best)
        best = value if better else best
        assert best is not None
        curve.append((before + point.spent[unit], best))
    return _by_cost(curve)


def mean_curve(curves: Sequence[Curve], *, most_places: int = _MOST_PLACES) -> list[Band]:
    """The mean over seeds with its 95 % bootstrap interval, on a grid common to all.

    Each curve is a step function. The grid begins where the last of them does (before that, a mean
    would be over some seeds only) and goes on to the end of the longest; a search that ended
    earlier keeps its result.
    """
    curves = [curve for curve in curves if curve]
    if not curves:
        return []
    start = max(curve[0][0] for curve in curves)
    end = max(curve[-1][0] for curve in curves)
    places = sorted({start, end, *(x for curve in curves for x, _ in curve if x >= start)})
    if len(places) > most_places:
        step = (end - start) / (most_places - 1)
        places = [start + k * step for k in range(most_places - 1)] + [end]
    bands = []
    for place in places:
        mean, low, high = _statistics(tuple(sorted(_value_at(curve, place) for curve in curves)))
        bands.append(Band(place, mean, low, high))
    return bands


def _value_at(curve: Curve, place: float) -> float:
    return curve[bisect_right(curve, (place, float("inf"))) - 1][1]


@lru_cache(maxsize=4096)
def _statistics(values: tuple[float, ...]) -> tuple[float, float, float]:
    summary = summarise(values)
    if summary.ci_low is None or summary.ci_high is None:
        return summary.mean, summary.mean, summary.mean
    return summary.mean, summary.ci_low, summary.ci_high


def _by_cost(curve: Curve) -> Curve:
    """One point for each cost: of several the last, which is what was known then."""
    return sorted(dict(curve).items())


_SHARES = (0.25, 0.5, 0.75, 1.0)


def search_tabs(chapter: Chapter) -> list[Tab]:
    """The incumbent's score in the search against each unit of cost.

    One figure for each task, objective and fidelity: scores of different ones do not compare.
    """
    groups: dict[tuple[Task, str, str], list[LabelledRow]] = {}
    for row in chapter.search_rows:
        kinds = {
            (run.record.search_metric, scored.fidelity)
            for run, history in row.with_history
            for scored in history.scored
        }
        for metric, fidelity in sorted(kinds):
            groups.setdefault((Task.of(row.row), metric, fidelity), []).append(row)
    figures = {
        words: [_search_figure(chapter, *key, rows, unit) for key, rows in sorted(groups.items())]
        for unit, words in UNIT_WORDS.items()
    }
    return _tabs(figures)


def training_tabs(chapter: Chapter) -> list[Tab]:
    """The best score so far of the final trainings, against the cost from the very start."""
    figures = {
        UNIT_WORDS[unit]: [_training_figure(chapter, task, unit) for task in chapter.by_task]
        for unit in ("device_seconds", "generator_steps", "images")
    }
    return _tabs(figures)


def _tabs(figures: Mapping[str, Sequence[Figure | None]]) -> list[Tab]:
    tabs = [Tab(words, [figure for figure in found if figure]) for words, found in figures.items()]
    return [tab for tab in tabs if tab.figures]


def _search_figure(
    chapter: Chapter,
    task: Task,
    metric: str,
    fidelity: str,
    rows: Sequence[LabelledRow],
    unit: str,
) -> Figure | None:
    histories = {
        row.short: [
            history.of_fidelity(fidelity)
            for run, history in row.with_history
            if run.record.search_metric == metric
        ]
        for row in rows
    }
    stages = [history.last_stage for found in histories.values() for history in found]
    stage = max((s for s in stages if s is not None), default=None)
    curves = {
        name: [incumbent_curve(history, unit, stage=stage) for history in found]
        for name, found in histories.items()
    }
    how = fidelity_words(fidelity)
    title = chapter.task_titles[task]
    title = f"{title}, {how}" if how else title
    return _figure(chapter, title, metric, unit, rows, curves)


def _training_figure(chapter: Chapter, task: Task, unit: str) -> Figure | None:
    metric = chapter.board.ranked_by
    smaller = direction(chapter, metric) == "min"
    rows = [row for row in chapter.by_task[task] if not row.is_average_random]
    curves = {
        row.short: [
            training_curve(
                history,
                unit,
                metric,
                smaller_is_better=smaller,
                before=run.record.cost["search"][unit],
            )
            for run, history in row.with_history
        ]
        for row in rows
    }
    title, references = chapter.task_titles[task], bound_lines(chapter, metric)
    return _figure(chapter, title, metric, unit, rows, curves, references)


def _figure(
    chapter: Chapter,
    title: str,
    metric: str,
    unit: str,
    rows: Sequence[LabelledRow],
    curves: Mapping[str, Sequence[Curve]],
    references: Sequence[Reference] = (),
) -> Figure | None:
    lines = [
        Line(row.short, chapter.styles[row.series], points)
        for row in rows
        if (points := mean_curve(curves[row.short]))
    ]
    what = searched_label(chapter, metric)
    y_label = searched_label(chapter, metric, arrow=True)
    made = lines_figure(title, what, lines, unit, y_label=y_label, references=references)
    return made if lines else None


def lines_figure(
    title: str,
    what: str,
    lines: Sequence[Line],
    unit: str,
    *,
    y_label: str = "",
    references: Sequence[Reference] = (),
    steps: bool = True,
) -> Figure:
    """Lines against a unit of cost, with their numbers at four places.

    Args:
        title: above it.
        what: the lines are of.
        lines: drawn in order.
        unit: along x.
        y_label: what is measured along y.
        references: horizontal lines for comparison.
        steps: hold each value up to the next place.
    """
    words = UNIT_WORDS[unit]
    named = f"{what} against {words}{'' if what == title else f', {title}'}"
    ends = "; ".join(f"{line.name} ends at {shown(line.points[-1].mean, 4)}" for line in lines)
    drawn = line_chart(
        lines,
        x_label=words,
        y_label=y_label,
        label=f"{named}: {ends}",
        references=references,
        steps=steps,
    )
    return Figure(title, drawn, table=_table(named, lines, unit) if lines else None)


def _table(caption: str, lines: Sequence[Line], unit: str) -> Table:
    """The lines at four places of the longest one's course."""
    end = max(line.points[-1].x for line in lines)
    headers = ["Method", *(in_unit(share * end, unit) for share in _SHARES)]
    rows: list[list[Value]] = [
        [line.name, *(_at(line, share * end) for share in _SHARES)] for line in lines
    ]
    return Table.of(caption, headers, rows, range(1, len(headers)))


def _at(line: Line, place: float) -> Cell:
    passed = [point for point in line.points if point.x <= place * (1 + 1e-9)]
    if not passed:
        return Cell("")
    point = passed[-1]
    band = interval_words(point.low, point.high) if point.low < point.high else ""
    return number_cell(point.mean, 4, band)
