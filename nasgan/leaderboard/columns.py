"""The columns of the leaderboard, one list for frames, files, pages and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nasgan.leaderboard.amounts import interval_text, short_number
from nasgan.leaderboard.rows import FINAL_UNITS, SEARCH_UNITS, STATISTICS, Row, Task
from nasgan.leaderboard.selection import MIN_PREFIX
from nasgan.metrics.table import METRICS

__all__ = [
    "KEY_COLUMNS",
    "Cell",
    "Column",
    "cells_of",
    "columns",
    "text_of",
    "title_of",
    "value_text",
]

Cell = str | int | float | None

KEY_COLUMNS = (
    "strategy",
    "search_space",
    "num_classes",
    "architecture",
    "dataset",
    "budget",
    "protocol",
    "source",
    "config_hash",
    "dataset_checksum",
)
"""What no two rows of a leaderboard share."""


class Column(NamedTuple):
    """What a column holds.

    Attributes:
        unit: of its numbers; empty for texts, and for numbers without a unit.
        meaning: in a sentence.
        title: what stands above it where people read; empty for what is only in files.
        text: a row's cell as a person reads it, where it is not the cell itself.
    """

    unit: str
    meaning: str
    title: str = ""
    text: Callable[[Row], str] | None = None


def columns(
    metrics: Iterable[str], *, with_fronts: bool = False, with_regret: bool = False
) -> dict[str, Column]:
    """All columns in order, by name.

    Args:
        metrics: those that have columns.
        with_fronts: whether there are searches by several objectives.
        with_regret: whether a table judged what was found.
    """
    found = dict(_IDENTITY)
    for metric in metrics:
        found |= _metric_columns(metric)
    judged = _JUDGED if with_regret else {}
    return {**found, **judged, **_DETAILS, **(_FRONTS if with_fronts else {}), **_LAST}


def cells_of(row: Row, names: Iterable[str], shared: Mapping[str, Any]) -> dict[str, Cell]:
    """A row's cells as files hold them: several texts joined, None for what it has not.

    Args:
        row: the row.
        names: of its columns.
        shared: the cells that all rows of a leaderboard share.
    """
    values = ((name, shared.get(name, row.get(name))) for name in names)
    return {name: "; ".join(value) if isinstance(value, tuple) else value for name, value in values}


def title_of(name: str) -> str:
    """What stands above a column where people read."""
    return _READ[name].title


def text_of(row: Row, name: str) -> str:
    """A row's cell as a person reads it; empty for what it has not."""
    text, value = _READ[name].text, row.get(name)
    if text is not None:
        return text(row)
    return short_number(value) if isinstance(value, float) else "" if value is None else str(value)


def value_text(row: Row, metric: str) -> str:
    """A row's mean ± standard deviation (interval); the mean alone where that is all there is."""
    mean, std, low, high = (row.get(f"{metric}_{name}") for name in STATISTICS[:4])
    if std is None or low is None or high is None:
        return short_number(mean)
    return f"{short_number(mean)} ± {short_number(std)} ({interval_text(low, high)})"


def _rank_text(row: Row) -> str:
    """A row's rank, and those that the intervals allow if they are others."""
    if row["rank"] is None:
        return ""
    low, high = row["rank_low"], row["rank_high"]
    return f"{row['rank']} ({low} to {high})" if low != high else str(row["rank"])


def _metric_columns(metric: str) -> dict[str, Column]:
    """The statistics of one metric; of a spread within a run only its mean over the seeds."""
    companion_of = METRICS[metric].companion_of if metric in METRICS else None
    if companion_of is not None:
        meaning = "the spread within a run (over splits or subsets), averaged over seeds"
        return {f"{companion_of}_within_run_std": Column("of the metric", meaning)}
    return {
        f"{metric}_{name}": Column("of the metric", meaning)
        for name, meaning in zip((*STATISTICS, "best"), _STATISTICS, strict=True)
    }


