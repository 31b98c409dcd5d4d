"""The columns of the leaderboard, one list for frames, files, pages and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from nasgan.errors import NasganError
from nasgan.leaderboard.finding import MIN_PREFIX
from nasgan.leaderboard.rows import FINAL_UNITS, STATISTICS, Row, Task, spread_of
from nasgan.leaderboard.texts import interval_text, short_number
from nasgan.metrics.protocol import display_name
from nasgan.runs.parts import UNITS

__all__ = ["KEY_COLUMNS", "Column", "columns", "metric_title"]

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
        name: in frames and files.
        unit: of its numbers; empty for texts, and for numbers without a unit.
        meaning: in a sentence.
        title: what stands above it where people read; empty for what is only in files.
        text: a row's cell as a person reads it, where it is not the cell itself.
    """

    name: str
    unit: str
    meaning: str
    title: str = ""
    text: Callable[[Row], str] | None = None

    def of(self, row: Row) -> str:
        """A row's cell as a person reads it; empty for what it has not."""
        if self.text is not None:
            return self.text(row)
        value = row.get(self.name)
        if isinstance(value, float):
            return short_number(value)
        return "" if value is None else str(value)


def columns(
    metrics: Iterable[str],
    protocol: str = "",
    *,
    with_fronts: bool = False,
    with_regret: bool = False,
) -> dict[str, Column]:
    """All columns in order, by name.

    Args:
        metrics: those that have columns.
        protocol: under which they were taken: it is in the titles of their means.
        with_fronts: whether there are searches by several objectives.
        with_regret: whether a table judged what was found.
    """
    scores = (column for metric in metrics for column in _metric_columns(metric, protocol))
    judged = _JUDGED if with_regret else ()
    fronts = _FRONTS if with_fronts else ()
    found = (*_IDENTITY, *scores, *judged, *_DETAILS, *fronts, *_LAST)
    return {column.name: column for column in found}


def metric_title(metric: str, protocol: str) -> str:
    """A metric's name with its features unless these are Inception's."""
    try:
        return display_name(metric, protocol)
    except NasganError:
        # A metric or a form of id that this version does not know: never shown as a plain FID.
        return f"{metric} ({protocol})"


def _value_text(row: Row, metric: str) -> str:
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


def _metric_columns(metric: str, protocol: str) -> list[Column]:
    """The statistics of one metric; of a spread within a run only its mean over the seeds."""
    of = spread_of(metric)
    if of is not None:
        meaning = "the spread within a run (over splits or subsets), averaged over seeds"
        return [Column(f"{of}_within_run_std", "of the metric", meaning)]
    shown = metric_title(metric, protocol), partial(_value_text, metric=metric)
    return [
        Column(f"{metric}_{name}", "of the metric", meaning, *(shown if name == "mean" else ()))
        for name, meaning in zip((*STATISTICS, "best"), _STATISTICS, strict=True)
    ]


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
    ("search", "the search", UNITS),
    ("final", "training and scoring the result", FINAL_UNITS),
)

_IDENTITY = (
    Column(
        "rank", "", "rank within the task; rows whose interval overlaps the best one's share it",
        "Rank", _rank_text,
    ),
    Column("rank_low", "", "the best rank that the intervals allow"),
    Column("rank_high", "", "the worst rank that the intervals allow"),
    Column(
        "strategy", "",
        "the strategy; `train` for a given architecture, `published: ...` for a paper's number",
        "Strategy",
    ),
    Column(
        "search_space", "", "the search space", "Search space", lambda row: Task.of(row).space
    ),
    Column("num_classes", "classes", "of class-conditional networks; 0 for unconditional ones"),
    Column(
        "architecture", "", "name or id of a given architecture; empty for a search", "Architecture"
    ),
    Column("dataset", "", "the image set", "Dataset"),
    Column("budget", "", "the limits of the search, and how long how many results were trained"),
    Column("protocol", "", "how it was scored: an id, or in words for a paper's number"),
    Column("source", "", "`run records`, or the paper that says so"),
    Column("n_seeds", "seeds", "with a result", "Seeds"),
    Column("n_failed", "seeds", "without a result", "Failed"),
)  # fmt: skip
_DETAILS = (
    Column(
        "generator_parameters_m", "millions", "parameters of the generator, mean over seeds",
        "Params G (M)",
    ),
    Column(
        "discriminator_parameters_m", "millions", "parameters of the discriminator, mean over seeds"
    ),
    Column(
        "macs_g", "billions", "multiply-adds of the generator for one image, mean over seeds",
        "MACs (G)",
    ),
    *(
        Column(
            f"{phase}_{unit}", _UNITS[unit], f"spent on {what}, mean over seeds",
            f"{phase.capitalize()} {_SHORT.get(unit, unit)}",
        )
        for phase, what, units in _PHASES
        for unit in units
    ),
    Column("hardware", "", "the devices"),
    Column("versions", "", "of nasgan and the packages that move numbers"),
    Column("commit", "", "of nasgan's checkout; `+dirty` if it had changes"),
    Column(
        "config_hash", "", "of the configuration without the seed", "Config",
        lambda row: str(row["config_hash"][:MIN_PREFIX]),
    ),
    Column("dataset_checksum", "", "of the images trained on"),
    Column("run_ids", "", "the runs, failed ones too"),
    Column("tuning_budget", "", "what was spent on tuning the settings before, in words"),
    Column("paper_result", "", "the paper's number for this row"),
    Column("paper_protocol", "", "how the paper took it, and where it stands"),
)  # fmt: skip
_JUDGED = (
    Column(
        "regret",
        "of the objective",
        "by how much the result is worse than the best that the table knows, mean over seeds",
        "Regret",
    ),
)
_FRONTS = (
    Column(
        "objectives", "",
        "of a search by several; the ranks go by the result that is best in the first",
    ),
    Column("front_size", "architectures", "on the Pareto front of such a search, mean over seeds"),
)  # fmt: skip
_LAST = (
    Column("ranked_by", "", "the metric behind the ranks"),
    Column("selection", "", "the filters that chose the runs, as JSON; empty if there were none"),
    Column("note", "", "what a reader has to know", "Note", lambda row: "; ".join(row["note"])),
)
