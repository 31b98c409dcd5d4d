"""The leaderboard: a pure function of run records."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nasgan import atomic
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.results.collection import Problem, RunSummary, find_records
from nasgan.results.ranking import rank_rows
from nasgan.results.record import RunRecord
from nasgan.results.rows import Row, average_random_rows, run_rows
from nasgan.results.tables import csv_text, escape_markdown, markdown_table, metric_names

__all__ = ["Leaderboard", "Problem", "RunSummary", "build_leaderboard", "find_records"]

_DEFAULT_RANKING = "fid"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Leaderboard:
    """Ranked rows of one protocol.

    Attributes:
        protocol: its id; empty if there are no rows.
        ranked_by: the metric behind the ranks.
        rows: best first, those without a rank last.
        problems: what a reader has to know about the records: duplicates, runs not counted.
    """

    protocol: str
    ranked_by: str
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()

    def to_csv(self) -> str:
        """The rows as CSV; the columns are those of `nasgan.results.tables.column_cells`."""
        return csv_text(self.rows)

    def to_markdown(self) -> str:
        """The rows as a Markdown table, with the protocol before and the problems after it."""
        if not self.rows:
            return "No runs.\n"
        parts = [
            f"Protocol `{self.protocol}`, ranked by {self.ranked_by}: mean ± standard deviation "
            "over seeds (95 % bootstrap interval). Rows whose interval overlaps the best one's "
            "share its rank.\n",
            markdown_table(self.rows, self.protocol),
        ]
        if self.problems:
            parts.append("".join(f"- {escape_markdown(str(item))}\n" for item in self.problems))
        return "\n".join(parts)

    def write(self, path: str | Path) -> None:
        """Write the leaderboard atomically, as Markdown to a file ending in .md, else as CSV.

        Raises:
            StorageError: the file cannot be written.
        """
        path = Path(path)
        is_markdown = path.suffix.lower() in (".md", ".markdown")
        atomic.write_text(path, self.to_markdown() if is_markdown else self.to_csv())


def build_leaderboard(
    records: Iterable[RunSummary | RunRecord],
    *,
    protocol: str | None = None,
    rank_by: str | None = None,
) -> Leaderboard:
    """Put runs together by seed, add the average random architectures, and rank.

    A row is a strategy (or trained architecture) in a space on a data set under a protocol with
    one configuration. A run that is found several times (equal run id) counts once; of several
    runs of one row and seed the last counts. Both are told in ``problems``.

    Args:
        records: of `find_records`, or whole records.
        protocol: the id to keep; needed where the records have several.
        rank_by: metric to rank by; by default FID, or where no run has it the objective of the
            searches.

    Raises:
        ConfigError: the records mix protocols, or none has ``protocol`` or ``rank_by``.
    """
    runs = [RunSummary.of(item) if isinstance(item, RunRecord) else item for item in records]
    chosen = _choose_protocol(runs, protocol)
    problems: list[Problem] = []
    counted = _without_duplicates([run for run in runs if run.protocol == chosen], problems)
    rows = run_rows(counted, problems) + average_random_rows(counted)
    metric = _choose_metric(counted, rows, rank_by)
    problems += _different_data(rows)
    for problem in problems:
        logger.info("%s", problem)
    return Leaderboard(chosen, metric, tuple(rank_rows(rows, metric)), tuple(problems))


def _choose_protocol(runs: Sequence[RunSummary], protocol: str | None) -> str:
    counts = Counter(run.protocol for run in runs)
    if protocol is not None:
        if runs and protocol not in counts:
            raise UnknownNameError("protocol among these runs", protocol, counts)
        return protocol
    if len(counts) > 1:
        listed = ", ".join(f"{name} ({count} runs)" for name, count in sorted(counts.items()))
        raise ConfigError(
            f"these runs were scored under {len(counts)} protocols, whose numbers do not compare: "
            f"{listed}; choose one with protocol=ID"
        )
    return next(iter(counts), "")


def _choose_metric(runs: Sequence[RunSummary], rows: Sequence[Row], rank_by: str | None) -> str:
    known = metric_names(rows)
    if rank_by is not None:
        if known and rank_by not in known:
            raise UnknownNameError("metric among these runs", rank_by, known)
        return rank_by
    if _DEFAULT_RANKING in known or not runs:
        return _DEFAULT_RANKING
    return Counter(sorted(run.objective for run in runs)).most_common(1)[0][0]


def _without_duplicates(runs: Sequence[RunSummary], problems: list[Problem]) -> list[RunSummary]:
    """Each run id once: copies are merged, of different contents the one that ended last stays."""
    by_id: dict[str, list[RunSummary]] = {}
    for run in runs:
        by_id.setdefault(run.run_id, []).append(run)
    kept: list[RunSummary] = []
    for run_id, same in by_id.items():
        latest = max(same, key=lambda run: (run.ended, run.started))
        kept.append(latest)
        if len(same) == 1:
            continue
        places = ", ".join(str(run.path) for run in same if run.path is not None)
        copies = {replace(run, path=None) == replace(latest, path=None) for run in same} == {True}
        message = f"found {len(same)} times, counted once"
        if not copies:
            message += f": the contents differ, the one that ended at {latest.ended} counts"
        problems.append(Problem(run_id, message + (f" ({places})" if places else "")))
    return kept


def _different_data(rows: Sequence[Row]) -> list[Problem]:
    checksums = sorted({row.dataset_checksum for row in rows})
    if len(checksums) < 2:
        return []
    return [
        Problem(
            rows[0].protocol,
            f"the runs were trained on {len(checksums)} different image sets of this name "
            f"(checksums {', '.join(text[:16] for text in checksums)}): they are ranked apart",
        )
    ]