_STATISTICS: Sequence[str] = (
    "the mean over seeds",
    "the sample standard deviation over seeds (n - 1)",
    "the lower end of the 95 % bootstrap interval of the mean",
    "the upper end",
    "the median over seeds",
    "the best seed",
)
_UNITS = {
    "architectures": "architectures",
    "generator_steps": "steps",
    "images": "images",
    "device_seconds": "s",
}
_SHORT = {"generator_steps": "steps", "device_seconds": "device s"}
_PHASES = (
    ("search", "the search", SEARCH_UNITS),
    ("final", "training and scoring the result", FINAL_UNITS),
)

_IDENTITY: dict[str, Column] = {
    "rank": Column(
        "", "rank within the task; rows whose interval overlaps the best one's share it",
        "Rank", _rank_text,
    ),
    "rank_low": Column("", "the best rank that the intervals allow"),
    "rank_high": Column("", "the worst rank that the intervals allow"),
    "strategy": Column(
        "", "the strategy; `train` for a given architecture, `published: ...` for a paper's number",
        "Strategy",
    ),
    "search_space": Column(
        "", "the search space", "Search space", lambda row: Task.of(row).space
    ),
    "num_classes": Column("classes", "of class-conditional networks; 0 for unconditional ones"),
    "architecture": Column(
        "", "name or id of a given architecture; empty for a search", "Architecture"
    ),
    "dataset": Column("", "the image set", "Dataset"),
    "budget": Column(
        "", "the limits of the search, and how long how many results were trained"
    ),
    "protocol": Column("", "how it was scored: an id, or in words for a paper's number"),
    "source": Column("", "`run records`, or the paper that says so"),
    "n_seeds": Column("seeds", "with a result", "Seeds"),
    "n_failed": Column("seeds", "without a result", "Failed"),
}  # fmt: skip
_DETAILS: dict[str, Column] = {
    "generator_parameters_m": Column(
        "millions", "parameters of the generator, mean over seeds", "Params G (M)"
    ),
    "discriminator_parameters_m": Column(
        "millions", "parameters of the discriminator, mean over seeds"
    ),
    "macs_g": Column(
        "billions", "multiply-adds of the generator for one image, mean over seeds", "MACs (G)"
    ),
    **{
        f"{phase}_{unit}": Column(
            _UNITS[unit], f"spent on {what}, mean over seeds",
            f"{phase.capitalize()} {_SHORT.get(unit, unit)}",
        )
        for phase, what, units in _PHASES
        for unit in units
    },
    "hardware": Column("", "the devices"),
    "versions": Column("", "of nasgan and the packages that move numbers"),
    "commit": Column("", "of nasgan's checkout; `+dirty` if it had changes"),
    "config_hash": Column(
        "", "of the configuration without the seed", "Config",
        lambda row: str(row["config_hash"][:MIN_PREFIX]),
    ),
    "dataset_checksum": Column("", "of the images trained on"),
    "run_ids": Column("", "the runs, failed ones too"),
    "tuning_budget": Column("", "what was spent on tuning the settings before, in words"),
    "paper_result": Column("", "the paper's number for this row"),
    "paper_protocol": Column("", "how the paper took it, and where it stands"),
}  # fmt: skip
_JUDGED: dict[str, Column] = {
    "regret": Column(
        "of the objective",
        "by how much the result is worse than the best that the table knows, mean over seeds",
        "Regret",
    ),
}
_FRONTS: dict[str, Column] = {
    "objectives": Column(
        "", "of a search by several; the ranks go by the result that is best in the first"
    ),
    "front_size": Column(
        "architectures", "on the Pareto front of such a search, mean over seeds"
    ),
}  # fmt: skip
_LAST: dict[str, Column] = {
    "ranked_by": Column("", "the metric behind the ranks"),
    "selection": Column("", "the filters that chose the runs, as JSON; empty if there were none"),
    "note": Column("", "what a reader has to know", "Note", lambda row: "; ".join(row["note"])),
}
_READ = {**_IDENTITY, **_JUDGED, **_DETAILS, **_LAST}
