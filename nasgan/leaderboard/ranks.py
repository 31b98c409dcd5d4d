"""Ranks that do not claim more than the seeds support, and strategies compared over tasks.

The comparison is after Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets (JMLR
7, 2006): average ranks, and signed-rank tests corrected for their number.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import attrgetter, itemgetter

import pandas as pd

from nasgan.leaderboard.bootstrap import summarise
from nasgan.leaderboard.rows import MIN_SEEDS, Row, Task
from nasgan.leaderboard.summaries import Problem, grouped
from nasgan.leaderboard.texts import (
    Cell,
    csv_line,
    escape_markdown,
    interval_text,
    markdown_lines,
    short_number,
)
from nasgan.metrics.table import METRICS

__all__ = [
    "Comparison",
    "PairTest",
    "StrategyRank",
    "compare_strategies",
    "holm",
    "rank_rows",
    "signed_rank_p_value",
]

_LEVEL = 0.05


def rank_rows(rows: Sequence[Row], metric: str) -> list[Row]:
    """Rank the ``rows`` of each task by the mean of ``metric``: by task, best first.

    The best row and all rows whose 95 % interval overlaps its interval share rank 1; of the
    others, the best and those that overlap it share the next rank, and so on. A rank is one more
    than the number of rows before it. What the intervals leave open is ``rank_low`` to
    ``rank_high``: all rows but those whose interval lies wholly on one side may change places.
    Rows with fewer than three seeds get no rank, and a note; they follow the others of their task.
    Nor do rows without the metric, or any row if it is unknown here which way the metric points.
    """
    by_task = grouped(rows, Task.of)
    return [row for task in sorted(by_task) for row in _rank(by_task[task], metric)]


def _rank(rows: Sequence[Row], metric: str) -> list[Row]:
    enough: list[Row] = []
    unranked: list[Row] = []
    for row in sorted(rows, key=lambda row: _order(row, metric)):
        why = _why_not(row, metric)
        if why:
            unranked.append({**row, "note": (*row["note"], f"not ranked: {why}")})
        else:
            enough.append(row)
    intervals = [_interval(row, metric) for row in enough]
    lows, highs = sorted(low for low, _ in intervals), sorted(high for _, high in intervals)
    left = list(range(len(enough)))
    ranked: list[Row] = []
    while left:
        best_low, best_high = intervals[left[0]]
        shares = {k: intervals[k][0] <= best_high and best_low <= intervals[k][1] for k in left}
        rank = len(ranked) + 1
        for k in filter(shares.get, left):
            low, high = intervals[k]
            open_ranks = (1 + bisect_left(highs, low), bisect_right(lows, high))
            names = ("rank", "rank_low", "rank_high")
            ranked.append({**enough[k], **dict(zip(names, (rank, *open_ranks), strict=True))})
        left = [k for k in left if not shares[k]]
    return ranked + unranked


def _why_not(row: Row, metric: str) -> str:
    """Why a row gets no rank; empty if it gets one."""
    has_it = metric in row["metrics"]
    if has_it and metric not in METRICS:
        return f"whether less or more of {metric} is better is not known here"
    if row["n_seeds"] and not has_it:
        return f"no {metric}"
    few = not has_it or row[f"{metric}_n"] < MIN_SEEDS
    return f"fewer than {MIN_SEEDS} seeds" if few else ""


def _order(row: Row, metric: str) -> tuple[float, str, str, str, str]:
    """Best mean first; names make the order of equal rows the same everywhere."""
    mean = row.get(f"{metric}_mean")
    key = float("inf") if mean is None else _sign(metric) * mean
    return key, row["strategy"], row["search_space"], row["architecture"], row["config_hash"]


def _sign(metric: str) -> float:
    """What makes less better."""
    return -1.0 if metric in METRICS and METRICS[metric].direction == "max" else 1.0


def _interval(row: Row, metric: str) -> tuple[float, float]:
    """The interval such that less is better; without one the mean stands for it."""
    mean, sign = row[f"{metric}_mean"], _sign(metric)
    ends = [row[f"{metric}_{end}"] for end in ("ci_low", "ci_high")]
    low, high = sorted(sign * (mean if end is None else end) for end in ends)
    return low, high


@dataclass(frozen=True)
class StrategyRank:
    """One strategy over all tasks.

    Attributes:
        strategy: its name.
        average_rank: mean of its ranks among the compared strategies, from 1.
        ci_low: lower end of the 95 % bootstrap interval over tasks.
        ci_high: upper end.
        n_best: tasks in which it has the best mean.
    """

    strategy: str
    average_rank: float
    ci_low: float | None
    ci_high: float | None
    n_best: int

    @property
    def texts(self) -> tuple[str, str, str]:
        """For people: the average, its interval, and in how many tasks it is best."""
        interval = interval_text(self.ci_low, self.ci_high)
        return short_number(self.average_rank), interval, str(self.n_best)


@dataclass(frozen=True)
class PairTest:
    """Two strategies over all tasks.

    Attributes:
        first: the one of the better average rank.
        second: the other.
        n_better: tasks in which the first has the better mean.
        n_worse: tasks in which the second has.
        p_value: of the exact two-sided Wilcoxon signed-rank test.
        p_holm: the same, corrected for the number of pairs.
    """

    first: str
    second: str
    n_better: int
    n_worse: int
    p_value: float
    p_holm: float


@dataclass(frozen=True)
class Comparison:
    """The strategies that have a ranked row in every task.

    Attributes:
        metric: what was compared.
        tasks: in words.
        ranks: best first.
        pairs: in the order of the ranks.
        left_out: strategies that could not be compared, and why.
    """

    metric: str
    tasks: tuple[str, ...]
    ranks: tuple[StrategyRank, ...]
    pairs: tuple[PairTest, ...]
    left_out: tuple[Problem, ...]

    @property
    def differing(self) -> tuple[PairTest, ...]:
        """The pairs that differ at the 5 % level after Holm's correction."""
        return tuple(pair for pair in self.pairs if pair.p_holm <= _LEVEL)

    @property
    def least_p_holm(self) -> float:
        """The least corrected p-value that so many tasks and pairs allow.

        Holm's correction multiplies the least p-value by the number of pairs.
        """
        return min(1.0, len(self.pairs) * 2.0 ** (1 - len(self.tasks)))

    def to_csv(self) -> str:
        """A line for each strategy, with a corrected p-value for each other one."""
        names = [rank.strategy for rank in self.ranks]
        tests = {(pair.first, pair.second): pair.p_holm for pair in self.pairs}
        tests |= {(second, first): value for (first, second), value in tests.items()}
        header = ["strategy", "n_tasks", "average_rank", "average_rank_ci_low"]
        header += ["average_rank_ci_high", "n_best", *(f"p_holm: {name}" for name in names)]
        lines: list[Sequence[Cell]] = [header]
        for rank in self.ranks:
            numbers = (rank.average_rank, rank.ci_low, rank.ci_high, rank.n_best)
            own = (tests.get((rank.strategy, name)) for name in names)
            lines.append([rank.strategy, len(self.tasks), *numbers, *own])
        return "".join(map(csv_line, lines))

    def to_markdown(self) -> str:
        """A section: the average ranks, the tests, and who was left out."""
        number = len(self.tasks)
        ranks = [(escape_markdown(rank.strategy), *rank.texts) for rank in self.ranks]
        pairs = [
            (
                escape_markdown(pair.first),
                escape_markdown(pair.second),
                f"{pair.n_better} : {pair.n_worse}",
                f"{pair.p_value:.3g}",
                f"{pair.p_holm:.3g}",
            )
            for pair in self.pairs
        ]
        parts = (
            f"### Average ranks over {number} tasks, by {self.metric}\n",
            markdown_lines(("Strategy", "Average rank", "95 % interval", "Best in tasks"), ranks),
            "Wilcoxon signed-rank tests over the tasks, two-sided and exact, corrected after Holm. "
            f"With {number} tasks and {len(self.pairs)} pairs the least corrected p-value there "
            f"can be is {self.least_p_holm:.3g}.\n",
            markdown_lines(("First", "Second", "Better : worse", "p", "p (Holm)"), pairs),
            "".join(f"- {escape_markdown(str(problem))}\n" for problem in self.left_out),
        )
        return "\n".join(filter(None, parts))


