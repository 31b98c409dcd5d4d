"""Rows as CSV and Markdown, safe to open in a spreadsheet and to paste into a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence

from nasgan.errors import NasganError
from nasgan.metrics.protocol import display_name
from nasgan.metrics.table import METRICS
from nasgan.results.published import PublishedResult, published_result
from nasgan.results.rows import FINAL_UNITS, SEARCH_UNITS, Row

__all__ = ["Cell", "column_cells", "csv_text", "markdown_table", "metric_names", "safe_cell"]

Cell = str | int | float | None
Column = Callable[[Row], Cell]

# A spreadsheet takes a text that begins with one of these for a formula (CWE-1236).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_CONTROL_TO_SPACE = dict.fromkeys([*range(32), 127], " ")

_MILLION = 1e6
_BILLION = 1e9


def metric_names(rows: Sequence[Row]) -> list[str]:
    """The metrics of ``rows`` in the order of the table of metrics, unknown ones last."""
    present = {name for row in rows for name in row.metrics}
    return [name for name in METRICS if name in present] + sorted(present - set(METRICS))


def column_cells(metrics: Sequence[str]) -> dict[str, Column]:
    """The CSV's columns in order: each name with what gives a row's cell."""
    cells: dict[str, Column] = dict(_IDENTITY)
    for metric in metrics:
        cells.update(_metric_columns(metric))
    cells.update(_DETAILS)
    return cells


def csv_text(rows: Sequence[Row]) -> str:
    """``rows`` as CSV with a header line; numbers with ten digits, unknown ones empty."""
    cells = column_cells(metric_names(rows))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(cells)
    for row in rows:
        writer.writerow([safe_cell(cell(row)) for cell in cells.values()])
    return stream.getvalue()


def safe_cell(value: Cell) -> str:
    """A cell's text; one that a spreadsheet would take for a formula gets an apostrophe before."""
    if value is None:
        return ""
    if isinstance(value, str):
        # One row stays one line, whatever a record holds.
        line = value.translate(_CONTROL_TO_SPACE)
        is_formula = value.lstrip(" ").startswith(_FORMULA_STARTS)
        return f"'{line}" if is_formula else line
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def markdown_table(rows: Sequence[Row], protocol: str) -> str:
    """``rows`` as a Markdown table; what shares the first rank is bold.

    Metric names carry their features unless these are Inception's (`display_name`).
    """
    metrics = [name for name in metric_names(rows) if not _is_companion(name)]
    header = ["Rank", "Strategy", "Search space", "Architecture"]
    header += [_header(metric, protocol) for metric in metrics]
    header += ["Seeds", "Failed", "Params G (M)", "MACs (G)", "Search steps", "Search device s"]
    header += ["Note"]
    lines = [header, ["---"] * len(header)]
    lines += [_markdown_cells(row, metrics) for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape_markdown(text: str) -> str:
    """``text`` such that it stays in its table cell and is shown as it is."""
    text = " ".join(text.split()).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for character in "|`*_[]":
        text = text.replace(character, f"\\{character}")
    return text


def _markdown_cells(row: Row, metrics: Sequence[str]) -> list[str]:
    names = [row.strategy, row.search_space, row.architecture]
    cells = ["" if row.rank is None else str(row.rank), *map(escape_markdown, names)]
    for metric in metrics:
        shown = _value_with_interval(row, metric)
        cells.append(f"**{shown}**" if row.rank == 1 and shown else shown)
    cells += [str(row.n_seeds), str(row.n_failed)]
    cells += [_short(_scaled(row.generator_parameters, _MILLION)), _short(_giga_macs(row))]
    cells += [_short(row.search_cost.get(unit)) for unit in ("generator_steps", "device_seconds")]
    return [*cells, escape_markdown("; ".join(row.notes))]


def _value_with_interval(row: Row, metric: str) -> str:
    summary = row.metrics.get(metric)
    if summary is None:
        return ""
    if summary.std is None or summary.ci_low is None or summary.ci_high is None:
        return _short(summary.mean)
    low, high = _short(summary.ci_low), _short(summary.ci_high)
    return f"{_short(summary.mean)} ± {_short(summary.std)} ({low} to {high})"


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _header(metric: str, protocol: str) -> str:
    try:
        return escape_markdown(display_name(metric, protocol))
    except NasganError:
        # A metric or a form of id that this version does not know: never shown as a plain FID.
        return escape_markdown(f"{metric} ({protocol})")


def _is_companion(metric: str) -> bool:
    return metric in METRICS and METRICS[metric].companion_of is not None


def _metric_columns(metric: str) -> dict[str, Column]:
    """The statistics of one metric; of a spread within a run only its mean over the seeds."""

    def statistic(name: str) -> Column:
        return lambda row: getattr(row.metrics[metric], name) if metric in row.metrics else None

    info = METRICS.get(metric)
    if info is not None and info.companion_of is not None:
        return {f"{info.companion_of}_within_run_std": statistic("mean")}
    names = ("mean", "std", "ci_low", "ci_high", "median")
    cells: dict[str, Column] = {f"{metric}_{name}": statistic(name) for name in names}
    cells[f"{metric}_best"] = lambda row: row.best(metric)
    return cells


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _giga_macs(row: Row) -> float | None:
    return _scaled(row.macs, _BILLION)


def _joined(texts: Sequence[str]) -> str:
    return "; ".join(texts)


def _paper(row: Row) -> PublishedResult | None:
    return published_result(row.strategy, row.architecture, row.dataset)


def _paper_result(row: Row) -> str:
    published = _paper(row)
    return published.result if published else ""


def _paper_protocol(row: Row) -> str:
    published = _paper(row)
    return published.protocol if published else ""


def _cost(phase: str, unit: str) -> Column:
    def cell(row: Row) -> Cell:
        cost: Mapping[str, float] = getattr(row, f"{phase}_cost")
        return cost.get(unit)

    return cell


_IDENTITY: dict[str, Column] = {
    "rank": lambda row: row.rank,
    "strategy": lambda row: row.strategy,
    "search_space": lambda row: row.search_space,
    "architecture": lambda row: row.architecture,
    "dataset": lambda row: row.dataset,
    "protocol": lambda row: row.protocol,
    "n_seeds": lambda row: row.n_seeds,
    "n_failed": lambda row: row.n_failed,
}
_DETAILS: dict[str, Column] = {
    "generator_parameters_m": lambda row: _scaled(row.generator_parameters, _MILLION),
    "discriminator_parameters_m": lambda row: _scaled(row.discriminator_parameters, _MILLION),
    "macs_g": _giga_macs,
    **{f"search_{unit}": _cost("search", unit) for unit in SEARCH_UNITS},
    **{f"final_{unit}": _cost("final", unit) for unit in FINAL_UNITS},
    "hardware": lambda row: _joined(row.provenance.hardware),
    "versions": lambda row: _joined(row.provenance.versions),
    "commit": lambda row: _joined(row.provenance.commits),
    "config_hash": lambda row: row.config_hash,
    "dataset_checksum": lambda row: row.dataset_checksum,
    "run_ids": lambda row: _joined(row.provenance.run_ids),
    "tuning_budget": lambda row: _joined(row.provenance.tuning_budgets),
    "paper_result": _paper_result,
    "paper_protocol": _paper_protocol,
    "note": lambda row: _joined(row.notes),
}
