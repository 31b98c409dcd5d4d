"""The columns of the leaderboard: their names, units, meanings, and what fills their cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nasgan.leaderboard.published import PublishedResult, published_result
from nasgan.leaderboard.rows import FINAL_UNITS, SEARCH_UNITS, Row
from nasgan.metrics.table import METRICS

__all__ = ["FROM_RECORDS", "KEY_COLUMNS", "Cell", "Column", "columns", "metric_names"]

Cell = str | int | float | None

FROM_RECORDS = "run records"
"""The ``source`` of a row that is made of run records."""

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

_MILLION = 1e6
_BILLION = 1e9


class Column(NamedTuple):
    """One column.

    Attributes:
        unit: of its numbers; empty for texts, and for numbers without a unit.
        meaning: in a sentence.
        cell: what gives a row's cell.
    """

    unit: str
    meaning: str
    cell: Callable[[Row], Cell]


def metric_names(rows: Sequence[Row]) -> list[str]:
    """The metrics of ``rows`` in the order of the table of metrics, unknown ones last."""
    present = {name for row in rows for name in row.metrics}
    return [name for name in METRICS if name in present] + sorted(present - set(METRICS))


def columns(
    metrics: Sequence[str],
    *,
    ranked_by: str = "",
    selection: str = "",
    with_fronts: bool = False,
) -> dict[str, Column]:
    """All columns in order, by name.

    Args:
        metrics: those that have columns.
        ranked_by: the metric behind the ranks.
        selection: which runs were chosen, in one line.
        with_fronts: whether there are searches by several objectives.
    """
    found: dict[str, Column] = dict(_IDENTITY)
    for metric in metrics:
        found.update(_metric_columns(metric))
    found.update(_DETAILS)
    if with_fronts:
        found.update(_FRONTS)
    found["ranked_by"] = Column("", "the metric behind the ranks", lambda row: ranked_by)
    found["selection"] = Column(
        "", "the filters that chose the runs, as JSON; empty if there were none",
        lambda row: selection,
    )  # fmt: skip
    found["note"] = Column("", "what a reader has to know", lambda row: _joined(row.notes))
    return found


def _metric_columns(metric: str) -> dict[str, Column]:
    """The statistics of one metric; of a spread within a run only its mean over the seeds."""

    def statistic(name: str) -> Callable[[Row], Cell]:
        def cell(row: Row) -> Cell:
            # Of one number of a paper there are no statistics.
            if metric not in row.metrics or (row.source and name != "mean"):
                return None
            value: float | None = getattr(row.metrics[metric], name)
            return value

        return cell

    companion_of = METRICS[metric].companion_of if metric in METRICS else None
    if companion_of is not None:
        meaning = "the spread within a run (over splits or subsets), averaged over seeds"
        name = f"{companion_of}_within_run_std"
        return {name: Column("of the metric", meaning, statistic("mean"))}
    found = {
        f"{metric}_{name}": Column("of the metric", meaning, statistic(name))
        for name, meaning in _STATISTICS.items()
    }
    found[f"{metric}_best"] = Column(
        "of the metric", "the best seed", lambda row: None if row.source else row.best(metric)
    )
    return found


_STATISTICS = {
    "mean": "the mean over seeds",
    "std": "the sample standard deviation over seeds (n - 1)",
    "ci_low": "the lower end of the 95 % bootstrap interval of the mean",
    "ci_high": "the upper end",
    "median": "the median over seeds",
}


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _joined(texts: Sequence[str]) -> str:
    return "; ".join(texts)


def _paper(row: Row) -> PublishedResult | None:
    return published_result(
        row.strategy,
        row.architecture,
        row.dataset,
        search_space=row.search_space,
        num_classes=row.num_classes,
    )


def _of_paper(name: str) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        paper = _paper(row)
        return "" if paper is None else str(getattr(paper, name))

    return cell


def _paper_protocol(row: Row) -> Cell:
    paper = _paper(row)
    return "" if paper is None else f"{paper.protocol} ({paper.source})"


def _cost(phase: str, unit: str) -> Column:
    def cell(row: Row) -> Cell:
        cost: Mapping[str, float] = getattr(row, f"{phase}_cost")
        return cost.get(unit)

    what = {"search": "spent on the search", "final": "spent on training and scoring the result"}
    return Column(_UNIT_WORDS[unit], f"{what[phase]}, mean over seeds", cell)


_UNIT_WORDS = {
    "architectures": "architectures",
    "generator_steps": "steps",
    "images": "images",
    "device_seconds": "s",
}

_IDENTITY: dict[str, Column] = {
    "rank": Column(
        "", "rank within the task; rows whose interval overlaps the best one's share it",
        lambda row: row.rank,
    ),
    "rank_low": Column("", "the best rank that the intervals allow", lambda row: row.rank_low),
    "rank_high": Column("", "the worst rank that the intervals allow", lambda row: row.rank_high),
    "strategy": Column(
        "", "the strategy; `train` for a given architecture, `published: ...` for a paper's number",
        lambda row: row.strategy,
    ),
    "search_space": Column("", "the search space", lambda row: row.search_space),
    "num_classes": Column(
        "classes", "of class-conditional networks; 0 for unconditional ones",
        lambda row: row.num_classes,
    ),
    "architecture": Column(
        "", "name or id of a given architecture; empty for a search", lambda row: row.architecture
    ),
    "dataset": Column("", "the image set", lambda row: row.dataset),
    "budget": Column(
        "", "the limits of the search, and how long how many results were trained",
        lambda row: row.budget,
    ),
    "protocol": Column(
        "", "how it was scored: an id, or in words for a paper's number", lambda row: row.protocol
    ),
    "source": Column(
        "", "`run records`, or the paper that says so", lambda row: row.source or FROM_RECORDS
    ),
    "n_seeds": Column(
        "seeds", "with a result", lambda row: None if row.source else row.n_seeds
    ),
    "n_failed": Column(
        "seeds", "without a result", lambda row: None if row.source else row.n_failed
    ),
}  # fmt: skip
_DETAILS: dict[str, Column] = {
    "generator_parameters_m": Column(
        "millions", "parameters of the generator, mean over seeds",
        lambda row: _scaled(row.generator_parameters, _MILLION),
    ),
    "discriminator_parameters_m": Column(
        "millions", "parameters of the discriminator, mean over seeds",
        lambda row: _scaled(row.discriminator_parameters, _MILLION),
    ),
    "macs_g": Column(
        "billions", "multiply-adds of the generator for one image, mean over seeds",
        lambda row: _scaled(row.macs, _BILLION),
    ),
    **{f"search_{unit}": _cost("search", unit) for unit in SEARCH_UNITS},
    **{f"final_{unit}": _cost("final", unit) for unit in FINAL_UNITS},
    "hardware": Column("", "the devices", lambda row: _joined(row.provenance.hardware)),
    "versions": Column(
        "", "of nasgan and the packages that move numbers",
        lambda row: _joined(row.provenance.versions),
    ),
    "commit": Column(
        "", "of nasgan's checkout; `+dirty` if it had changes",
        lambda row: _joined(row.provenance.commits),
    ),
    "config_hash": Column(
        "", "of the configuration without the seed", lambda row: row.config_hash
    ),
    "dataset_checksum": Column(
        "", "of the images trained on", lambda row: row.dataset_checksum
    ),
    "run_ids": Column(
        "", "the runs, failed ones too", lambda row: _joined(row.provenance.run_ids)
    ),
    "tuning_budget": Column(
        "", "what was spent on tuning the settings before, in words",
        lambda row: _joined(row.provenance.tuning_budgets),
    ),
    "paper_result": Column("", "the paper's number for this row", _of_paper("result")),
    "paper_protocol": Column("", "how the paper took it, and where it stands", _paper_protocol),
}  # fmt: skip
_FRONTS: dict[str, Column] = {
    "objectives": Column(
        "", "of a search by several; the ranks go by the result that is best in the first",
        lambda row: row.objectives,
    ),
    "front_size": Column(
        "architectures", "on the Pareto front of such a search, mean over seeds",
        lambda row: row.front_size,
    ),
}  # fmt: skip
