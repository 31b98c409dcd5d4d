"""How a leaderboard is made: a pure function of run records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from nasgan.errors import ConfigError, NasganError, UnknownNameError
from nasgan.leaderboard.finding import (
    Selection,
    select_runs,
    selection_of,
)
from nasgan.leaderboard.leaderboard import GROUPS, Leaderboard
from nasgan.leaderboard.published import published_in
from nasgan.leaderboard.ranks import compare_strategies, rank_rows
from nasgan.leaderboard.rows import (
    Row,
    average_random_rows,
    metric_names,
    published_rows,
    run_rows,
)
from nasgan.leaderboard.summaries import (
    Problem,
    RunSummary,
    in_one_wording,
    without_duplicates,
)
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.table import METRICS
from nasgan.runs.record import RunRecord

__all__ = ["build_leaderboard"]

_DEFAULT_RANKING = "fid"
_TRIALS = "debug/"


def build_leaderboard(
    records: Iterable[RunSummary | RunRecord],
    *,
    protocol: str | None = None,
    rank_by: str | None = None,
    where: Mapping[str, Any] | None = None,
    group_by: Sequence[str] = (),
    published: bool = True,
) -> Leaderboard:
    """Put runs together by seed, add the average random architectures, and rank within tasks.

    A row is a strategy (or trained architecture) on a task with one configuration. A run that is
    found several times (equal run id) counts once; of several runs of one row and seed the last
    counts. Both are told in ``problems``, as is a run that repeats another's numbers and times.

    Args:
        records: of `nasgan.leaderboard.finding.find_records`, or whole records.
        protocol: the id to keep; needed where the records that ``where`` keeps have several. Those
            that only trial runs have (of ``+experiment=debug/...``) are left out if that leaves
            one; ``problems`` tells.
        rank_by: metric to rank by; by default FID, or where no run has it the objective of the
            searches.
        where: values to keep by filter; see `nasgan.leaderboard.finding.FILTERS`. The beginning
            of a configuration's hash stands for the whole.
        group_by: what the tables are split by, of `GROUPS`; by default the tasks. Ranks are
            always within one task.
        published: whether to add the papers' rows where the protocol's features are Inception's.

    Raises:
        ConfigError: the records mix protocols, or none has ``protocol``, ``rank_by`` or what a
            filter asks for.
    """
    runs = in_one_wording(
        [RunSummary.of(item) if isinstance(item, RunRecord) else item for item in records]
    )
    for name in group_by:
        if name not in GROUPS:
            raise UnknownNameError("group_by", name, GROUPS)
    # Names that no run has are told before several protocols are: those hide nothing then.
    selection = selection_of(where, runs)
    kept = select_runs(runs, selection)
    if rank_by is not None:
        tried = [random.metrics for run in runs for random in run.random_architectures]
        _check_ranking(rank_by, set().union(*tried, *(run.metrics or () for run in runs)))
    problems: list[Problem] = []
    chosen = _choose_protocol(runs if protocol else kept or runs, protocol, problems)
    of_protocol = [run for run in runs if run.protocol == chosen]
    selected = select_runs(of_protocol, selection, among=f"the runs of {chosen}")
    counted = without_duplicates(selected, problems)
    problems += _repeated(counted)
    rows = run_rows(counted, problems)
    of_seeds = {name for row in rows for name in row["run_ids"]}
    rows += average_random_rows(run for run in counted if run.run_id in of_seeds)
    metric = rank_by or _usual_ranking(counted, metric_names(rows))
    if rank_by is not None:
        _check_ranking(rank_by, metric_names(rows))
    problems += _different_data(rows)
    ranked = rank_rows(rows, metric)
    comparison = compare_strategies(ranked, metric, problems)
    if group_by:
        ranked.sort(key=lambda row: [row[name] for name in group_by])
    return Leaderboard(
        protocol=chosen,
        ranked_by=metric,
        rows=tuple(ranked),
        problems=tuple(problems),
        published=tuple(_published(chosen, rows, selection) if published else ()),
        comparison=comparison,
        selection=selection,
        group_by=tuple(group_by),
    )


def _choose_protocol(
    runs: Sequence[RunSummary], protocol: str | None, problems: list[Problem]
) -> str:
    counts = Counter(run.protocol for run in runs)
    if protocol is not None:
        if runs and protocol not in counts:
            raise UnknownNameError("protocol among these runs", protocol, counts)
        return protocol
    # Several experiments of one run are joined by "+".
    trials = counts.keys() - {
        run.protocol for run in runs if f"+{_TRIALS}" not in f"+{run.experiment}"
    }
    if len(counts) - len(trials) == 1:
        for name in sorted(trials):
            count = counts.pop(name)
            what = "1 trial run" if count == 1 else f"{count} trial runs"
            verb, pronoun = ("is", "it") if count == 1 else ("are", "them")
            told = f"{verb} left out; protocol={name} shows {pronoun}"
            problems.append(Problem(name, f"{what} of +experiment={_TRIALS}... {told}"))
    if len(counts) > 1:
        listed = ", ".join(f"{name} ({count} runs)" for name, count in sorted(counts.items()))
        raise ConfigError(
            f"these runs were scored under {len(counts)} protocols, whose numbers do not compare: "
            f"{listed}; choose one with protocol=ID"
        )
    return next(iter(counts), "")


def _usual_ranking(runs: Sequence[RunSummary], known: Sequence[str]) -> str:
    if _DEFAULT_RANKING in known or not runs:
        return _DEFAULT_RANKING
    return Counter(sorted(run.objective for run in runs)).most_common(1)[0][0]


def _check_ranking(rank_by: str, known: Collection[str]) -> None:
    """Refuse what no run has, or ranks nothing."""
    if known and rank_by not in known:
        raise UnknownNameError("metric among these runs", rank_by, known)
    if rank_by not in METRICS:
        raise ConfigError(
            f"rank_by={rank_by}: whether less or more of it is better is not known here; "
            "install the package that brings this metric"
        )
    if METRICS[rank_by].companion_of is not None:
        raise ConfigError(
            f"rank_by={rank_by}: a spread ranks nothing; take {METRICS[rank_by].companion_of}"
        )


def _repeated(runs: Sequence[RunSummary]) -> Iterator[Problem]:
    """Runs that cannot be runs of their own: another one has all their scores and seconds.

    Equal scores alone are no proof: two strategies may find one architecture with one seed, and
    generators that broke down in the same way may score the same. A table has one score for an
    architecture, whoever finds it.
    """
    first: dict[tuple[Any, ...], RunSummary] = {}
    for run in sorted(runs, key=lambda run: (run.seed, run.run_id)):
        if not run.metrics or run.is_simulated:
            continue
        scores = tuple(sorted(run.metrics.items()))
        # What no two runs share: measured durations, or where there are none the moments.
        measured = (run.search_cost["device_seconds"], run.final_cost["device_seconds"])
        times = measured if any(measured) else (run.started, run.ended)
        other = first.setdefault((scores, *times), run)
        if other is not run:
            message = (
                f"has the scores and seconds of run {other.run_id} (seed {other.seed}), as seed "
                f"{run.seed}: one of them is a copy"
            )
            yield Problem(run.run_id, message, is_grave=True)
            continue
        other = first.setdefault((scores, run.strategy, run.config_hash), run)
        if other.seed != run.seed and run.regret is None:
            message = (
                f"has exactly the scores of run {other.run_id} (seed {other.seed}), as seed "
                f"{run.seed}: make sure that neither is a copy"
            )
            yield Problem(run.run_id, message)


def _published(protocol: str, rows: Sequence[Row], selection: Selection) -> list[Row]:
    """The papers' rows; their IS and FID do not stand in columns of other features."""
    try:
        features = Protocol.parse(protocol).features
    except NasganError:
        return []
    if features != "inceptionv3":
        return []
    return published_rows(published_in((row["dataset"] for row in rows), selection))


def _different_data(rows: Sequence[Row]) -> Iterator[Problem]:
    checksums = sorted({row["dataset_checksum"] for row in rows})
    if len(checksums) > 1:
        yield Problem(
            rows[0]["protocol"],
            f"the runs were trained on {len(checksums)} different image sets of this name "
            f"(checksums {', '.join(text[:16] for text in checksums)}): they are ranked apart",
        )
