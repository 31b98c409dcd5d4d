"""What simulated searches say together, as files: Markdown, CSV and a diagram."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nasgan import atomic
from nasgan.leaderboard.amounts import interval_text, short_number
from nasgan.leaderboard.bootstrap import Summary
from nasgan.leaderboard.searches import (
    CriticalDifference,
    Moment,
    SearchLine,
    critical_difference,
    over_time,
)
from nasgan.leaderboard.tables import (
    csv_line,
    escape_markdown,
    markdown_lines,
)
from nasgan.report.diagrams import critical_difference_svg
from nasgan.runs.simulations import SimulationFile

__all__ = ["budget_unit", "cells_of", "heads_of", "sentence", "write_summary"]

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
    atomic.write_texts(files)
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
    )


def cells_of(line: SearchLine, file: SimulationFile) -> tuple[str, ...]:
    """One strategy, for people."""
    searches = (line.judged.n if line.judged else 0) + line.without_result
    return (
        line.strategy,
        str(searches),
        _interval(line.judged),
        short_number(_regret(line, file)),
        _interval(line.gain),
        _interval(line.better),
        _interval(line.rank),
        f"{line.generator_steps:.0f}",
    )


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
    yield f"# {escape_markdown(made['table'])}: {made['seeds']} searches a strategy\n"
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
            [escape_markdown(line.strategy), *_course(moments, line.strategy, name)]
            for line in last.lines
        ]
        yield markdown_lines(head, body)


def _course(moments: Sequence[Moment], strategy: str, name: str) -> Iterator[str]:
    for moment in moments:
        (line,) = (line for line in moment.lines if line.strategy == strategy)
        yield _interval(getattr(line, name))


def _csv(moments: Sequence[Moment], file: SimulationFile, unit: str) -> Iterator[str]:
    made, ends = file.made, ("", "_low", "_high")
    columns = [f"{name}{end}" for name in _MEANS for end in ends]
    yield csv_line(["protocol", "metric", "strategy", unit, "without_result", "regret", *columns])
    for moment in moments:
        for line in moment.lines:
            yield csv_line(
                [
                    made["protocol"],
                    made["metric"],
                    line.strategy,
                    float(moment.spent),
                    line.without_result,
                    _regret(line, file),
                    *(cell for name in _MEANS for cell in _numbers(getattr(line, name))),
                ]
            )


def _numbers(summary: Summary | None) -> tuple[float | None, float | None, float | None]:
    return (
        (None, None, None) if summary is None else (summary.mean, summary.ci_low, summary.ci_high)
    )
