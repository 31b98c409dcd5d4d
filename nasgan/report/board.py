"""The leaderboard as a table of the page, and what it says in a few sentences."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nasgan.leaderboard.bootstrap import Summary
from nasgan.leaderboard.comparison import Comparison
from nasgan.leaderboard.published import published_result
from nasgan.leaderboard.rows import MIN_SEEDS, Row, Task
from nasgan.leaderboard.tables import metric_names
from nasgan.report.collect import Chapter, LabelledRow
from nasgan.report.figures import bound_images, bound_notes, bounds
from nasgan.report.labels import (
    axis_label,
    duration,
    images_scored,
    in_unit,
    is_spread,
    metric_label,
)
from nasgan.report.scales import shown, with_spread
from nasgan.report.views import Cell, Table

__all__ = ["board_table", "comparison_tables", "csv_uri", "headlines", "leaders_in_words"]

_MOST_NAMED = 2
_MOST_TASKS = 12
# Where a score of few images lies of one of many (Chong and Forsyth 2020); KID has no bias.
_BIAS_OF_FEW = {"fid": "upwards", "is": "downwards"}
_AHEAD = ("Rank", "Method", "Search space")
_TEXTS = ("Method", "Search space", "Paper", "Note")
_BEHIND = ("Parameters G", "Multiply-adds G", "Search", "Final training", "Paper", "Note")


def board_table(chapter: Chapter) -> Table:
    """The rows by task, best first; below them real test images and the papers' numbers."""
    protocol = chapter.protocol
    board = chapter.board
    others = [m for m in metric_names(board.all_rows) if not is_spread(m) and m != board.ranked_by]
    metrics = [board.ranked_by, *others]
    scores = [axis_label(metric, protocol) for metric in metrics]
    headers = [*_AHEAD, scores[0], "Seeds", *scores[1:], *_BEHIND]
    by_task = chapter.by_task
    foot = [
        *_bound_cells(chapter, metrics),
        *(_paper_cells(row, metrics) for row in board.published),
    ]
    return Table(
        f"Leaderboard under {protocol}, ranked by {metric_label(board.ranked_by, protocol)}",
        headers,
        [_cells(row, metrics) for rows in by_task.values() for row in rows],
        frozenset(k for k, header in enumerate(headers) if header not in _TEXTS),
        filters=(1, 2),
        foot=[_padded(cells, len(headers)) for cells in foot],
        headings=[_heading(chapter, task) for task, rows in by_task.items() for _ in rows],
    )


def comparison_tables(chapter: Chapter) -> list[Table]:
    """The average ranks of the strategies over the tasks, and the tests between them."""
    found = chapter.board.comparison
    if found is None:
        return []
    ranks = Table(
        f"Average ranks over {len(found.tasks)} tasks",
        ("Strategy", "Average rank", "Best in tasks"),
        [
            [
                Cell(rank.strategy),
                Cell(
                    shown(rank.average_rank),
                    rank.average_rank,
                    _interval_in_words(rank.ci_low, rank.ci_high),
                ),
                Cell(str(rank.n_best), rank.n_best),
            ]
            for rank in found.ranks
        ],
        frozenset({1, 2}),
    )
    pairs = Table(
        "Wilcoxon signed-rank tests between the strategies, corrected after Holm",
        ("First", "Second", "Better in tasks", "Worse in tasks", "p", "p (Holm)"),
        [
            [
                Cell(pair.first),
                Cell(pair.second),
                Cell(str(pair.n_better), pair.n_better),
                Cell(str(pair.n_worse), pair.n_worse),
                Cell(shown(pair.p_value), pair.p_value),
                Cell(shown(pair.p_holm), pair.p_holm),
            ]
            for pair in found.pairs
        ],
        frozenset({2, 3, 4, 5}),
    )
    return [ranks, pairs]


def csv_uri(chapter: Chapter) -> str:
    """The leaderboard's CSV as a ``data:`` address."""
    encoded = base64.b64encode(chapter.board.to_csv().encode("utf-8", "replace")).decode("ascii")
    return f"data:text/csv;charset=utf-8;base64,{encoded}"


