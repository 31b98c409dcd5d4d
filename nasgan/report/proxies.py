"""How well the searches of a chapter foretold what retraining gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from nasgan.report.charts import Point, scatter_chart
from nasgan.report.collect import Chapter, LabelledRow, Run
from nasgan.report.labels import fidelity_words, metric_label
from nasgan.report.palette import Style
from nasgan.report.scales import shown
from nasgan.report.views import Cell, Figure, Table
from nasgan.runs.proxy import LEAST_CORRELATED

__all__ = ["proxy_figures"]

_COEFFICIENTS = {"spearman": "Spearman", "kendall": "Kendall"}


def proxy_figures(chapter: Chapter, styles: Mapping[str, Style]) -> list[Figure]:
    """The score in the search against the score after retraining, for rows that have both."""
    figures = []
    for row in chapter.search_rows:
        found = [
            (run, run.record.proxy_correlation)
            for run in row.runs
            if run.record.proxy_correlation is not None
        ]
        if found:
            figures.append(_proxy_figure(chapter, row, found, styles[row.series]))
    return figures


def _proxy_figure(
    chapter: Chapter,
    row: LabelledRow,
    found: Sequence[tuple[Run, Mapping[str, Any]]],
    style: Style,
) -> Figure:
    first = found[0][1]
    name = metric_label(first["metric"], chapter.protocol)
    searched = first.get("search_metric", name)
    points = [
        Point(
            point["search"],
            point["final"],
            style,
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
        table=Table(
            f"Rank correlation of {row.label}",
            ("Run", *_COEFFICIENTS.values(), "Architectures"),
            [
                [
                    Cell(f"seed {run.summary.seed}", run.summary.seed),
                    *(_coefficient(proxy[key]) for key in _COEFFICIENTS),
                    Cell(str(proxy["n"]), proxy["n"]),
                ]
                for run, proxy in found
            ],
            frozenset({1, 2, 3}),
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


def _coefficient(value: float | None) -> Cell:
    return Cell("") if value is None else Cell(_signed(value), value)


def _signed(value: float) -> str:
    return f"{value:.3f}".replace("-", "\u2212")
