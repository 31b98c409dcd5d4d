"""What is in a table of trained architectures, as a part of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from nasgan.leaderboard.columns import metric_title
from nasgan.leaderboard.rows import spread_of
from nasgan.leaderboard.texts import shown, with_spread
from nasgan.report.charts import WIDTH, Band, Line, Point, line_chart, scatter_chart
from nasgan.report.svg import Style, picture, tag, text
from nasgan.report.views import Cell, Figure, Tab, Table, Value, axis_label
from nasgan.tabular.reliability import Reliability
from nasgan.tabular.table import Table as Trainings

__all__ = ["table_view"]

_MOST_BEST = 12
_PLAIN = Style("c0")


def table_view(name: str, found: Trainings) -> dict[str, Any]:
    """What ``table.html.j2`` shows of a table; the names of its parts begin with ``name``."""
    searched = found.manifest["settings"].get("objective", {}).get("metric")
    scored = [
        metric
        for metric in sorted(found.metrics, key=lambda metric: metric != searched)
        if spread_of(metric) is None and np.isfinite(found.values(metric)).any()
    ]
    return {
        "template": "table.html.j2",
        "id": name,
        "protocol": found.name,
        "headlines": [(metric_title(m, found.protocol), _headline(found, m)) for m in scored],
        "facts": _facts(found),
        "noise": _tabs(found, scored, _noise),
        "agreement": _tabs(found, scored, _agreement),
        "decisions": _tabs(found, scored, _decisions),
        "failures": _failures(found),
        "best": [_best(found, metric) for metric in scored],
    }


def _tabs(
    found: Trainings, metrics: Sequence[str], figures: Callable[[Trainings, str], Iterator[Figure]]
) -> list[Tab]:
    tabs = [Tab(_label(found, metric), [*figures(found, metric)]) for metric in metrics]
    return [tab for tab in tabs if tab.figures]


def _label(found: Trainings, metric: str) -> str:
    name = metric_title(metric, found.protocol)
    return f"log {name}" if found.is_logarithm(metric) else name


def _facts(found: Trainings) -> list[tuple[str, str]]:
    steps = ", ".join(map(str, found.steps))
    return [
        ("Search space", f"{found.space}, version {found.space_version}"),
        ("Protocol", found.protocol),
        ("Trainings", f"{len(found)} of {len(found.architectures)} architectures"),
        ("Scores", f"at {steps} generator steps"),
        ("Checksum", found.checksum[:12]),
        ("Licence", str(found.manifest.get("licence", "not stated"))),
    ]


def _headline(found: Trainings, metric: str) -> str:
    parts = []
    it = found.reliability(metric)
    if it is not None:
        parts.append(
            f"of the variance of one training's score after {found.steps[-1]} steps the "
            f"architecture explains {_icc(it)} (ICC)"
        )
    best = found.best(metric)
    if best is not None:
        parts.append(
            f"the best known is {shown(best.mean, 4)}, the mean of {best.seeds} "
            f"training{'s' if best.seeds > 1 else ''} of {best.architecture.id}, where another is "
            f"expected to score {shown(best.expected, 4)}"
        )
    return "; ".join(parts) or "too few trainings"


def _icc(it: Reliability) -> str:
    return f"{it.icc:.2f} ({it.icc_low:.2f} to {it.icc_high:.2f})"


# Noise between seeds


def _noise(found: Trainings, metric: str) -> Iterator[Figure]:
    yield _seeds(found, metric)
    steps = [(step, it) for step in found.steps if (it := found.reliability(metric, step))]
    if not steps:
        return
    icc = Line("ICC", _PLAIN, [Band(s, it.icc, it.icc_low, it.icc_high) for s, it in steps])
    label = _label(found, metric)
    yield Figure(
        f"Share of the variance of {label} that the architecture explains (ICC)",
        line_chart(
            [icc],
            x_label="generator steps",
            y_label="",
            label=f"ICC of {label} by generator steps: "
            + "; ".join(f"{step}: {_icc(it)}" for step, it in steps),
            steps=False,
        ),
        table=_reliability(found, metric, steps),
    )
    yield _spreads(label, steps)


def _seeds(found: Trainings, metric: str) -> Figure:
    """Each training's score, its architecture's rank along x."""
    values = {
        each: [
            score
            for seed in found.seeds_of(each)
            if (score := found.query(each, seed=seed).metrics.get(metric)) is not None
        ]
        for each in found.ranked(metric)
    }
    points = [
        Point(
            rank,
            score,
            _PLAIN,
            f"{each.id}, rank {rank}: {shown(score, 4)}, one of {len(scores)}",
        )
        for rank, (each, scores) in enumerate(values.items(), 1)
        for score in scores
    ]
    name = axis_label(metric, found.protocol)
    return Figure(
        f"Every training: {name} by the rank of its architecture",
        scatter_chart(
            points,
            x_label="rank of the architecture's mean",
            y_label=name,
            label=f"{name} of {len(points)} trainings of {len(values)} architectures, by the rank "
            "of their architecture's mean",
            x_log=False,
        ),
        note="Points above each other are seeds of one architecture.",
    )


def _spreads(label: str, steps: Sequence[tuple[int, Reliability]]) -> Figure:
    spreads = {
        "solid, between architectures": [(step, it.between) for step, it in steps],
        "dashed, between seeds of one": [(step, it.within) for step, it in steps],
    }
    looks = (_PLAIN, Style("c1", "7 3"))
    lines = [
        Line(name, style, [Band(step, value, value, value) for step, value in values])
        for (name, values), style in zip(spreads.items(), looks, strict=True)
    ]
    ends = "; ".join(f"{line.name}: {shown(line.points[-1].mean)}" for line in lines)
    return Figure(
        f"Standard deviation of {label}",
        line_chart(
            lines,
            x_label="generator steps",
            y_label="",
            label=f"Standard deviation of {label} by generator steps, at the last: {ends}",
            steps=False,
        ),
        note=f"{ends[:1].upper()}{ends[1:]} at the last step.",
    )


def _reliability(found: Trainings, metric: str, steps: Sequence[tuple[int, Reliability]]) -> Table:
    headers = (
        "Steps",
        "ICC",
        "sd between",
        "sd within",
        "Two runs, Spearman",
        "Ceiling of tau, one seed",
        "Ceiling of R2, one seed",
        "Ceiling of tau, mean of two",
        "Ceiling of R2, mean of two",
    )
    return Table.of(
        f"Reliability of {_label(found, metric)}",
        headers,
        [_reliability_row(found, metric, step, it) for step, it in steps],
        range(len(headers)),
    )


def _reliability_row(found: Trainings, metric: str, step: int, it: Reliability) -> list[Value]:
    agreed, number = found.agreement_of_runs(metric, step)
    ceilings = [ceiling for n in (1, 2) for ceiling in (it.tau_ceiling(n), it.of_mean(n))]
    interval = f"{it.icc_low:.2f} to {it.icc_high:.2f}"
    return [
        step,
        Cell(f"{it.icc:.2f}", it.icc, interval),
        it.between,
        it.within,
        Cell("") if math.isnan(agreed) else Cell(f"{agreed:.2f}", agreed, f"{number} pairs"),
        *(Cell(f"{value:.2f}", value) for value in ceilings),
    ]


# Agreement of steps, decisions, failures, the best


def _agreement(found: Trainings, metric: str) -> Iterator[Figure]:
    if len(found.steps) < 2:
        return
    agreed = [
        [found.agreement_of_steps(metric, step, other)[0] for other in found.steps]
        for step in found.steps
    ]
    label, last = _label(found, metric), agreed[-1]
    words = "; ".join(
        f"{step}: {value:.2f}"
        for step, value in zip(found.steps[:-1], last[:-1], strict=True)
        if not math.isnan(value)
    )
    yield Figure(
        f"Spearman correlation of the means of {label} at two steps",
        _matrix_chart(
            [str(step) for step in found.steps],
            [[None if math.isnan(value) else value for value in row] for row in agreed],
            title="generator steps",
            label=f"Agreement of the architectures' order by {label} after so many steps with that "
            f"after {found.steps[-1]}: {words}",
        ),
        note=f"With the order after {found.steps[-1]} steps agree: {words}." if words else "",
    )


def _decisions(found: Trainings, metric: str) -> Iterator[Figure]:
    shares = {k: v for k, v in found.explained(metric).items() if not math.isnan(v)}
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    if not ordered:
        return
    label = _label(found, metric)
    top = "; ".join(f"{name} {share:.1%}" for name, share in ordered[:5])
    yield Figure(
        f"Variance of the means of {label} that each decision explains by itself",
        _bar_chart(
            [(name, share, f"{share:.1%}") for name, share in ordered],
            label=f"Variance of {label} by decision: {top}",
        ),
        note="Epsilon squared: what chance would explain is taken off, so a share can be below 0.",
    )


def _failures(found: Trainings) -> Figure | None:
    counts = found.breakdowns().most_common()
    if not counts:
        return None
    total = sum(count for _, count in counts)
    bars = [(reason, float(count), str(count)) for reason, count in counts]
    words = "; ".join(f"{reason}: {count}" for reason, count in counts)
    title = f"{total} of {len(found)} trainings broke down"
    return Figure(title, _bar_chart(bars, label=f"{title}: {words}"))


def _best(found: Trainings, metric: str) -> Table:
    names = [decision.name for decision in found.decisions if len(decision.options) > 1]
    scale = np.exp if found.is_logarithm(metric) else np.asarray
    expected = dict(zip(found.architectures, scale(found.expected(metric)), strict=True))
    rows: list[list[Value]] = []
    for rank, each in enumerate(found.ranked(metric)[:_MOST_BEST], 1):
        scores = [found.query(each, seed=seed).metrics for seed in found.seeds_of(each)]
        values = [score[metric] for score in scores if metric in score]
        mean, spread = float(np.mean(values)), float(np.std(values, ddof=1)) if values[1:] else 0.0
        chosen = dict(each)
        rows.append(
            [
                each.id,
                rank,
                Cell(with_spread(mean, spread) if values[1:] else shown(mean, 4), mean),
                len(values),
                Cell(shown(float(expected[each]), 4), float(expected[each])),
                *(chosen[name] for name in names),
            ]
        )
    return Table.of(
        f"Best known architectures by {metric_title(metric, found.protocol)} after "
        f"{found.steps[-1]} steps",
        (
            "Architecture",
            "Rank",
            axis_label(metric, found.protocol),
            "Trainings",
            "Expected of another",
            *names,
        ),
        rows,
        {1, 2, 3, 4},
    )


# Drawings

_BAR_LEFT, _BAR_RIGHT, _BAR_ROW, _BAR_TOP = 14.0, 56.0, 30.0, 6.0
_THICK = 8.0
_MARGIN, _HEAD = 56.0, 34.0


def _bar_chart(bars: Sequence[tuple[str, float, str]], *, label: str) -> Markup:
    """Bars from 0 to the right; one below 0 has no length.

    Args:
        bars: from top to bottom the name, the value, and what is written behind it.
        label: the chart in words, for those who do not see it.
    """
    most = max((value for _, value, _ in bars), default=0.0)
    parts: list[Markup] = []
    for row, (name, value, words) in enumerate(bars):
        top = _BAR_TOP + row * _BAR_ROW
        width = max(0.0, value) / most * (WIDTH - _BAR_LEFT - _BAR_RIGHT) if most > 0 else 0.0
        parts.append(text(_BAR_LEFT, top + 12, name, class_="row-label"))
        bar = {"x": _BAR_LEFT, "y": top + 17, "width": width, "height": _THICK}
        parts.append(tag("rect", **bar, rx=2.0, class_="area o0"))
        parts.append(text(_BAR_LEFT + width + 6, top + 17 + _THICK, words, class_="tick"))
    return picture(WIDTH, _BAR_TOP + _BAR_ROW * len(bars) + 6, label, parts)


def _matrix_chart(
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
