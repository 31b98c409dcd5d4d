"""What is wrong with run records themselves, whatever a table says of them."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

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
        record = RunRecord.read(run.path)
        wrong = [*_contradictions(record), *_changed_files(record, run.path.parent)]
        faults += [Problem(str(run.path), text, is_grave=True) for text in wrong]
        if record.bound is not None and "fid" in record.bound["metrics"]:
            number = record.bound["num_images"]
            place = (run.protocol, run.dataset_checksum, run.hardware, number)
            bounds.setdefault(place, []).append((str(run.path), record.bound["metrics"]["fid"]))
    for path in files:
        if path is not None and (why := SimulationFile.open(path).differs()):
            faults.append(Problem(str(path), why, is_grave=True))
    return faults + [fault for found in bounds.values() for fault in _odd_bounds(found)]


def _changed_files(record: RunRecord, folder: Path) -> list[str]:
    """Files that are no longer what the run left; those that are gone say nothing else."""
    there = [name for name in record.files if os.path.lexists(folder / name)]
    return [text for name in there if (text := record.differing_file(folder, name))]


def _contradictions(record: RunRecord) -> list[str]:
    wrong = []
    if record.config.get("seed", record.seed) != record.seed:
        wrong.append("the seed is not that of its configuration")
    if record.computed_hash() != record.config_hash:
        wrong.append("the configuration does not match its hash (config_hash)")
    results = [(finalist["architecture"], finalist["metrics"]) for finalist in record.finalists]
    if record.metrics and results and (record.architecture, record.metrics) not in results:
        wrong.append("the architecture and the metrics are not those of one of its finalists")
    if record.proxy_correlation and not is_of_its_points(record.proxy_correlation):
        wrong.append("the proxy correlation is not that of its points")
    return wrong


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