def compare_strategies(
    rows: Sequence[Row], metric: str, problems: list[Problem] | None = None
) -> Comparison | None:
    """Compare the strategies whose rows have ranks, over the tasks that have several of these.

    The trainings of given architectures are no strategies; the average random architecture stands
    beside them. A strategy is left out where it lacks a task, as ranks among fewer do not compare,
    or has rows of several settings in one, as choosing the better one afterwards would favour it.
    The differences that the test ranks are relative, ``(a - b) / (|a| + |b|)``: tasks differ in
    scale.

    Args:
        rows: from `rank_rows`, also of several protocols: a task has one.
        metric: that they were ranked by.
        problems: takes up why strategies were left out, if no two are left to compare.

    Returns:
        None with fewer than two strategies or two tasks.
    """
    ranked = [row for row in rows if row["rank"] is not None and row["strategy"] != "train"]
    by_task = {
        task: grouped(found, itemgetter("strategy"))
        for task, found in sorted(grouped(ranked, Task.of).items())
    }
    scores = {task: found for task, found in by_task.items() if len(found) > 1}
    if len(scores) < 2:
        return None
    left_out: list[Problem] = []
    names = _comparable(scores, left_out)
    if len(names) < 2:
        if problems is not None:
            problems += left_out
        return None
    # A line for each task, a column for each strategy; less is better.
    values = pd.DataFrame(
        [
            {name: _sign(metric) * found[name][0][f"{metric}_mean"] for name in names}
            for found in scores.values()
        ]
    )
    ranks = _strategy_ranks(values)
    return Comparison(
        metric,
        tuple(map(str, scores)),
        tuple(ranks),
        tuple(_pair_tests([rank.strategy for rank in ranks], values)),
        tuple(left_out),
    )


