"""A run as a person reads it: what it is, how far it has come, its scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasgan.contracts import Ledger
from nasgan.engine.run_directory import RunDirectory
from nasgan.metrics import METRICS, display_name
from nasgan.runs.environment import nasgan_build
from nasgan.runs.proxy import LEAST_CORRELATED
from nasgan.runs.record import RunRecord, breakdown_words

__all__ = ["how_far", "how_it_ended", "proxy_lines", "result_lines", "score_table", "what_runs"]


def what_runs(kind: str, run_id: str, seed: int) -> str:
    """A run and the nasgan that runs it, for the run's log."""
    build = nasgan_build()
    commit = f", commit {build['commit']}" if build["commit"] else ""
    changed = " with changes" if build["dirty"] else ""
    return f"{kind} {run_id}, seed {seed}: nasgan {build['version']}{commit}{changed}"


def how_far(ledger: Ledger) -> str:
    """What each phase has done so far."""
    phases = [
        f"{phase} at generator step {spent['generator_steps']}, "
        f"{spent['architectures']} architectures scored"
        for phase, spent in ledger.state_dict().items()
    ]
    return "; ".join(phases) or "nothing done yet"


def how_it_ended(record: RunRecord) -> str:
    """The score that the run optimised, or why it has none."""
    if record.status == "failed":
        return f"failed: {record.failure}"
    if record.metrics is None:
        return f"completed: {searched_words(record)}"
    metric = record.final_metric
    notes = "".join(f"; {breakdown_words(item)}" for item in record.breakdowns)
    return f"completed: {metric} {record.metrics[metric]:.4g}{notes}"


def searched_words(record: RunRecord) -> str:
    """What a search found whose result was not trained, in words."""
    found = record.search_result
    scored = (
        "" if found is None else f" ({record.search_metric} {found['score']:.4g} in the search)"
    )
    name = (record.architecture or {}).get("id")
    return f"architecture {name}{scored}; it was not trained (final.top_k=0)"


def result_lines(record: RunRecord, directory: RunDirectory) -> list[str]:
    """What a person wants to know when a run has ended: scores, what broke down, the files."""
    rows: dict[str, Mapping[str, float] | None] = {"result": record.metrics}
    if record.average_random is not None:
        rows[f"average of {record.average_random['count']} random"] = record.average_random[
            "metrics"
        ]
    if record.judge is not None:
        known = {record.objective["metric"]: record.judge["best_known"]}
        rows[f"best known in {record.judge['table']} ({record.judge['scores']})"] = known
    if record.bound is not None:
        rows[f"bound: {record.bound['num_images']} test images"] = record.bound["metrics"]
    grid = directory.samples / "final.png"
    is_trained = record.metrics is not None
    return [
        *([] if is_trained else [searched_words(record)]),
        *score_table({name: scores for name, scores in rows.items() if scores}, record.protocol),
        *front_lines(record),
        *proxy_lines(record.proxy_correlation, record.protocol),
        *map(breakdown_words, record.breakdowns),
        *([f"bound: {record.bound_note}"] if record.bound_note else []),
        "",
        f"architecture  {directory.architecture}",
        *([f"sample grid   {grid}"] if grid.exists() else []),
        f"record        {directory.record_file}",
        *([] if is_trained else [f"train it      nasgan train architecture={directory.path}"]),
    ]


def front_lines(record: RunRecord) -> list[str]:
    """A line for each architecture of the last Pareto front; none for one objective."""
    phase = "final" if any(point["phase"] == "final" for point in record.front) else "search"
    points = [point for point in record.front if point["phase"] == phase]
    where = {"final": "after training", "search": "in the search"}[phase]
    lines = [
        f"  {point['architecture']['id']}  "
        + ", ".join(
            f"{name} {value:.0f}" if value >= 1000 else f"{name} {value:.4g}"
            for name, value in point["values"].items()
        )
        for point in points
    ]
    return [f"Pareto front {where}:", *lines] if lines else []


def score_table(rows: Mapping[str, Mapping[str, float]], protocol: str) -> list[str]:
    """Lines of a table of scores under one protocol.

    Args:
        rows: scores by metric, by the row's title.
        protocol: its id.

    Returns:
        The protocol, a line of headings with an arrow where better lies, and a line for each row.
        A spread (``is_std``) stands behind its score.
    """
    present = [name for name in METRICS if any(name in scores for scores in rows.values())]
    companions = {name: METRICS[name].companion_of for name in present}
    shown = [name for name in present if companions[name] is None]
    spreads = {score: name for name, score in companions.items() if score is not None}
    arrows = {"min": "\u2193", "max": "\u2191"}
    table = [["", *(f"{METRICS[name].label} {arrows[METRICS[name].direction]}" for name in shown)]]
    for title, scores in rows.items():
        cells = [_cell(scores.get(name), scores.get(spreads.get(name, ""))) for name in shown]
        table.append([title, *cells])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in table
    ]
    note = ""
    if shown and display_name(shown[0], protocol) != METRICS[shown[0]].label:
        note = " (not Inception's features: no number here is a published FID or IS)"
    return [f"protocol {protocol}{note}", *lines]


def proxy_lines(proxy: Mapping[str, Any] | None, protocol: str) -> list[str]:
    """A line on how well the search's scores foretold those after training; none if too few.

    Args:
        proxy: of a run record.
        protocol: id of the one that the final scores were taken under.
    """
    if proxy is None or proxy["n"] < LEAST_CORRELATED:
        return []
    name = display_name(proxy["metric"], protocol)
    # The search's scores may have a name of their own.
    scores = (
        f"{proxy['search_metric']} in the search against {name} after training"
        if "search_metric" in proxy
        else f"{name} in the search against after training"
    )
    if proxy["spearman"] is None or proxy["kendall"] is None:
        return [f"{scores}: no rank correlation, as all scores of one kind are equal"]
    return [
        f"{scores}: Spearman {proxy['spearman']:.2f}, Kendall {proxy['kendall']:.2f} "
        f"({proxy['n']} architectures)"
    ]


def _cell(score: float | None, spread: float | None) -> str:
    if score is None:
        return "-"
    if spread is None:
        return f"{score:.3g}" if abs(score) < 100 else f"{score:.0f}"
    return f"{score:.3g} \u00b1 {spread:.2g}"
