"""Ranks that do not claim more than the seeds support."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from nasgan.leaderboard.bootstrap import Summary
from nasgan.leaderboard.rows import MIN_SEEDS, Row, Task
from nasgan.metrics.table import METRICS

__all__ = ["overlap", "rank_rows"]


def rank_rows(rows: Sequence[Row], metric: str) -> list[Row]:
    """Rank the ``rows`` of each task by the mean of ``metric``: by task, best first.

    The best row and all rows whose 95 % interval overlaps its interval share rank 1; of the
    others, the best and those that overlap it share the next rank, and so on. A rank is one more
    than the number of rows before it. What the intervals leave open is `Row.rank_low` to
    `Row.rank_high`: all rows but those whose interval lies wholly on one side may change places.
    Rows with fewer than three seeds get no rank, and a note; they follow the others of their task.
    Nor do rows without the metric, or any row if it is unknown here which way the metric points.
    """
    by_task: dict[Task, list[Row]] = {}
    for row in rows:
        by_task.setdefault(row.task, []).append(row)
    return [row for task in sorted(by_task) for row in _rank(by_task[task], metric)]


def overlap(first: Summary, second: Summary) -> bool:
    """Whether two intervals share a point; without an interval the mean stands for it."""
    first_low, first_high = _interval(first)
    second_low, second_high = _interval(second)
    return first_low <= second_high and second_low <= first_high


def _rank(rows: Sequence[Row], metric: str) -> list[Row]:
    enough: list[Row] = []
    unranked: list[Row] = []
    for row in sorted(rows, key=lambda row: _order(row, metric)):
        why = _why_not(row, metric)
        if why:
            unranked.append(replace(row, notes=(*row.notes, f"not ranked: {why}")))
        else:
            enough.append(row)
    enough = _with_open_ranks(enough, metric)
    ranked: list[Row] = []
    while enough:
        best = enough[0].metrics[metric]
        is_tied = [overlap(row.metrics[metric], best) for row in enough]
        rank = len(ranked) + 1
        ranked += [
            replace(row, rank=rank) for row, tied in zip(enough, is_tied, strict=True) if tied
        ]
        enough = [row for row, tied in zip(enough, is_tied, strict=True) if not tied]
    return ranked + unranked


def _why_not(row: Row, metric: str) -> str:
    """Why a row gets no rank; empty if it gets one."""
    if metric in row.metrics and metric not in METRICS:
        return f"whether less or more of {metric} is better is not known here"
    if row.n_seeds and metric not in row.metrics:
        return f"no {metric}"
    few = metric not in row.metrics or row.metrics[metric].n < MIN_SEEDS
    return f"fewer than {MIN_SEEDS} seeds" if few else ""


def _with_open_ranks(rows: Sequence[Row], metric: str) -> list[Row]:
    """``rows`` with the ranks that their intervals allow."""
    sign = _sign(metric)
    # After this, less is better.
    intervals = [sorted(sign * end for end in _interval(row.metrics[metric])) for row in rows]
    lows = sorted(low for low, _ in intervals)
    highs = sorted(high for _, high in intervals)
    return [
        replace(row, rank_low=1 + bisect_left(highs, low), rank_high=bisect_right(lows, high))
        for row, (low, high) in zip(rows, intervals, strict=True)
    ]


def _order(row: Row, metric: str) -> tuple[float, str, str, str, str]:
    """Best mean first; names make the order of equal rows the same everywhere."""
    summary = row.metrics.get(metric)
    key = float("inf") if summary is None else _sign(metric) * summary.mean
    return key, row.strategy, row.search_space, row.architecture, row.config_hash


def _sign(metric: str) -> float:
    return -1.0 if metric in METRICS and METRICS[metric].direction == "max" else 1.0


def _interval(summary: Summary) -> tuple[float, float]:
    low = summary.mean if summary.ci_low is None else summary.ci_low
    high = summary.mean if summary.ci_high is None else summary.ci_high
    return low, high
