"""The best-practice checklist for NAS research (Lindauer & Hutter 2020), ticked from records."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nasgan.leaderboard.rows import MIN_SEEDS
from nasgan.leaderboard.texts import duration
from nasgan.report.chapters import Chapter, Run
from nasgan.report.views import short_commit
from nasgan.run_settings import without_places
from nasgan.runs.environment import packages_named

__all__ = ["Item", "checklist"]

State = Literal["yes", "partly", "no"]

_RANDOM = "random"


@dataclass(frozen=True)
class Item:
    """One point of the list.

    Attributes:
        title: what is asked for.
        state: whether the records show it.
        evidence: what they show.
    """

    title: str
    state: State
    evidence: str


def checklist(chapter: Chapter) -> list[Item]:
    """All points, for the runs of one protocol."""
    return [Item(title, *check(chapter)) for title, check in _CHECKS.items() if chapter.runs]


_Finding = tuple[State, str]


def _code(chapter: Chapter) -> _Finding:
    runs = chapter.runs
    commits = [run.summary.commit for run in runs]
    clean = sum(bool(commit) and not commit.endswith("+dirty") for commit in commits)
    dirty = sum(commit.endswith("+dirty") for commit in commits)
    named = _listed(short_commit(commit) for commit in commits if commit)
    if clean == len(runs):
        return "yes", f"every run names its commit: {named}"
    if not clean and not dirty:
        versions = _listed(run.summary.versions.split(",")[0] for run in runs)
        return "partly", f"no run was made in a checkout, so only versions are known: {versions}"
    missing = len(runs) - clean - dirty
    counts = {"a clean commit": clean, "one with uncommitted changes": dirty, "none": missing}
    parts = [f"{count} name {what}" for what, count in counts.items() if count]
    return "partly", f"of {len(runs)} runs {', '.join(parts)}: {named}"


def _settings(chapter: Chapter) -> _Finding:
    runs = chapter.runs
    changed = [run for run in runs if run.record.computed_hash() != run.summary.config_hash]
    if changed:
        names = _listed(run.name for run in changed)
        return "no", f"the configuration does not match its hash in {len(changed)} runs: {names}"
    seeds = sorted({run.summary.seed for run in runs})
    return "yes", (
        f"every record holds its whole configuration and its seed ({len(seeds)} seeds: "
        f"{_listed(map(str, seeds))}); all {len(runs)} match their hashes"
    )


def _same_pipeline(chapter: Chapter) -> _Finding:
    runs = chapter.runs
    differing = []
    for what, value in (
        ("image set", lambda run: run.summary.dataset_checksum),
        ("version set", _versions_used),
        ("commit", lambda run: run.summary.commit),
        ("trainer setting", lambda run: _frozen(run.record.config.get("trainer"))),
        ("final training", lambda run: _frozen(_final_settings(run))),
        ("metric setting", lambda run: _frozen(without_places(run.record.config).get("metrics"))),
        ("feature network", lambda run: (run.record.content or {}).get("features")),
    ):
        count = len({value(run) for run in runs} - {None})
        if count > 1:
            differing.append(f"{count} different {what}s")
    same = f"one protocol ({chapter.protocol})"
    if differing:
        data_differs = "image set" in differing[0]
        return "no" if data_differs else "partly", f"{same}, but {', '.join(differing)}"
    return "yes", f"{same}, one image set, one code version, one trainer setting for all"


def _equal_budget(chapter: Chapter) -> _Finding:
    searches = [run for run in chapter.runs if run.record.kind == "search"]
    if not searches:
        return "no", "there are no searches"
    budgets: dict[str, set[str]] = {}
    for run in searches:
        budgets.setdefault(run.summary.space_label, set()).add(_frozen(run.record.budget))
    unequal = sorted(space for space, found in budgets.items() if len(found) > 1)
    if unequal:
        return "no", f"searches had different limits in {_listed(unequal)}"
    if all(limit is None for run in searches for limit in run.record.budget.values()):
        return "partly", "no search had a limit, so costs may differ: see the costs in the table"
    limits = searches[0].record.budget
    named = [f"{value:g} {unit.replace('_', ' ')}" for unit, value in limits.items() if value]
    own = "" if len({_frozen(run.record.budget) for run in searches}) > 1 else f": {_listed(named)}"
    return "yes", f"all searches in a space had the same limits{own}"


def _hardware(chapter: Chapter) -> _Finding:
    runs = chapter.runs
    unknown = sum(not run.summary.hardware or not run.summary.versions for run in runs)
    hardware = _listed(run.summary.hardware for run in runs if run.summary.hardware)
    if unknown:
        return "partly", f"{unknown} of {len(runs)} runs do not name theirs; the others: {hardware}"
    if len({run.summary.hardware for run in runs}) > 1:
        return "partly", f"named, but of several kinds, so that seconds do not compare: {hardware}"
    return "yes", f"{hardware}; versions are in the table of runs"


def _over_time(chapter: Chapter) -> _Finding:
    runs = [run for run in chapter.runs if run.summary.status == "completed"]
    having = [
        run
        for run in runs
        if run.history is not None and (run.history.scored or run.history.checkpoints)
    ]
    if runs and len(having) == len(runs):
        return "yes", "curves of the search or of the final training for every run"
    if not having:
        return "no", "no histories are beside the records"
    return "partly", f"{len(having)} of {len(runs)} runs have a history beside their record"


def _random_baseline(chapter: Chapter) -> _Finding:
    searched = {row.space for row in chapter.search_rows}
    if not searched:
        return "no", "there are no searches"
    random = {
        row.space
        for row in chapter.search_rows
        if row.row["strategy"].split("_")[0].split(" ")[0] == _RANDOM
    }
    average = {row.space for row in chapter.rows if row.is_average_random}
    parts = []
    for what, found in (("random search", random), ("the average random architecture", average)):
        missing = sorted(searched - found)
        parts.append(f"{what} is missing in {_listed(missing)}" if missing else f"{what} is there")
    complete = searched <= random and searched <= average
    return "yes" if complete else "partly" if random or average else "no", "; ".join(parts)


def _seeds(chapter: Chapter) -> _Finding:
    rows = [row for row in chapter.rows if not row.is_average_random]
    few = [row for row in rows if row.row["n_seeds"] < MIN_SEEDS]
    failed = sum(row.row["n_failed"] for row in rows)
    word = "run is" if failed == 1 else "runs are"
    counted = f"{failed} failed {word} counted, not dropped" if failed else "no run failed"
    if not few:
        least = min(row.row["n_seeds"] for row in rows)
        return "yes", f"at least {least} seeds in every row; {counted}"
    names = _listed(row.label for row in few)
    some = len(few) < len(rows)
    return "partly" if some else "no", f"fewer than {MIN_SEEDS} seeds: {names}; {counted}"


def _ablations(chapter: Chapter) -> _Finding:
    settings: dict[tuple[str, str, str], int] = {}
    for row in chapter.search_rows:
        key = (row.row["strategy"], row.space, row.row["dataset_checksum"])
        settings[key] = settings.get(key, 0) + 1
    several = sorted(f"{key[0]} in {key[1]}" for key, count in settings.items() if count > 1)
    if several:
        return "partly", f"several settings of {_listed(several)}: say what they isolate"
    return "no", "no method was run with several settings"


def _tabular(chapter: Chapter) -> _Finding:
    tabular = [
        run
        for run in chapter.runs
        if run.history is not None and any(s.fidelity == "table" for s in run.history.scored)
    ]
    if tabular:
        return "yes", f"{len(tabular)} runs took their scores from a table"
    return "no", "all scores come from trainings, none from a table"


def _tuning(chapter: Chapter) -> _Finding:
    runs = chapter.runs
    stated = [run for run in runs if run.summary.tuning_budget]
    if len(stated) == len(runs):
        return "yes", _listed(run.summary.tuning_budget for run in runs)
    advice = "the record has tuning_budget for it"
    if not stated:
        return "no", f"no run says what was spent on tuning its settings; {advice}"
    return "partly", f"{len(stated)} of {len(runs)} runs say it; {advice}"


def _cost(chapter: Chapter) -> _Finding:
    runs = chapter.runs
    total = sum(run.device_seconds for run in runs)
    return "yes", f"search and final training are charged in every record: {duration(total)} in all"


_CHECKS: dict[str, Callable[[Chapter], _Finding]] = {
    "Code of training pipeline, space and method, with commit": _code,
    "All settings and seeds": _settings,
    "Same data, training code and protocol for all": _same_pipeline,
    "Equal budget for all": _equal_budget,
    "Hardware and versions": _hardware,
    "Performance over time": _over_time,
    "Random search as a baseline": _random_baseline,
    "Several seeds": _seeds,
    "Ablations": _ablations,
    "Tabular benchmark": _tabular,
    "Tuning budget": _tuning,
    "End-to-end cost": _cost,
}


def _final_settings(run: Run) -> Any:
    """Of the final phase, or of the training of a given architecture, what both have."""
    config = run.record.config
    final = config.get("final") if run.record.kind == "search" else config.get("training")
    shared = ("generator_steps", "eval_every", "keep")
    return {key: final.get(key) for key in shared} if isinstance(final, dict) else None


def _versions_used(run: Run) -> tuple[str, ...]:
    """The versions but those of plugins that were installed only: older records name them too."""
    plugins = run.record.environment.get("plugins")
    used = {name.lower() for name in packages_named(run.record.config)}
    idle = {
        f"{name} {version}"
        for name, version in (plugins.items() if isinstance(plugins, dict) else ())
        if re.sub(r"[-.]", "_", name).lower() not in used
    }
    return tuple(part for part in run.summary.versions.split(", ") if part not in idle)


def _frozen(value: Any) -> str:
    return repr(sorted(value.items())) if isinstance(value, dict) else repr(value)


def _listed(names: Iterable[str], most: int = 6) -> str:
    distinct: Sequence[str] = list(dict.fromkeys(names))
    rest = len(distinct) - most
    return ", ".join(distinct[:most]) + (f" and {rest} more" if rest > 0 else "")