def headlines(chapter: Chapter) -> list[tuple[str, str]]:
    """What the leaderboard says, for those who read no further: about what, and what."""
    titles = chapter.task_titles
    told = [(titles[task], _task_in_words(chapter, rows)) for task, rows in chapter.by_task.items()]
    if len(told) > _MOST_TASKS:
        told[_MOST_TASKS:] = [(f"{len(told) - _MOST_TASKS} more tasks", "are in the table")]
    found = chapter.board.comparison
    if found is not None:
        told.append((f"over {len(found.tasks)} tasks", leaders_in_words(found)))
    bound = bounds(chapter).get(chapter.board.ranked_by)
    if bound is not None:
        told.append(("real test images", _bound_in_words(chapter, bound)))
    told += [("real test images", note) for note in bound_notes(chapter)]
    return told


def leaders_in_words(comparison: Comparison) -> str:
    """Who leads, and whether that is more than chance after Holm's correction."""
    mean = comparison.ranks[0].average_rank
    leaders = [r.strategy for r in comparison.ranks if math.isclose(r.average_rank, mean)]
    beaten = [pair.second for pair in comparison.differing if pair.first == leaders[0]]
    verb = "has" if len(leaders) == 1 else "share"
    words = f"{' and '.join(leaders)} {verb} the best average rank, {shown(mean)}"
    if len(leaders) > 1 or not beaten:
        words += " (no significant difference)"
    else:
        words += f" (significantly better than {', '.join(beaten)})"
    if comparison.left_out:
        words += f"; not compared: {', '.join(one.source for one in comparison.left_out)}"
    return words


def _heading(chapter: Chapter, task: Task) -> str:
    return " · ".join(filter(None, (str(task), chapter.images_of(task))))


def _bound_in_words(chapter: Chapter, bound: float) -> str:
    """The score of real test images, and what a reader must not take it for."""
    metric = chapter.board.ranked_by
    number, generated = bound_images(chapter), images_scored(chapter.protocol)
    words = f"{shown(bound, 4)} with {_grouped(number)} images"
    if generated is None or number >= generated:
        return words
    words += f", fewer than the {_grouped(generated)} of the generators"
    if metric not in _BIAS_OF_FEW:
        return words
    name = metric_label(metric, chapter.protocol)
    return f"{words}: {name} is biased {_BIAS_OF_FEW[metric]} by that, so it is no strict bound"


def _task_in_words(chapter: Chapter, rows: Sequence[LabelledRow]) -> str:
    metric = chapter.board.ranked_by
    name = metric_label(metric, chapter.protocol)
    first = [row for row in rows if row.row.rank == 1]
    if not first:
        return f"no row is ranked, as a rank takes {MIN_SEEDS} seeds with a {name}"
    words = f"best {name} by {first[0].series}, {_mean_in_words(first[0], metric)}"
    words += _tie_in_words([row.series for row in first[1:]])
    for row in rows:
        if row.is_average_random and row not in first and metric in row.row.metrics:
            mean = shown(row.row.metrics[metric].mean, 4)
            words += f"; the average random architecture has {mean}"
    return words


def _tie_in_words(names: Sequence[str]) -> str:
    if not names:
        return ""
    if len(names) > _MOST_NAMED:
        return f"; {len(names)} more rows share the first rank, as their intervals overlap its own"
    verb = "shares" if len(names) == 1 else "share"
    return f"; {' and '.join(names)} {verb} the first rank, as the intervals overlap"


def _mean_in_words(row: LabelledRow, metric: str) -> str:
    summary = row.row.metrics[metric]
    if summary.ci_low is None or summary.ci_high is None:
        return shown(summary.mean, 4)
    interval = f"{shown(summary.ci_low, 4)} to {shown(summary.ci_high, 4)}"
    return f"{shown(summary.mean, 4)} (95 % interval {interval}, {summary.n} seeds)"


