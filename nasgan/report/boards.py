"""The leaderboard as a table of the page, and what it says in a few sentences."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, replace

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
from nasgan.leaderboard.texts import duration, in_unit, shown, with_spread
from nasgan.report.chapters import Chapter, LabelledRow
from nasgan.report.views import Cell, Table, axis_label, images_scored, interval_words, number_cell

__all__ = ["board_table", "comparison_tables", "csv_uri", "headlines", "leaders_in_words"]

_MOST_NAMED = 2
_MOST_TASKS = 12
# Where a score of few images lies of one of many (Chong and Forsyth 2020); KID has no bias.
_BIAS_OF_FEW = {"fid": "upwards", "is": "downwards"}
_TEXTS = ("Method", "Search space", "Paper", "Note")
_BEHIND = ("Parameters G", "Multiply-adds G", "Search", "Final training", "Paper", "Note")


def board_table(chapter: Chapter) -> Table:
    """The rows by task, best first; below them real test images and the papers' numbers."""
    protocol, board, by_task = chapter.protocol, chapter.board, chapter.by_task
    metrics = dict.fromkeys((board.ranked_by, *metric_names(board.all_rows, spreads=False)))
    # Titles may be equal, names are not.
    titles = {f"{metric}_mean": axis_label(metric, protocol) for metric in metrics}
    first, *rest = titles
    regret = ["Regret ↓"] if have(board.rows, "regret") else []
    names = ["Rank", "Method", "Search space", first, "Seeds", *rest, *regret, *_BEHIND]
    rows = [_cells(row, metrics, first) for found in by_task.values() for row in found]
    foot = [_bound_cells(chapter, metrics)] if chapter.bound["metrics"] else []
    foot += [_paper_cells(row, metrics) for row in board.published]
    headings = {
        task: " · ".join(filter(None, (str(task), chapter.images_of(task)))) for task in by_task
    }
    return Table(
        f"Leaderboard under {protocol}, ranked by {board.ranking_title}",
        [titles.get(name, name) for name in names],
        [[cells.get(name, Cell("")) for name in names] for cells in rows],
        frozenset(k for k, name in enumerate(names) if name not in _TEXTS),
        filters=(1, 2),
        foot=[[cells.get(name, Cell("")) for name in names] for cells in foot],
        headings=[headings[task] for task, found in by_task.items() for _ in found],
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
        map(astuple, found.pairs),
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
    bound = chapter.bound["metrics"].get(chapter.board.ranked_by)
    words = [] if bound is None else [_bound_in_words(chapter, bound)]
    # What the runs say that it lacks, and why.
    notes = sorted({run.record.bound_note for run in chapter.runs} - {""})
    return [*told, *(("real test images", text) for text in (*words, *notes))]


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


def _bound_in_words(chapter: Chapter, bound: float) -> str:
    """The score of real test images, and what a reader must not take it for."""
    metric, number = chapter.board.ranked_by, chapter.bound["num_images"]
    generated = images_scored(chapter.protocol)
    words = f"{shown(bound, 4)} with {number:,} images"
    if generated is None or number >= generated:
        return words
    words += f", fewer than the {generated:,} of the generators"
    if metric not in _BIAS_OF_FEW:
        return words
    name, bias = chapter.board.ranking_title, _BIAS_OF_FEW[metric]
    return f"{words}: {name} is biased {bias} by that, so it is no strict bound"


def _task_in_words(chapter: Chapter, rows: Sequence[LabelledRow]) -> str:
    metric, name = chapter.board.ranked_by, chapter.board.ranking_title
    first = [row for row in rows if row.row["rank"] == 1]
    if not first:
        return f"no row is ranked, as a rank takes {MIN_SEEDS} seeds with a {name}"
    best, *tied = first
    mean, low, high = (best.row[f"{metric}_{what}"] for what in ("mean", "ci_low", "ci_high"))
    words = f"best {name} by {best.series}, {shown(mean, 4)}"
    if low is not None and high is not None:
        seeds = best.row[f"{metric}_n"]
        words += f" (95 % interval {shown(low, 4)} to {shown(high, 4)}, {seeds} seeds)"
    if len(tied) > _MOST_NAMED:
        words += f"; {len(tied)} more rows share the first rank, as their intervals overlap its own"
    elif tied:
        verb = "shares" if len(tied) == 1 else "share"
        names = " and ".join(row.series for row in tied)
        words += f"; {names} {verb} the first rank, as the intervals overlap"
    for row in rows:
        if row.is_average_random and row.row["rank"] != 1 and metric in row.row["metrics"]:
            mean = shown(row.row[f"{metric}_mean"], 4)
            words += f"; the average random architecture has {mean}"
    return words


Cells = dict[str, Cell]
"""By column; a row has nothing in the others."""


def _cells(labelled: LabelledRow, metrics: Iterable[str], first: str) -> Cells:
    row, paper = labelled.row, paper_of(labelled.row)
    mark = "first" if row["rank"] == 1 else ""
    short = row["config_hash"][:6]
    # The configuration's hash, where it is what tells two rows apart.
    settings = f"settings {short}" if labelled.short.endswith(f" #{short}") else ""
    failed = f"{row['n_failed']} failed" if row["n_failed"] else ""
    cells = {
        "Rank": _rank_cell(row),
        "Method": Cell(labelled.series, note=settings, mark=mark),
        "Search space": Cell(labelled.space, mark="space"),
        **{f"{metric}_mean": _metric_cell(row, metric) for metric in metrics},
        "Seeds": Cell(str(row["n_seeds"]), row["n_seeds"], failed, "warn" if failed else ""),
        "Regret ↓": number_cell(row.get("regret")),
        "Parameters G": number_cell(row["generator_parameters"]),
        "Multiply-adds G": number_cell(row["macs"]),
        "Search": _cost_cell(row, "search"),
        "Final training": _cost_cell(row, "final"),
        "Paper": Cell("") if paper is None else Cell(paper.result, note=paper.source),
        "Note": Cell("; ".join(row["note"]), mark="words"),
    }
    return cells | {first: replace(cells[first], mark=mark)}


def _rank_cell(row: Row) -> Cell:
    if row["rank"] is None:
        return Cell("")
    low, high = row["rank_low"], row["rank_high"]
    note = f"{low} to {high}" if low != high else ""
    return Cell(str(row["rank"]), row["rank"], note)


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


def _bound_cells(chapter: Chapter, metrics: Iterable[str]) -> Cells:
    values, number = chapter.bound["metrics"], chapter.bound["num_images"]
    return {
        "Method": Cell("real test images", note=f"{number:,} images"),
        **{f"{m}_mean": Cell(shown(values[m], 4)) for m in metrics if m in values},
    }


def _paper_cells(row: Row, metrics: Iterable[str]) -> Cells:
    """A paper's own numbers, under its own protocol: they do not compare with the others."""
    cells = {}
    for metric in metrics:
        mean, spread = row.get(f"{metric}_mean"), row.get(f"{metric}_within_run_std")
        text = "" if mean is None else shown(mean, 4)
        cells[f"{metric}_mean"] = Cell(text if spread is None else f"{text} ± {shown(spread, 2)}")
    told = [f"{row['dataset']}: {row['source']}", row["protocol"], *row["note"]]
    return {
        "Method": Cell(row["strategy"], mark="words"),
        "Search space": Cell(Task.of(row).space, mark="space"),
        **cells,
        "Parameters G": number_cell(row["generator_parameters"]),
        "Note": Cell("; ".join(told), mark="words"),
    }
