"""Simulated searches of a chapter held against each other: what they find, when, and how surely."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nasgan.leaderboard.amounts import in_unit, shown
from nasgan.leaderboard.bootstrap import Summary
from nasgan.leaderboard.columns import metric_title
from nasgan.leaderboard.searches import (
    Moment,
    SearchLine,
    critical_difference,
    over_time,
    summary_of,
)
from nasgan.report.chapters import Chapter, SimulatedTask
from nasgan.report.charts import Band, Line, Reference, line_chart
from nasgan.report.curves import curve_table, mean_curve
from nasgan.report.diagrams import critical_difference_picture
from nasgan.report.labels import UNIT_WORDS, axis_label
from nasgan.report.simulated import budget_unit, sentence
from nasgan.report.svg import Style
from nasgan.report.views import Cell, Figure, Table, Value, interval_words, number_cell

__all__ = ["simulated_views"]

_PLACES = 40


def simulated_views(chapter: Chapter, styles: Mapping[str, Style]) -> list[dict[str, Any]]:
    """What ``chapter.html.j2`` shows of each task with simulated searches."""
    return [_view(chapter, found, styles) for found in chapter.simulated]


def _view(chapter: Chapter, found: SimulatedTask, styles: Mapping[str, Style]) -> dict[str, Any]:
    title = chapter.task_titles[found.task]
    metric, unit = found.made["metric"], budget_unit(found.made["budget"])
    limit = found.made["budget"][unit]
    styled = {row.short: styles[row.series] for row in chapter.by_task[found.task]}
    moments = over_time(found.searches, metric, found.baseline, unit, limit)
    test = critical_difference(found.searches, metric)
    words = sentence(test)
    figures = [_regret(chapter, found, styled, unit), *_courses(found, moments, styled, unit)]
    if test is not None:
        figures.append(Figure("Average ranks at the end", critical_difference_picture(test)))
    return {
        "title": title if len(chapter.by_task) > 1 else "",
        "facts": _facts(chapter, found, unit),
        "words": f"{words[:1].upper()}{words[1:]}.",
        "table": _summary(chapter, found),
        "figures": figures,
    }


def _facts(chapter: Chapter, found: SimulatedTask, unit: str) -> str:
    made = found.made
    build = made["environment"].get("nasgan") or {}
    seeds = {search["seed"] for search in found.searches}
    return (
        f"{len(found.searches)} searches on the {made['scores']} table {made['table']} (checksum "
        f"{made['checksum'][:12]}) with {len(seeds)} seeds, each with a budget of "
        f"{in_unit(made['budget'][unit], unit)}"
        f"{'' if unit == 'device_seconds' else f' {UNIT_WORDS[unit]}'}; the best known "
        f"{metric_title(made['metric'], chapter.protocol)} is {shown(made['best_known'], 4)}. "
        f"Simulated by nasgan {build.get('version', 'unknown')}, {made['ended'][:10]}."
    )


def _summary(chapter: Chapter, found: SimulatedTask) -> Table:
    metric, baseline = found.made["metric"], found.baseline
    lines = summary_of(found.searches, metric, baseline)
    headers = (
        "Strategy",
        f"Found, {axis_label(metric, chapter.protocol)}",
        "Regret ↓",
        f"Gain over {baseline}",
        f"Better than {baseline}",
        "Mean rank",
        "Generator steps",
        "Without result",
    )
    return Table.of(
        f"Simulated searches: what they find, held against {baseline}",
        headers,
        [_cells(found, line) for line in lines],
        range(1, len(headers)),
    )


def _cells(found: SimulatedTask, line: SearchLine) -> list[Value]:
    regret = None if line.judged is None else found.regret(line.judged.mean)
    return [
        line.strategy,
        _statistic(line.judged),
        number_cell(regret),
        _statistic(line.gain),
        _statistic(line.better),
        _statistic(line.rank),
        number_cell(line.generator_steps),
        line.without_result,
    ]


def _statistic(summary: Summary | None) -> Cell:
    if summary is None:
        return Cell("")
    return number_cell(summary.mean, 4, interval_words(summary.ci_low, summary.ci_high))


def _regret(
    chapter: Chapter, found: SimulatedTask, styles: Mapping[str, Style], unit: str
) -> Figure:
    curves: dict[str, list[list[tuple[float, float]]]] = {}
    for search in found.searches:
        curves.setdefault(search["strategy"], []).append([*_curve(found, search, unit)])
    lines = [
        Line(name, styles[name], points)
        for name, own in curves.items()
        if (points := mean_curve(own, most_places=_PLACES))
    ]
    title = f"Regret of {axis_label(found.made['metric'], chapter.protocol)}"
    return _lines_figure(title, lines, unit, steps=True)


def _curve(
    found: SimulatedTask, search: Mapping[str, Any], unit: str
) -> Iterator[tuple[float, float]]:
    """Cost and regret of what was known, to the end of the search."""
    regret = None
    for each in search["incumbents"]:
        if each["judged"] is not None:
            regret = found.regret(each["judged"])
            yield each["spent"][unit], regret
    if regret is not None:
        yield search["spent"][unit], regret


def _courses(
    found: SimulatedTask, moments: Sequence[Moment], styles: Mapping[str, Style], unit: str
) -> Iterator[Figure]:
    ranks = _course(moments, styles, lambda line: line.rank)
    yield _lines_figure("Mean rank ↓", ranks, unit)
    better = _course(moments, styles, lambda line: line.better)
    if better:
        title = f"Probability of finding a better one than {found.baseline} ↑"
        yield _lines_figure(title, better, unit, references=[Reference(0.5, "chance")])


def _course(
    moments: Sequence[Moment],
    styles: Mapping[str, Style],
    statistic: Callable[[SearchLine], Summary | None],
) -> list[Line]:
    points: dict[str, list[Band]] = {}
    for moment in moments:
        for line in moment.lines:
            found = statistic(line)
            if found is not None:
                ends = (found.mean if end is None else end for end in (found.ci_low, found.ci_high))
                points.setdefault(line.strategy, []).append(Band(moment.spent, found.mean, *ends))
    return [Line(name, styles[name], bands) for name, bands in sorted(points.items())]


def _lines_figure(
    title: str,
    lines: Sequence[Line],
    unit: str,
    *,
    references: Sequence[Reference] = (),
    steps: bool = False,
) -> Figure:
    words = UNIT_WORDS[unit]
    ends = "; ".join(f"{line.name} ends at {shown(line.points[-1].mean, 4)}" for line in lines)
    drawn = line_chart(
        lines,
        x_label=words,
        y_label="",
        label=f"{title} against {words}: {ends}",
        references=references,
        steps=steps,
    )
    table = curve_table(f"{title} against {words}", lines, unit) if lines else None
    return Figure(title, drawn, table=table)
