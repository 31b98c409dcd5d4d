"""Performance over the course of the runs of a chapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasgan.leaderboard.rows import Task
from nasgan.report.anytime import Curve, incumbent_curve, mean_curve, training_curve
from nasgan.report.charts import Line, Reference, line_chart
from nasgan.report.collect import Chapter, LabelledRow
from nasgan.report.figures import bounds, direction, searched_label
from nasgan.report.histories import RunHistory
from nasgan.report.labels import (
    UNIT_WORDS,
    fidelity_words,
    in_unit,
)
from nasgan.report.palette import Style
from nasgan.report.scales import shown
from nasgan.report.views import Cell, Figure, Tab, Table

__all__ = ["search_tabs", "training_tabs"]

_SHARES = (0.25, 0.5, 0.75, 1.0)


def search_tabs(chapter: Chapter, styles: Mapping[str, Style]) -> list[Tab]:
    """The incumbent's score in the search against each unit of cost.

    One figure for each task, objective and fidelity: scores of different ones do not compare.
    """
    groups: dict[tuple[Task, str, str], list[LabelledRow]] = {}
    for row in chapter.search_rows:
        kinds = {
            (run.record.search_metric, scored.fidelity)
            for run in row.runs
            if run.history is not None
            for scored in run.history.scored
        }
        for metric, fidelity in sorted(kinds):
            groups.setdefault((Task.of(row.row), metric, fidelity), []).append(row)
    tabs = []
    for unit, words in UNIT_WORDS.items():
        figures = [
            _search_figure(chapter, *key, rows, unit, styles)
            for key, rows in sorted(groups.items())
        ]
        tabs.append(Tab(words, [figure for figure in figures if figure is not None]))
    return [tab for tab in tabs if tab.figures]


def training_tabs(chapter: Chapter, styles: Mapping[str, Style]) -> list[Tab]:
    """The best score so far of the final trainings, against the cost from the very start."""
    tabs = []
    for unit in ("device_seconds", "generator_steps", "images"):
        figures = [
            figure
            for task in chapter.by_task
            if (figure := _training_figure(chapter, task, unit, styles)) is not None
        ]
        if figures:
            tabs.append(Tab(UNIT_WORDS[unit], figures))
    return tabs


def _search_figure(
    chapter: Chapter,
    task: Task,
    metric: str,
    fidelity: str,
    rows: Sequence[LabelledRow],
    unit: str,
    styles: Mapping[str, Style],
) -> Figure | None:
    histories = {
        row.short: [
            _of_fidelity(run.history, fidelity)
            for run in row.runs
            if run.history is not None and run.record.search_metric == metric
        ]
        for row in rows
    }
    stages = [h.last_stage for found in histories.values() for h in found]
    stage = max((s for s in stages if s is not None), default=None)
    curves = {
        row.short: [incumbent_curve(h, unit, stage=stage) for h in histories[row.short]]
        for row in rows
    }
    how = fidelity_words(fidelity)
    title = chapter.task_titles[task]
    title = f"{title}, {how}" if how else title
    return _figure(chapter, title, metric, unit, rows, curves, styles, references=())


def _training_figure(
    chapter: Chapter, task: Task, unit: str, styles: Mapping[str, Style]
) -> Figure | None:
    metric = chapter.board.ranked_by
    smaller = direction(chapter, metric) == "min"
    rows = [row for row in chapter.by_task[task] if not row.is_average_random]
    curves = {
        row.short: [
            training_curve(
                run.history,
                unit,
                metric,
                smaller_is_better=smaller,
                before=run.record.cost["search"][unit],
            )
            for run in row.runs
            if run.history is not None
        ]
        for row in rows
    }
    bound = bounds(chapter).get(metric)
    references = [] if bound is None else [Reference(bound, "real test images")]
    title = chapter.task_titles[task]
    return _figure(chapter, title, metric, unit, rows, curves, styles, references=references)


def _figure(
    chapter: Chapter,
    title: str,
    metric: str,
    unit: str,
    rows: Sequence[LabelledRow],
    curves: Mapping[str, Sequence[Curve]],
    styles: Mapping[str, Style],
    *,
    references: Sequence[Reference],
) -> Figure | None:
    lines = [
        Line(row.short, styles[row.series], points)
        for row in rows
        if (points := mean_curve(curves[row.short]))
    ]
    if not lines:
        return None
    words = UNIT_WORDS[unit]
    name = searched_label(chapter, metric)
    ends = "; ".join(f"{line.name} ends at {shown(line.points[-1].mean, 4)}" for line in lines)
    return Figure(
        title,
        line_chart(
            lines,
            x_label=words,
            y_label=searched_label(chapter, metric, arrow=True),
            label=f"{name} against {words}, {title}: {ends}",
            references=references,
        ),
        table=_curve_table(f"{name} against {words}, {title}", lines, unit),
    )


def _curve_table(caption: str, lines: Sequence[Line], unit: str) -> Table:
    """The lines at four places of the longest one's course."""
    end = max(line.points[-1].x for line in lines)
    headers = ["Method", *(in_unit(share * end, unit) for share in _SHARES)]
    rows = [[Cell(line.name), *(_at(line, share * end) for share in _SHARES)] for line in lines]
    return Table(caption, headers, rows, frozenset(range(1, len(headers))))


def _at(line: Line, place: float) -> Cell:
    passed = [point for point in line.points if point.x <= place * (1 + 1e-9)]
    if not passed:
        return Cell("")
    point = passed[-1]
    spread = f"{shown(point.low)} to {shown(point.high)}" if point.low < point.high else ""
    return Cell(shown(point.mean, 4), point.mean, spread)


def _of_fidelity(history: RunHistory, fidelity: str) -> RunHistory:
    scored = tuple(item for item in history.scored if item.fidelity == fidelity)
    return RunHistory(scored, history.checkpoints, history.finalists, (), 0)
