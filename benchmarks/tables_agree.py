"""Whether two tables say the same, of architectures and of searches.

Of the architectures that both trained, the order of their means over seeds; of those that only the
second trained, what the surrogate of the first predicts. Beside each stands the ceiling that the
noise between seeds allows: what would be found if both said exactly the same.

    PYTHONPATH=.:strategies:search_spaces python benchmarks/tables_agree.py FIRST SECOND \
        --searches SIMULATED_ON_FIRST SIMULATED_ON_SECOND --out agreement.json

A table is a name, a file, or a folder of rows. ``--searches`` names folders of `nasgan simulate`:
the strategies that both hold are ranked among themselves alone, in each.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.surrogate import Held, accuracy
from nasgan.errors import TableError
from nasgan.leaderboard.searches import critical_difference, summary_of
from nasgan.runs.simulations import SEARCHES_FILE, SimulationFile
from nasgan.tabular.reliability import Reliability, reliability
from nasgan.tabular.table import Table, load_table

__all__ = ["compare", "lines", "main", "of_searches", "predicted", "trained_by_both"]

FEWEST = 3
"""Architectures, below which nothing is said of them."""

Found = dict[str, Any]


def compare(first: Table, second: Table, metric: str = "fid") -> Found:
    """What both trained, and what one predicts of the other, as JSON data.

    Raises:
        TableError: the tables are of different spaces, one lacks the metric, or there is nothing
            that both could be asked.
    """
    spaces = [(table.space, table.space_version) for table in (first, second)]
    if spaces[0] != spaces[1]:
        raise TableError(
            f"{first.name} is of {spaces[0][0]} (version {spaces[0][1]}), {second.name} of "
            f"{spaces[1][0]} (version {spaces[1][1]}): their architectures cannot be compared"
        )
    held = Held.of(first, metric), Held.of(second, metric)
    found = {"first": first.name, "second": second.name, "metric": metric}
    parts = {"trained_by_both": trained_by_both(*held), "predicted": predicted(*held)}
    if not any(parts.values()):
        raise TableError(
            f"{first.name} and {second.name} share no {FEWEST} architectures, and there are no "
            f"{FEWEST} that {first.name} could predict"
        )
    return {**found, **parts}


def trained_by_both(first: Held, second: Held) -> Found | None:
    """How their means agree; None with too few.

    ``pearson`` and ``tau`` stand beside what two measures of the same truth would have by the noise
    of both (Spearman 1904), each for the seeds behind a mean, and ``true_pearson`` is the
    correlation without that noise: of the architectures themselves. Its interval is over these
    alone, with the noise taken as known.
    """
    there = {architecture: k for k, architecture in enumerate(second.architectures)}
    shared = [(k, there[a]) for k, a in enumerate(first.architectures) if a in there]
    if len(shared) < FEWEST:
        return None
    one, two = (list(side) for side in zip(*shared, strict=True))
    noises = _noise(first, one), _noise(second, two)
    ceiling = math.sqrt(math.prod(n.of_mean(k) if n else math.nan for n, k in noises))
    made = accuracy(first.means[one], second.means[two])
    pearson, low, high = _pearson(first.means[one], second.means[two])
    return {
        "architectures": len(shared),
        "tau": made["tau"],
        "pearson": [pearson, low, high],
        "ceiling": {"tau": 2 / math.pi * math.asin(ceiling), "pearson": ceiling},
        "true_pearson": [
            value / ceiling if ceiling else math.nan for value in (pearson, low, high)
        ],
    }


def _noise(held: Held, which: Sequence[int]) -> tuple[Reliability | None, float]:
    """Between the seeds of some architectures, and how many seeds are behind a mean."""
    groups = [held.scaled(k) for k in which]
    return reliability(groups), len(groups) / sum(1 / len(each) for each in groups)


def _pearson(one: np.ndarray, two: np.ndarray) -> tuple[float, float, float]:
    """With its 95 % interval by Fisher's z."""
    found = float(np.corrcoef(one, two)[0, 1])
    if len(one) <= FEWEST:
        return found, math.nan, math.nan
    around = np.arctanh(found) + 1.96 * np.array([-1, 1]) / math.sqrt(len(one) - 3)
    low, high = np.tanh(around)
    return found, float(low), float(high)


def predicted(first: Held, second: Held) -> Found | None:
    """What the first's surrogate says of those that the second alone trained; None with too few.

    ``bias`` is that of predictions, on the scale of analysis (of FID, logarithms: 0.1 is 10 %).
    """
    known = set(first.architectures)
    which = [k for k, a in enumerate(second.architectures) if a not in known]
    if len(which) < FEWEST:
        return None
    wanted = [second.architectures[k] for k in which]
    model, step = first.table.surrogate, first.table.steps[-1]
    made, means = np.asarray(model.location(first.metric, wanted, step)), second.means[which]
    noise, seeds = _noise(second, which)
    return {
        "architectures": len(which),
        **accuracy(made, means),
        "bias": float((made - means).mean()),
        "ceiling": None
        if noise is None
        else {"tau": noise.tau_ceiling(seeds), "r2": noise.of_mean(seeds)},
    }


