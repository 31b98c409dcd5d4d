"""The leaderboard as a table of the page, and what it says in a few sentences."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import replace

from nasgan.leaderboard.amounts import duration, in_unit, shown, with_spread
from nasgan.leaderboard.columns import metric_title
from nasgan.leaderboard.published import paper_of
from nasgan.leaderboard.ranks import Comparison
from nasgan.leaderboard.rows import (
    MIN_SEEDS,
    STATISTICS,
    Row,
    Task,
    have,
    metric_names,
)
from nasgan.report.chapters import Chapter, LabelledRow
from nasgan.report.figures import bound_images, bound_notes, bounds
from nasgan.report.labels import axis_label, images_scored
from nasgan.report.views import Cell, Table, interval_words, number_cell

__all__ = ["board_table", "comparison_tables", "csv_uri", "headlines", "leaders_in_words"]

_MOST_NAMED = 2
_MOST_TASKS = 12
# Where a score of few images lies of one of many (Chong and Forsyth 2020); KID has no bias.
_BIAS_OF_FEW = {"fid": "upwards", "is": "downwards"}
_AHEAD = ("Rank", "Method", "Search space")
_TEXTS = ("Method", "Search space", "Paper", "Note")
_BEHIND = ("Parameters G", "Multiply-adds G", "Search", "Final training", *_TEXTS[-2:])


def board_table(chapter: Chapter) -> Table:
    """The rows by task, best first; below them real test images and the papers' numbers."""
    protocol = chapter.protocol
    board = chapter.board
    others = metric_names(board.all_rows, spreads=False)
    metrics = list(dict.fromkeys((board.ranked_by, *others)))
    scores = [axis_label(metric, protocol) for metric in metrics]
    with_regret = have(board.rows, "regret")
    regret = ["Regret ↓"] if with_regret else []
    headers = [*_AHEAD, scores[0], "Seeds", *scores[1:], *regret, *_BEHIND]
    by_task = chapter.by_task
    foot = [
        *_bound_cells(chapter, metrics),
        *(_paper_cells(row, metrics) for row in board.published),
    ]
    return Table(
        f"Leaderboard under {protocol}, ranked by {metric_title(board.ranked_by, protocol)}",
        headers,
        [_cells(row, metrics, with_regret) for rows in by_task.values() for row in rows],
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
    ranks = Table.of(
        f"Average ranks over {len(found.tasks)} tasks",
        ("Strategy", "Average rank", "Best in tasks"),
        [
            (
                rank.strategy,
                number_cell(rank.average_rank, note=interval_words(rank.ci_low, rank.ci_high)),
                rank.n_best,
            )
            for rank in found.ranks
        ],
        {1, 2},
    )
    pairs = Table.of(
        "Wilcoxon signed-rank tests between the strategies, corrected after Holm",
        ("First", "Second", "Better in tasks", "Worse in tasks", "p", "p (Holm)"),
        [
            (
                p.first,
                p.second,
                p.n_better,
                p.n_worse,
                number_cell(p.p_value),
                number_cell(p.p_holm),
            )
            for p in found.pairs
        ],
        {2, 3, 4, 5},
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
    name = metric_title(metric, chapter.protocol)
    return f"{words}: {name} is biased {_BIAS_OF_FEW[metric]} by that, so it is no strict bound"


def _task_in_words(chapter: Chapter, rows: Sequence[LabelledRow]) -> str:
    metric = chapter.board.ranked_by
    name = metric_title(metric, chapter.protocol)
    first = [row for row in rows if row.row["rank"] == 1]
    if not first:
        return f"no row is ranked, as a rank takes {MIN_SEEDS} seeds with a {name}"
    words = f"best {name} by {first[0].series}, {_mean_in_words(first[0], metric)}"
    words += _tie_in_words([row.series for row in first[1:]])
    for row in rows:
        if row.is_average_random and row not in first and metric in row.row["metrics"]:
            mean = shown(row.row[f"{metric}_mean"], 4)
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
    mean, low, high = (row.row[f"{metric}_{name}"] for name in ("mean", "ci_low", "ci_high"))
    if low is None or high is None:
        return shown(mean, 4)
    interval = f"{shown(low, 4)} to {shown(high, 4)}"
    return f"{shown(mean, 4)} (95 % interval {interval}, {row.row[f'{metric}_n']} seeds)"


def _cells(labelled: LabelledRow, metrics: Sequence[str], with_regret: bool) -> list[Cell]:
    row = labelled.row
    is_first = row["rank"] == 1
    paper = paper_of(row)
    scores = [_metric_cell(row, metric) for metric in metrics]
    if is_first:
        scores[0] = replace(scores[0], mark="first")
    failed = f"{row['n_failed']} failed" if row["n_failed"] else ""
    return [
        _rank_cell(row),
        Cell(labelled.series, note=_hash_note(labelled), mark="first" if is_first else ""),
        Cell(Task.of(row).space, mark="space"),
        scores[0],
        Cell(str(row["n_seeds"]), row["n_seeds"], failed, "warn" if failed else ""),
        *scores[1:],
        *([number_cell(row.get("regret"))] if with_regret else []),
        number_cell(row["generator_parameters"]),
        number_cell(row["macs"]),
        _cost_cell(row, "search"),
        _cost_cell(row, "final"),
        Cell("") if paper is None else Cell(paper.result, note=paper.source),
        Cell("; ".join(row["note"]), mark="words"),
    ]


def _rank_cell(row: Row) -> Cell:
    if row["rank"] is None:
        return Cell("")
    low, high = row["rank_low"], row["rank_high"]
    note = f"{low} to {high}" if low != high else ""
    return Cell(str(row["rank"]), row["rank"], note)


def _hash_note(labelled: LabelledRow) -> str:
    """The configuration's hash, where it is what tells two rows apart."""
    short = labelled.row["config_hash"][:6]
    return f"settings {short}" if labelled.short.endswith(f" #{short}") else ""


def _metric_cell(row: Row, metric: str) -> Cell:
    mean, std, low, high = (row.get(f"{metric}_{name}") for name in STATISTICS[:4])
    if mean is None or std is None or low is None or high is None:
        return number_cell(mean, 4)
    return Cell(with_spread(mean, std), mean, interval_words(low, high))


def _cost_cell(row: Row, phase: str) -> Cell:
    seconds, steps = (row.get(f"{phase}_{unit}") for unit in ("device_seconds", "generator_steps"))
    if seconds is None:
        return Cell("")
    return Cell(duration(seconds), seconds, f"{in_unit(steps, 'generator_steps')} steps")


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
        mean, spread = row.get(f"{metric}_mean"), row.get(f"{metric}_within_run_std")
        text = "" if mean is None else shown(mean, 4)
        scores.append(Cell(text if spread is None else f"{text} ± {shown(spread, 2)}"))
    told = [f"{row['dataset']}: {row['source']}", row["protocol"], *row["note"]]
    return [
        Cell(""),
        Cell(row["strategy"], mark="words"),
        Cell(Task.of(row).space, mark="space"),
        scores[0],
        Cell(""),
        *scores[1:],
        number_cell(row["generator_parameters"]),
        *[Cell("")] * (len(_BEHIND) - 2),
        Cell("; ".join(told), mark="words"),
    ]


def _grouped(number: int) -> str:
    return f"{number:,}"


def _padded(cells: Sequence[Cell], width: int) -> list[Cell]:
    return [*cells, *[Cell("")] * (width - len(cells))]