def _cells(labelled: LabelledRow, metrics: Sequence[str]) -> list[Cell]:
    row = labelled.row
    is_first = row.rank == 1
    paper = published_result(
        row.strategy,
        row.architecture,
        row.dataset,
        search_space=row.search_space,
        num_classes=row.num_classes,
    )
    scores = [_metric_cell(row.metrics.get(metric)) for metric in metrics]
    if is_first:
        scores[0] = replace(scores[0], mark="first")
    failed = f"{row.n_failed} failed" if row.n_failed else ""
    return [
        _rank_cell(row),
        Cell(labelled.series, note=_hash_note(labelled), mark="first" if is_first else ""),
        Cell(row.space_label, mark="space"),
        scores[0],
        Cell(str(row.n_seeds), row.n_seeds, failed, "warn" if failed else ""),
        *scores[1:],
        _amount_cell(row.generator_parameters),
        _amount_cell(row.macs),
        _cost_cell(row.search_cost),
        _cost_cell(row.final_cost),
        Cell("") if paper is None else Cell(paper.result, note=paper.source),
        Cell("; ".join(row.notes), mark="words"),
    ]


def _rank_cell(row: Row) -> Cell:
    if row.rank is None:
        return Cell("")
    is_open = row.rank_low != row.rank_high
    return Cell(str(row.rank), row.rank, f"{row.rank_low} to {row.rank_high}" if is_open else "")


def _hash_note(labelled: LabelledRow) -> str:
    """The configuration's hash, where it is what tells two rows apart."""
    short = labelled.row.config_hash[:6]
    return f"settings {short}" if labelled.short.endswith(f" #{short}") else ""


def _amount_cell(value: float | None) -> Cell:
    return Cell("") if value is None else Cell(shown(value), value)


def _metric_cell(summary: Summary | None) -> Cell:
    if summary is None:
        return Cell("")
    text = shown(summary.mean, 4)
    note = ""
    if summary.std is not None and summary.ci_low is not None and summary.ci_high is not None:
        text = with_spread(summary.mean, summary.std)
        note = _interval_in_words(summary.ci_low, summary.ci_high)
    return Cell(text, summary.mean, note)


def _interval_in_words(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{shown(low)} to {shown(high)}"


def _cost_cell(cost: Mapping[str, float]) -> Cell:
    if not cost:
        return Cell("")
    seconds = cost["device_seconds"]
    steps = f"{in_unit(cost['generator_steps'], 'generator_steps')} steps"
    return Cell(duration(seconds), seconds, steps)


def _bound_cells(chapter: Chapter, metrics: Sequence[str]) -> list[list[Cell]]:
    values = bounds(chapter)
    if not values:
        return []
    scores = [Cell(shown(values[m], 4) if m in values else "") for m in metrics]
    name = Cell("real test images", note=f"{_grouped(bound_images(chapter))} images")
    return [[Cell(""), name, Cell(""), scores[0], Cell(""), *scores[1:]]]


def _paper_cells(row: Row, metrics: Sequence[str]) -> list[Cell]:
    """A paper's own numbers, under its own protocol: they do not compare with the others."""
    scores = []
    for metric in metrics:
        spread = row.metrics.get(f"{metric}_std")
        mean = row.metrics.get(metric)
        text = "" if mean is None else shown(mean.mean, 4)
        scores.append(Cell(text if spread is None else f"{text} ± {shown(spread.mean, 2)}"))
    told = [f"{row.dataset}: {row.source}", row.protocol, *row.notes]
    return [
        Cell(""),
        Cell(row.strategy, mark="words"),
        Cell(row.space_label, mark="space"),
        scores[0],
        Cell(""),
        *scores[1:],
        _amount_cell(row.generator_parameters),
        *[Cell("")] * (len(_BEHIND) - 2),
        Cell("; ".join(told), mark="words"),
    ]


def _grouped(number: int) -> str:
    return f"{number:,}"


def _padded(cells: Sequence[Cell], width: int) -> list[Cell]:
    return [*cells, *[Cell("")] * (width - len(cells))]