def of_searches(first: Path, second: Path) -> Found:
    """How strategies compare in two folders of simulated searches.

    Raises:
        TableError: they share no two strategies, or were judged by different metrics.
    """
    files = [SimulationFile.open(folder / SEARCHES_FILE) for folder in (first, second)]
    metrics = {file.made["metric"] for file in files}
    if len(metrics) > 1:
        raise TableError(f"{first} and {second} are judged by different metrics: {metrics}")
    metric, baseline = metrics.pop(), files[0].made["baseline"]
    read = [[search for search, _ in file.read(print)] for file in files]
    names = set.intersection(*({search["strategy"] for search in own} for own in read))
    if len(names) < 2:
        raise TableError(f"{first} and {second} share no two strategies")
    kept = [[search for search in own if search["strategy"] in names] for own in read]
    sides = [{s.strategy: s for s in summary_of(own, metric, baseline)} for own in kept]
    tests = [critical_difference(own, metric) for own in kept]
    order = [name for name in sides[0] if name in sides[1]]
    ranks = np.array([[_mean(side[name].rank) for side in sides] for name in order])
    limits = [math.inf if test is None else test.difference for test in tests]
    apart = [np.subtract.outer(side, side) for side in ranks.T]
    both = (np.abs(apart[0]) > limits[0]) & (np.abs(apart[1]) > limits[1])
    upper = np.triu(np.ones_like(both), 1)
    told = [np.abs(side) > limit for side, limit in zip(apart, limits, strict=True)]
    return {
        "metric": metric,
        "best_known": [file.made["best_known"] for file in files],
        "strategies": {name: [asdict(side[name]) for side in sides] for name in order},
        "spearman": float(spearmanr(*ranks.T).statistic),
        "pairs": {
            "all": int(upper.sum()),
            "told_apart": [int((side & upper).sum()) for side in told],
            "told_apart_by_both": int((both & upper).sum()),
            "the_other_way_round": int((both & upper & (apart[0] * apart[1] < 0)).sum()),
        },
    }


def _mean(summary: Any) -> float:
    return math.nan if summary is None else float(summary.mean)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, for people."""
    if shared := found.get("trained_by_both"):
        ceiling = shared["ceiling"]
        yield (
            f"{shared['architectures']} architectures that both trained: tau "
            f"{_interval(shared['tau'])}, ceiling {ceiling['tau']:.2f}; correlation "
            f"{_interval(shared['pearson'])}, ceiling {ceiling['pearson']:.2f}; without the noise "
            f"of seeds {_interval(shared['true_pearson'])}"
        )
    if foretold := found.get("predicted"):
        ceiling = foretold["ceiling"] or {"tau": math.nan, "r2": math.nan}
        yield (
            f"{foretold['architectures']} that {found['second']} alone trained, predicted by the "
            f"surrogate of {found['first']}: tau {_interval(foretold['tau'])}, ceiling "
            f"{ceiling['tau']:.2f}; R2 {_interval(foretold['r2'])}, ceiling {ceiling['r2']:.2f}; "
            f"bias {foretold['bias']:+.3f}"
        )
    if searches := found.get("searches"):
        yield from _of_searches(searches)


def _of_searches(found: Mapping[str, Any]) -> Iterator[str]:
    heads = ("gain, first", "gain, second", "rank, first", "rank, second")
    yield f"{'':<16}" + "".join(f"{head:>22}" for head in heads)
    for name, sides in found["strategies"].items():
        cells = [
            ""
            if not (s := side[what])
            else _interval((s["mean"], s["ci_low"], s["ci_high"]), digits)
            for what, digits in (("gain", 0), ("rank", 1))
            for side in sides
        ]
        yield f"{name:<16}" + "".join(f"{cell:>22}" for cell in cells)
    pairs = found["pairs"]
    yield (
        f"mean ranks agree to {found['spearman']:.2f} (Spearman); of {pairs['all']} pairs "
        f"{pairs['told_apart'][0]} and {pairs['told_apart'][1]} are told apart, "
        f"{pairs['told_apart_by_both']} by both, {pairs['the_other_way_round']} of them the other "
        "way round"
    )


def _interval(values: Sequence[float], digits: int = 2) -> str:
    value, low, high = values
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--metric", default="fid")
    parser.add_argument("--searches", nargs=2, type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = compare(load_table(given.first), load_table(given.second), given.metric)
    if given.searches:
        found["searches"] = of_searches(*given.searches)
    print(*lines(found), sep="\n")
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
