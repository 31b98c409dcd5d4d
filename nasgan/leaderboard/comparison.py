"""Strategies compared over tasks: average ranks, and signed-rank tests corrected for their number.

After Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets (JMLR 7, 2006).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from nasgan.leaderboard.bootstrap import summarise
from nasgan.leaderboard.collection import Problem
from nasgan.leaderboard.rows import Row, Task
from nasgan.leaderboard.tables import (
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
    "comparison_markdown",
    "holm",
    "ranks_csv",
    "signed_rank_p_value",
]

_LEVEL = 0.05


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
        rows: from `nasgan.leaderboard.ranking.rank_rows`, also of several protocols: a task has
            one.
        metric: that they were ranked by.
        problems: takes up why strategies were left out, if no two are left to compare.

    Returns:
        None with fewer than two strategies or two tasks.
    """
    scores: dict[Task, dict[str, list[float]]] = {}
    for row in rows:
        if row.rank is not None and row.strategy != "train":
            of_task = scores.setdefault(row.task, {})
            of_task.setdefault(row.strategy, []).append(row.metrics[metric].mean)
    scores = {task: found for task, found in sorted(scores.items()) if len(found) > 1}
    if len(scores) < 2:
        return None
    left_out: list[Problem] = []
    names = _comparable(scores, left_out)
    if len(names) < 2:
        if problems is not None:
            problems += left_out
        return None
    sign = -1.0 if metric in METRICS and METRICS[metric].direction == "max" else 1.0
    # By strategy its scores in the order of the tasks; less is better.
    values = {name: [sign * scores[task][name][0] for task in scores] for name in names}
    ranks = _strategy_ranks(values)
    return Comparison(
        metric,
        tuple(map(str, scores)),
        tuple(ranks),
        tuple(_pair_tests([rank.strategy for rank in ranks], values)),
        tuple(left_out),
    )


def signed_rank_p_value(differences: Sequence[float]) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test, exact also with equal differences.

    Zeros are left out (Wilcoxon, 1945); without any difference the value is 1.
    """
    sizes = [abs(difference) for difference in differences if difference != 0.0]
    # Twice the ranks: halves, which equal sizes share, become whole numbers.
    doubled = [round(2 * rank) for rank in _ranks(sizes)]
    signed = zip(doubled, (d for d in differences if d != 0.0), strict=True)
    positive = sum(rank for rank, difference in signed if difference > 0)
    ways = Counter({0: 1})
    for rank in doubled:
        with_rank = {total + rank: number for total, number in ways.items()}
        ways.update(with_rank)
    extreme = min(positive, sum(doubled) - positive)
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


def ranks_csv(found: Comparison) -> str:
    """``found`` as CSV: a line for each strategy, with a corrected p-value for each other one."""
    names = [rank.strategy for rank in found.ranks]
    p_values = {(pair.first, pair.second): pair.p_holm for pair in found.pairs}
    p_values |= {(second, first): value for (first, second), value in p_values.items()}
    header = ["strategy", "n_tasks", "average_rank", "average_rank_ci_low"]
    header += ["average_rank_ci_high", "n_best", *(f"p_holm: {name}" for name in names)]
    lines = [csv_line(header)]
    for rank in found.ranks:
        numbers = (rank.average_rank, rank.ci_low, rank.ci_high, rank.n_best)
        tests = (p_values.get((rank.strategy, name)) for name in names)
        lines.append(csv_line([rank.strategy, len(found.tasks), *numbers, *tests]))
    return "".join(lines)


def comparison_markdown(found: Comparison) -> str:
    """``found`` as a section of Markdown."""
    number = len(found.tasks)
    ranks = [
        [
            escape_markdown(rank.strategy),
            short_number(rank.average_rank),
            interval_text(rank.ci_low, rank.ci_high),
            str(rank.n_best),
        ]
        for rank in found.ranks
    ]
    pairs = [
        [
            escape_markdown(pair.first),
            escape_markdown(pair.second),
            f"{pair.n_better} : {pair.n_worse}",
            f"{pair.p_value:.3g}",
            f"{pair.p_holm:.3g}",
        ]
        for pair in found.pairs
    ]
    parts = [
        f"### Average ranks over {number} tasks, by {found.metric}\n",
        markdown_lines(["Strategy", "Average rank", "95 % interval", "Best in tasks"], ranks),
        "Wilcoxon signed-rank tests over the tasks, two-sided and exact, corrected after Holm. "
        f"With {number} tasks and {len(found.pairs)} pairs the least corrected p-value there can "
        f"be is {found.least_p_holm:.3g}.\n",
        markdown_lines(["First", "Second", "Better : worse", "p", "p (Holm)"], pairs),
        "".join(f"- {escape_markdown(str(problem))}\n" for problem in found.left_out),
    ]
    return "\n".join(part for part in parts if part)


def _comparable(
    scores: Mapping[Task, Mapping[str, Sequence[float]]], left_out: list[Problem]
) -> list[str]:
    names = sorted({name for found in scores.values() for name in found})
    kept = []
    for name in names:
        present = [found[name] for found in scores.values() if name in found]
        if len(present) < len(scores):
            why = f"has ranked rows in {len(present)} of {len(scores)} tasks, so is not compared"
            left_out.append(Problem(name, why))
        elif any(len(values) > 1 for values in present):
            why = "has rows of several settings in one task, so is not compared; choose one"
            left_out.append(Problem(name, f"{why} (where.config_hash)"))
        else:
            kept.append(name)
    return kept


def _strategy_ranks(values: Mapping[str, Sequence[float]]) -> list[StrategyRank]:
    by_task = [_ranks(scores) for scores in zip(*values.values(), strict=True)]
    best = [min(scores) for scores in zip(*values.values(), strict=True)]
    found = []
    for k, (name, own) in enumerate(values.items()):
        summary = summarise([ranks[k] for ranks in by_task])
        n_best = sum(value == least for value, least in zip(own, best, strict=True))
        found.append(StrategyRank(name, summary.mean, summary.ci_low, summary.ci_high, n_best))
    return sorted(found, key=lambda rank: (rank.average_rank, rank.strategy))


def _pair_tests(names: Sequence[str], values: Mapping[str, Sequence[float]]) -> list[PairTest]:
    pairs = list(combinations(names, 2))
    differences = [
        [_relative(a, b) for a, b in zip(values[first], values[second], strict=True)]
        for first, second in pairs
    ]
    p_values = [signed_rank_p_value(found) for found in differences]
    return [
        PairTest(
            first,
            second,
            n_better=sum(difference < 0 for difference in found),
            n_worse=sum(difference > 0 for difference in found),
            p_value=p_value,
            p_holm=corrected,
        )
        for (first, second), found, p_value, corrected in zip(
            pairs, differences, p_values, holm(p_values), strict=True
        )
    ]


def _relative(a: float, b: float) -> float:
    return 0.0 if a == b else (a - b) / (abs(a) + abs(b))


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1, the least first; equal values share the mean of their places."""
    ordered = sorted(values)
    first: dict[float, int] = {}
    for place, value in enumerate(ordered):
        first.setdefault(value, place)
    counts = Counter(ordered)
    return [first[value] + (counts[value] + 1) / 2 for value in values]
