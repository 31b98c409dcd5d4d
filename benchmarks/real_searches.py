"""Whether searches whose candidates are trained for real do what simulated ones do.

Of each strategy: its real searches' incumbents, judged by the table at several shares of their
budget, among those of the simulated searches with as much spent (the share of these that are
worse; a half on average if there is no difference); and the scores of the trained candidates beside
what the table's surrogate, which has not seen them, predicts.

    PYTHONPATH=.:strategies:search_spaces python benchmarks/real_searches.py TABLE SIMULATED \
        --runs tpe=outputs/tpe --runs random=outputs/random --out real_searches.json

TABLE is a name, a file, or a folder of rows; SIMULATED a folder of `nasgan simulate` on it; each
folder of runs holds finished searches with the table's settings, several seeds of one strategy.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.cross_judged import judge_of
from benchmarks.surrogate import accuracy
from nasgan.architecture import Architecture
from nasgan.errors import TableError
from nasgan.evaluation.table_trainings import TableTrainings
from nasgan.leaderboard.searches import judged_at
from nasgan.leaderboard.study import Study
from nasgan.runs.simulations import SEARCHES_FILE, SimulationFile
from nasgan.tabular.table import Table, load_table

__all__ = ["candidates", "compare", "curve", "lines", "main", "searched"]

METRIC, COST = "fid", "generator_steps"

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Of what the shortest real search spent, at which searches are compared."""

FEWEST = 3
"""Trainings, below which nothing is said of them."""

Found = dict[str, Any]


def compare(table: Table, simulated: Path, runs: Mapping[str, Path]) -> Found:
    """What was found, as JSON data.

    Args:
        table: the judge.
        simulated: folder of `nasgan simulate` on it.
        runs: by the name of a strategy there the folder of its real searches.

    Raises:
        TableError: the searches were simulated on another table, or a strategy was not simulated,
            or has no finished real search.
    """
    file = SimulationFile.open(simulated / SEARCHES_FILE)
    if file.made["checksum"] != table.checksum:
        raise TableError(f"{simulated} was simulated on another table than {table.name}")
    records = [search for search, _ in file.read(print)]
    judge = judge_of(table)
    found = {}
    for strategy, folder in runs.items():
        own = [record for record in records if record["strategy"] == strategy]
        if not own:
            raise TableError(f"{simulated} has no searches of {strategy}")
        scored = searched(folder, judge)
        found[strategy] = {"curve": curve(scored, own), "candidates": candidates(scored, table)}
    return {"table": table.name, "metric": METRIC, "strategies": found}


def searched(folder: Path, judge: TableTrainings) -> pd.DataFrame:
    """One row for each candidate of the searches below ``folder``, in their order.

    Columns: ``run_id``, ``spent`` (generator steps), ``architecture``, ``score`` (trained; NaN if
    it broke down) and ``judged``, the incumbent's by the table (infinite before there is one).

    Raises:
        TableError: there is no finished search.
        ArchitectureError: they are of another space than the table.
    """
    study = Study(folder).where(kind="search", status="completed")
    if not len(study):
        raise TableError(f"{folder} holds no finished search")
    lines = study.evaluations.query("phase == 'search'")
    choices = lines.filter(regex="^choices/")
    architectures = [
        judge.table.architecture({name.removeprefix("choices/"): x for name, x in row.items()})
        for row in choices.to_dict("records")
    ]
    known = {architecture.id: architecture for architecture in architectures}
    return pd.DataFrame(
        {
            "run_id": lines["run_id"].to_numpy(),
            "spent": lines[f"spent/{COST}"].to_numpy(float),
            "architecture": architectures,
            "score": lines[f"metrics/{METRIC}"].to_numpy(float),
            "judged": [_judged(judge, known.get(each)) for each in lines["incumbent"]],
        }
    )


def _judged(judge: TableTrainings, architecture: Architecture | None) -> float:
    judged = None if architecture is None else judge.judged(architecture, METRIC)
    return math.inf if judged is None else judged


def curve(scored: pd.DataFrame, simulated: Sequence[Mapping[str, Any]]) -> list[Found]:
    """Real searches among simulated ones, at shares of what the shortest real one spent."""
    runs = [own for _, own in scored.groupby("run_id")]
    budget = min(own["spent"].max() for own in runs)
    found = []
    for share in SHARES:
        spent = share * budget
        real = [_by_then(own.loc[own["spent"] <= spent, "judged"]) for own in runs]
        at = [judged_at(record, (COST, spent)) for record in simulated]
        theirs = np.array([math.inf if judged is None else judged for judged in at])
        low, high = np.percentile(theirs, [2.5, 97.5], method="nearest")
        # Ties count half, so that the mean is a half where nothing differs.
        worse = [((theirs > each).mean() + (theirs >= each).mean()) / 2 for each in real]
        found.append(
            {
                COST: spent,
                "real": real,
                "simulated": [float(theirs.mean()), float(low), float(high)],
                "worse": [float(each) for each in worse],
            }
        )
    return found


def _by_then(judged: pd.Series[float]) -> float:
    return math.inf if judged.empty else float(judged.iloc[-1])


def candidates(scored: pd.DataFrame, table: Table) -> Found:
    """Single trainings beside what the surrogate predicts, of those that the table lacks.

    All of logarithms: ``bias`` of the predictions, ``sd`` of what is left, and ``noise``, what of
    it the surrogate expects of seeds alone.
    """
    known = set(table.architectures)
    new = scored[[each not in known for each in scored["architecture"]]].dropna(subset="score")
    if len(new) < FEWEST:
        return {"trainings": len(new)}
    foretold = [table.predict(each)[METRIC] for each in new["architecture"]]
    variances = np.log1p([(each.std / each.mean) ** 2 for each in foretold])
    made = np.log([each.mean for each in foretold]) - variances / 2
    scores = np.log(new["score"].to_numpy())
    return {
        "trainings": len(new),
        **accuracy(made, scores),
        "bias": float((made - scores).mean()),
        "sd": float((made - scores).std(ddof=1)),
        "noise": float(np.sqrt(variances.mean())),
    }


def lines(found: Found) -> Iterator[str]:
    """What was found, for people."""
    for strategy, each in found["strategies"].items():
        yield f"{strategy}: {found['metric']} by {found['table']}"
        yield f"{COST:>16}{'simulated, 95 % of the searches':>36}   real (simulated worse)"
        for moment in each["curve"]:
            mean, low, high = moment["simulated"]
            cell = f"{mean:,.0f} ({low:,.0f} to {high:,.0f})"
            real = ", ".join(
                f"{judged:,.0f} ({worse:.2f})"
                for judged, worse in zip(moment["real"], moment["worse"], strict=True)
            )
            yield f"{moment[COST]:>16,.0f}{cell:>36}   {real}; mean {np.mean(moment['worse']):.2f}"
        made = each["candidates"]
        if "tau" in made:
            tau, r2 = ("{:.2f} ({:.2f} to {:.2f})".format(*made[name]) for name in ("tau", "r2"))
            yield (
                f"{made['trainings']} candidates that the table lacks: tau {tau}, R2 {r2}, bias "
                f"{made['bias']:+.3f}, sd {made['sd']:.3f}, of it by seeds {made['noise']:.3f}"
            )


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table")
    parser.add_argument("simulated", type=Path)
    parser.add_argument("--runs", action="append", required=True, metavar="STRATEGY=FOLDER")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    runs = dict(each.split("=", 1) for each in given.runs)
    found = compare(
        load_table(given.table), given.simulated, {name: Path(to) for name, to in runs.items()}
    )
    print(*lines(found), sep="\n")
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