def _comparable(
    scores: Mapping[Task, Mapping[str, Sequence[Row]]], left_out: list[Problem]
) -> list[str]:
    kept = []
    for name in sorted({name for found in scores.values() for name in found}):
        present = [found[name] for found in scores.values() if name in found]
        if len(present) < len(scores):
            why = f"has ranked rows in {len(present)} of {len(scores)} tasks, so is not compared"
            left_out.append(Problem(name, why))
        elif any(len(same) > 1 for same in present):
            why = "has rows of several settings in one task, so is not compared; choose one"
            left_out.append(Problem(name, f"{why} (where.config_hash)"))
        else:
            kept.append(name)
    return kept


def _strategy_ranks(values: pd.DataFrame) -> list[StrategyRank]:
    ranks, n_best = values.rank(axis=1), values.eq(values.min(axis=1), axis=0).sum()
    found = []
    for name in values:
        of = summarise(ranks[name].tolist())
        found.append(StrategyRank(name, of.mean, of.ci_low, of.ci_high, int(n_best[name])))
    return sorted(found, key=attrgetter("average_rank", "strategy"))


def _pair_tests(names: Sequence[str], values: pd.DataFrame) -> list[PairTest]:
    pairs = list(combinations(names, 2))
    sizes = values.abs()
    # Relative: tasks differ in scale. Two zeros do not differ.
    differences = [((values[a] - values[b]) / (sizes[a] + sizes[b])).fillna(0.0) for a, b in pairs]
    p_values = [signed_rank_p_value(found.tolist()) for found in differences]
    return [
        PairTest(*pair, int((found < 0).sum()), int((found > 0).sum()), p_value, corrected)
        for pair, found, p_value, corrected in zip(
            pairs, differences, p_values, holm(p_values), strict=True
        )
    ]


def signed_rank_p_value(differences: Sequence[float]) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test, exact also with equal differences.

    Zeros are left out (Wilcoxon, 1945); without any difference the value is 1. The ways to each sum
    of ranks are counted: scipy's exact test takes no equal differences, and its permutations are
    2^n for n tasks.
    """
    known = pd.Series([difference for difference in differences if difference != 0.0], dtype=float)
    # Twice the ranks: halves, which equal sizes share, become whole numbers.
    doubled = known.abs().rank().mul(2).round().astype(int)
    positive, ways = int(doubled[known > 0].sum()), Counter({0: 1})
    for rank in doubled.tolist():
        ways.update({total + rank: number for total, number in ways.items()})
    extreme = min(positive, int(doubled.sum()) - positive)
    tail = sum(number for total, number in ways.items() if total <= extreme)
    return float(min(1.0, 2 * tail / 2 ** len(doubled)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): the family-wise error stays below the level."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for step, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[i]))
        corrected[i] = highest
    return corrected
