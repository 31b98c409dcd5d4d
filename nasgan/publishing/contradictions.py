"""What is wrong with run records themselves, whatever a table says of them."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence

from nasgan.leaderboard.summaries import Problem, RunSummary
from nasgan.runs.proxy import is_of_its_points
from nasgan.runs.record import RunRecord
from nasgan.runs.simulations import SimulationFile

__all__ = ["record_faults"]

# How far the score of the same images may be apart on one device: libraries sum in other orders.
_SAME_BOUND = 0.01

Place = tuple[str, str, str, int]
"""What a bound depends on: protocol, images, device, number of images."""


def record_faults(runs: Sequence[RunSummary]) -> list[Problem]:
    """Records that contradict themselves or each other: edited, or damaged.

    Reads each record again. Runs that were not read from a file are left out.
    """
    faults, files = [], dict.fromkeys(run.path for run in runs if run.is_simulated)
    bounds: dict[Place, list[tuple[str, float]]] = {}
    for run in runs:
        if run.path is None or run.is_simulated:
            continue
        record, folder = RunRecord.read(run.path), run.path.parent
        # Files that are no longer what the run left; those that are gone say nothing else.
        there = [name for name in record.files if os.path.lexists(folder / name)]
        changed = filter(None, (record.differing_file(folder, name) for name in there))
        wrong = [*_contradictions(record), *changed]
        faults += [Problem(str(run.path), text, is_grave=True) for text in wrong]
        if record.bound is not None and "fid" in record.bound["metrics"]:
            number = record.bound["num_images"]
            place = (run.protocol, run.dataset_checksum, run.hardware, number)
            bounds.setdefault(place, []).append((str(run.path), record.bound["metrics"]["fid"]))
    for path in files:
        if path is not None and (why := SimulationFile.open(path).differs()):
            faults.append(Problem(str(path), why, is_grave=True))
    return faults + [fault for found in bounds.values() for fault in _odd_bounds(found)]


def _contradictions(record: RunRecord) -> Iterator[str]:
    if record.config.get("seed", record.seed) != record.seed:
        yield "the seed is not that of its configuration"
    if record.computed_hash() != record.config_hash:
        yield "the configuration does not match its hash (config_hash)"
    results = [(finalist["architecture"], finalist["metrics"]) for finalist in record.finalists]
    if record.metrics and results and (record.architecture, record.metrics) not in results:
        yield "the architecture and the metrics are not those of one of its finalists"
    yield from _odd_result(record)
    yield from _odd_front(record)
    if record.proxy_correlation and not is_of_its_points(record.proxy_correlation):
        yield "the proxy correlation is not that of its points"


def _odd_result(record: RunRecord) -> Iterator[str]:
    """What says something else of the result than its architecture and its metrics do."""
    made, judge = record.search_result, record.judge
    if made is not None and made["architecture"] != record.architecture:
        yield "the search's evaluation of the result (search_result) is of another architecture"
    score = (record.metrics or {}).get(record.final_metric)
    if judge is None or score is None:
        return
    sign = 1 if _direction(record) == "min" else -1
    regret = judge["regret"]
    if regret is None or not _same(sign * (score - judge["best_known"]), regret):
        yield "the regret (judge) is not that of its score"


def _odd_front(record: RunRecord) -> Iterator[str]:
    """A Pareto front that is not one of the finalists, or whose best is not the result."""
    scores = {finalist["architecture"]["id"]: finalist for finalist in record.finalists}
    final = [point for point in record.front if point["phase"] == "final"]
    for point in final:
        name = point["architecture"]["id"]
        if name not in scores:
            yield f"the architecture {name} on its Pareto front (front) is none of its finalists"
            return
        known = scores[name]["metrics"]
        if any(not _same(v, known[k]) for k, v in point["values"].items() if k in known):
            yield f"the values of {name} on its Pareto front (front) are not those of its finalist"
            return
    values = [point["values"][record.final_metric] for point in final]
    found = (record.metrics or {}).get(record.final_metric)
    best = min if _direction(record) == "min" else max
    if values and found is not None and not _same(best(values), found):
        yield "its result is not the best on its Pareto front (front)"


def _direction(record: RunRecord) -> str:
    return str((record.final_objective or record.objective)["direction"])


def _same(first: float, second: float) -> bool:
    return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-12)


def _odd_bounds(found: list[tuple[str, float]]) -> list[Problem]:
    """Bounds that are not what most of the runs say; they rank nothing, so are not grave."""
    usual = Counter(value for _, value in found).most_common(1)[0][0]
    return [
        Problem(
            source,
            f"its bound (FID {value:.6g} of the test images) is not the {usual:.6g} that other "
            "runs of the protocol have on these images and this device",
        )
        for source, value in found
        if not math.isclose(value, usual, rel_tol=_SAME_BOUND)
    ]
