"""What simulated searches say together: Markdown, CSV and a diagram as files, and on the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from nasgan import atomic
from nasgan.leaderboard.bootstrap import Summary
from nasgan.leaderboard.columns import metric_title
from nasgan.leaderboard.searches import (
    CriticalDifference,
    Moment,
    SearchLine,
    critical_difference,
    over_time,
    summary_of,
)
from nasgan.leaderboard.summaries import grouped
from nasgan.leaderboard.texts import (
    csv_line,
    escape_markdown,
    in_unit,
    interval_text,
    markdown_lines,
    short_number,
    shown,
)
from nasgan.report.chapters import Chapter, SimulatedTask
from nasgan.report.charts import Band, Line, Reference
from nasgan.report.curves import lines_figure, mean_curve
from nasgan.report.svg import Style, number, picture, tag, text
from nasgan.report.views import (
    UNIT_WORDS,
    Cell,
    Figure,
    Table,
    Value,
    axis_label,
    interval_words,
    number_cell,
)
from nasgan.runs.simulations import SimulationFile

__all__ = [
    "budget_unit",
    "cells_of",
    "critical_difference_svg",
    "heads_of",
    "sentence",
    "simulated_views",
    "write_summary",
]

DIAGRAM_FILE = "critical_difference.svg"
_UNITS = ("generator_steps", "images", "device_seconds", "architectures")
_MEANS = ("judged", "gain", "better", "rank")


def write_summary(
    records: Sequence[Mapping[str, Any]], file: SimulationFile
) -> CriticalDifference | None:
    """Write ``summary.md``, ``summary.csv`` and ``critical_difference.svg`` beside the records.

    Args:
        records: lines of ``simulations.jsonl``.
        file: theirs, beside which the summary stands.

    Returns:
        The test of average ranks; None with fewer than two strategies or seeds.

    Raises:
        StorageError: a file could not be written.
    """
    made, out = file.made, file.path.parent
    unit = budget_unit(made["budget"])
    moments = over_time(records, made["metric"], made["baseline"], unit, made["budget"][unit])
    found = critical_difference(records, made["metric"])
    files = {
        out / "summary.md": "\n".join(_markdown(moments, found, file, unit)),
        out / "summary.csv": "".join(_csv(moments, file, unit)),
    }
    if found is not None:
        files[out / DIAGRAM_FILE] = critical_difference_svg(found)
    atomic.write_files(files)
    return found


def budget_unit(budget: Mapping[str, float | None]) -> str:
    """The unit in which a budget is told: the first that it limits."""
    return next(unit for unit in _UNITS if budget.get(unit) is not None)


def heads_of(metric: str, baseline: str) -> tuple[str, ...]:
    """The header of `cells_of`."""
    return (
        "strategy",
        "searches",
        f"{metric} found, judged (95 %)",
        "regret",
        f"gain over {baseline} (95 %)",
        f"better than {baseline} (95 %)",
        "mean rank (95 %)",
        "generator steps",
        "without result",
    )


def cells_of(line: SearchLine, file: SimulationFile) -> tuple[str, ...]:
    """One strategy, for people."""
    return (
        line.strategy,
        str(_searches(line)),
        _interval(line.judged),
        short_number(_regret(line, file)),
        _interval(line.gain),
        _interval(line.better),
        _interval(line.rank),
        f"{line.generator_steps:.0f}",
        str(line.without_result),
    )


def _searches(line: SearchLine) -> int:
    return (line.judged.n if line.judged else 0) + line.without_result


def sentence(found: CriticalDifference | None) -> str:
    """What the test of average ranks says."""
    if found is None:
        return "too few strategies or seeds for a test of average ranks"
    p = "" if found.friedman is None else f" (Friedman's test: p = {found.friedman:.2g})"
    alike = "; ".join(", ".join(names) for names in found.alike) or "none"
    return (
        f"average ranks over {found.seeds} seeds that differ by more than {found.difference:.2f} "
        f"differ at the 5 % level (Nemenyi){p}; not told apart: {alike}"
    )


def _regret(line: SearchLine, file: SimulationFile) -> float | None:
    return None if line.judged is None else file.regret(line.judged.mean)


def _interval(summary: Summary | None) -> str:
    if summary is None:
        return ""
    if summary.ci_low is None:
        return short_number(summary.mean)
    return f"{short_number(summary.mean)} ({interval_text(summary.ci_low, summary.ci_high)})"


def _markdown(
    moments: Sequence[Moment],
    found: CriticalDifference | None,
    file: SimulationFile,
    unit: str,
) -> Iterator[str]:
    made, last = file.made, moments[-1]
    metric, baseline = made["metric"], made["baseline"]
    fewest, most = (f(_searches(line) for line in last.lines) for f in (min, max))
    searches = f"{most}" if fewest == most else f"{fewest} to {most}"
    yield f"# {escape_markdown(made['table'])}: {searches} searches a strategy\n"
    yield (
        f"Protocol `{made['protocol']}`, scores of the {made['scores']} table, budget "
        f"{last.spent:g} {unit.replace('_', ' ')}, best known {metric} {made['best_known']:.4g}.\n"
    )
    rows = [[escape_markdown(cell) for cell in cells_of(line, file)] for line in last.lines]
    yield markdown_lines(heads_of(metric, baseline), rows)
    yield f"{sentence(found)[:1].upper()}{sentence(found)[1:]}.\n"
    if found is not None:
        yield f"![Average ranks]({DIAGRAM_FILE})\n"
    yield "## Over the budget\n"
    for title, name in (("Mean rank", "rank"), (f"Better than {baseline}, probability", "better")):
        head = [title, *(f"{moment.fraction:.0%}" for moment in moments)]
        body = [
            [escape_markdown(line.strategy), *_by_moment(moments, line.strategy, name)]
            for line in last.lines
        ]
        yield markdown_lines(head, body)


def _by_moment(moments: Sequence[Moment], strategy: str, name: str) -> Iterator[str]:
    for moment in moments:
        (line,) = (line for line in moment.lines if line.strategy == strategy)
        yield _interval(getattr(line, name))


def _csv(moments: Sequence[Moment], file: SimulationFile, unit: str) -> Iterator[str]:
    made, ends = file.made, ("", "_low", "_high")
    columns = [f"{name}{end}" for name in _MEANS for end in ends]
    yield csv_line(["protocol", "metric", "strategy", unit, "without_result", "regret", *columns])
    for moment in moments:
        for line in moment.lines:
            means = [getattr(line, name) for name in _MEANS]
            numbers = [
                None if mean is None else getattr(mean, what)
                for mean in means
                for what in ("mean", "ci_low", "ci_high")
            ]
            named = [made["protocol"], made["metric"], line.strategy, float(moment.spent)]
            yield csv_line([*named, line.without_result, _regret(line, file), *numbers])


# On the page

_PLACES = 40


def simulated_views(chapter: Chapter) -> list[dict[str, Any]]:
    """What ``chapter.html.j2`` shows of each task with simulated searches."""
    return [_view(chapter, found) for found in chapter.simulated]


def _view(chapter: Chapter, found: SimulatedTask) -> dict[str, Any]:
    title, made = chapter.task_titles[found.task], found.file.made
    metric, unit = made["metric"], budget_unit(made["budget"])
    styled = {row.short: chapter.styles[row.series] for row in chapter.by_task[found.task]}
    limit = made["budget"][unit]
    moments = over_time(found.searches, metric, found.baseline, unit, limit)
    test = critical_difference(found.searches, metric)
    words = sentence(test)
    figures = [*_figures(chapter, found, moments, styled, unit)]
    if test is not None:
        figures.append(Figure("Average ranks at the end", _diagram(test)))
    return {
        "title": title if len(chapter.by_task) > 1 else "",
        "facts": _facts(chapter, found, unit),
        "words": f"{words[:1].upper()}{words[1:]}.",
        "table": _summary(chapter, found),
        "figures": figures,
    }


def _facts(chapter: Chapter, found: SimulatedTask, unit: str) -> str:
    made = found.file.made
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
    metric, baseline = found.file.made["metric"], found.baseline
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
    rows: list[list[Value]] = [
        [
            line.strategy,
            _statistic(line.judged),
            number_cell(_regret(line, found.file)),
            *(_statistic(summary) for summary in (line.gain, line.better, line.rank)),
            number_cell(line.generator_steps),
            line.without_result,
        ]
        for line in summary_of(found.searches, metric, baseline)
    ]
    caption = f"Simulated searches: what they find, held against {baseline}"
    return Table.of(caption, headers, rows, range(1, len(headers)))


def _statistic(summary: Summary | None) -> Cell:
    if summary is None:
        return Cell("")
    return number_cell(summary.mean, 4, interval_words(summary.ci_low, summary.ci_high))


def _figures(
    chapter: Chapter,
    found: SimulatedTask,
    moments: Sequence[Moment],
    styles: Mapping[str, Style],
    unit: str,
) -> Iterator[Figure]:
    own = grouped(found.searches, lambda search: str(search["strategy"]))
    regret = [
        Line(name, styles[name], points)
        for name, searches in own.items()
        if (points := mean_curve([_regrets(found, s, unit) for s in searches], most_places=_PLACES))
    ]
    title = f"Regret of {axis_label(found.file.made['metric'], chapter.protocol)}"
    yield lines_figure(title, title, regret, unit)
    ranks = _course(moments, styles, "rank")
    yield lines_figure("Mean rank ↓", "Mean rank ↓", ranks, unit, steps=False)
    better = _course(moments, styles, "better")
    if better:
        title = f"Probability of finding a better one than {found.baseline} ↑"
        chance = [Reference(0.5, "chance")]
        yield lines_figure(title, title, better, unit, references=chance, steps=False)


def _regrets(
    found: SimulatedTask, search: Mapping[str, Any], unit: str
) -> list[tuple[float, float]]:
    """Cost and regret of what was known, to the end of the search."""
    judged = [each for each in search["incumbents"] if each["judged"] is not None]
    curve = [(each["spent"][unit], found.file.regret(each["judged"])) for each in judged]
    return [*curve, (search["spent"][unit], curve[-1][1])] if curve else []


def _course(moments: Sequence[Moment], styles: Mapping[str, Style], name: str) -> list[Line]:
    points: dict[str, list[Band]] = {}
    for moment in moments:
        for line in moment.lines:
            found = getattr(line, name)
            if found is not None:
                ends = (found.mean if end is None else end for end in (found.ci_low, found.ci_high))
                points.setdefault(line.strategy, []).append(Band(moment.spent, found.mean, *ends))
    return [Line(strategy, styles[strategy], bands) for strategy, bands in sorted(points.items())]


# The diagram of average ranks

_CD_WIDTH, _CD_LEFT, _CD_RIGHT = 640.0, 160.0, 480.0
_CD_BAR, _CD_AXIS, _CD_ROW, _CD_GAP = 22.0, 52.0, 20.0, 9.0
_INK = {"stroke": "currentColor"}


def critical_difference_svg(found: CriticalDifference) -> str:
    """The diagram as a file of its own."""
    drawn = str(_diagram(found))
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _diagram(found: CriticalDifference) -> Markup:
    """The diagram of average ranks (Demšar 2006, figure 1): what no bar joins differs.

    The best strategy is on the left.
    """
    half = (len(found.ranks) + 1) // 2
    top = _CD_AXIS + _CD_GAP * (len(found.alike) + 1)
    height = top + _CD_ROW * half + 8
    parts = [*_scale(found), *_bars(found), *_ranked_names(found, half, top)]
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


def _ranked_names(found: CriticalDifference, half: int, top: float) -> Iterator[Markup]:
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
