"""Whether a ranking of searches survives a judge that knows none of the rows the searches saw.

On a table that does not hold its whole space, `nasgan simulate` lets one surrogate draw what a
search sees and judge what it found, so a search that finds the surrogate's errors is rewarded for
them. Here the table's architectures are split at random into two halves. Each half is a table of
its own: searches run on one and are judged by the surrogate of the other, both ways. What is left
of a strategy's gain over `random` then holds for trainings that neither it nor its table had.

    PYTHONPATH=.:strategies:search_spaces python benchmarks/cross_judged.py ROWS --strategies \
        random,tpe,evolution --seeds 100 --out cross_judged.json

ROWS is a folder of rows, as `nasgan tabulate` leaves them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from nasgan.architecture import Architecture
from nasgan.cli.key_values import settings_of
from nasgan.cli.simulate import asked_of, simulated
from nasgan.errors import TableError
from nasgan.evaluation.table_trainings import TableTrainings, settings_of_space
from nasgan.factory import make_search_space
from nasgan.leaderboard.bootstrap import Summary
from nasgan.leaderboard.searches import SearchLine, summary_of
from nasgan.randomness import numpy_generator
from nasgan.tabular.build import assembled
from nasgan.tabular.manifest import MANIFEST_FILE, Manifest
from nasgan.tabular.rows import read_rows
from nasgan.tabular.table import load_table
from nasgan.tabular.table_file import write_table_file

__all__ = ["Records", "cross_judged", "judged_by", "main", "write_halves"]

BASELINE, METRIC = "random", "fid"

Records = list[dict[str, Any]]


def write_halves(rows: Path, out: Path, *, seed: int = 0) -> tuple[Path, Path]:
    """Two tables in ``out``, each of half the architectures in ``rows``, with all their seeds.

    Raises:
        TableError: there are fewer than two architectures.
    """
    manifest, trained = Manifest.read(rows / MANIFEST_FILE), read_rows(rows)
    ids = sorted({row.architecture for row in trained})
    if len(ids) < 2:
        raise TableError(f"{rows} holds {len(ids)} architectures, too few for two halves")
    shuffled = numpy_generator(seed, "halves").permutation(ids)
    first = set(shuffled[: len(ids) // 2])
    paths = out / "one.npz", out / "two.npz"
    for path, is_first in zip(paths, (True, False), strict=True):
        half = [row for row in trained if (row.architecture in first) is is_first]
        write_table_file(path, *assembled([manifest], half, name=path.stem))
    return paths


def judged_by(table: Path, records: Sequence[Mapping[str, Any]]) -> Records:
    """``records`` with what the surrogate of another table says of what each search found."""
    loaded = load_table(table)
    name, settings = settings_of_space(loaded)
    judge = TableTrainings(loaded, make_search_space(name, **settings))
    return [{**record, "judged": _judged(judge, record["architecture"])} for record in records]


def _judged(judge: TableTrainings, found: Mapping[str, Any] | None) -> float | None:
    if found is None:
        return None
    return judge.judged(Architecture.from_json(found, source="a simulated search"), METRIC)


def cross_judged(one: Path, two: Path, words: Sequence[str], out: Path) -> dict[str, Any]:
    """Search on each of two tables, judged by itself and by the other.

    Args:
        one: a table.
        two: another, of the same settings.
        words: of ``nasgan simulate``: strategies, seeds, budget.
        out: folder for the searches.

    Returns:
        ``own`` and ``other``: a line a strategy of the searches on both tables together, by who
        judged; ``ranks``: each direction's mean ranks by strategy, judged by the other; and
        ``agreement``: their Spearman correlation.
    """
    own: Records = []
    other: Records = []
    ranks: list[dict[str, float]] = []
    for table, judge in ((one, two), (two, one)):
        settings = settings_of("simulate", [f"table={table}", f"out={out / table.stem}", *words])
        asked = asked_of(settings)
        records = simulated(asked, settings)
        crossed = judged_by(judge, records)
        ranks.append(
            {x.strategy: x.rank.mean for x in summary_of(crossed, METRIC, BASELINE) if x.rank}
        )
        # A search of one table is held against the random one of the same table and seed.
        shift = len(own) // len(asked.strategies)
        own += [{**each, "seed": each["seed"] + shift} for each in records]
        other += [{**each, "seed": each["seed"] + shift} for each in crossed]
    names = list(ranks[0])
    agreement = spearmanr([ranks[0][n] for n in names], [ranks[1][n] for n in names]).statistic
    return {
        "own": [asdict(line) for line in summary_of(own, METRIC, BASELINE)],
        "other": [asdict(line) for line in summary_of(other, METRIC, BASELINE)],
        "ranks": ranks,
        "agreement": float(agreement),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, for people."""
    own = {line["strategy"]: _line(line) for line in found["own"]}
    heads = ("gain, own half judges", "gain, the other judges", "better in", "mean rank")
    yield f"{'':<16}" + "".join(f"{head:>24}" for head in heads)
    for line in map(_line, found["other"]):
        cells = [_cell(own[line.strategy].gain, ".0f"), _cell(line.gain, ".0f")]
        cells += [_cell(line.better, ".2f"), _cell(line.rank, ".1f")]
        yield f"{line.strategy:<16}" + "".join(f"{cell:>24}" for cell in cells)
    yield f"mean ranks of the two directions agree to {found['agreement']:.2f} (Spearman)"


def _line(data: Mapping[str, Any]) -> SearchLine:
    parts = ("judged", "better", "gain", "rank")
    summaries = {name: Summary(**data[name]) if data[name] else None for name in parts}
    return SearchLine(**{**data, **summaries})


def _cell(summary: Summary | None, digits: str) -> str:
    if summary is None or summary.ci_low is None or summary.ci_high is None:
        return ""
    mean, low, high = (format(x, digits) for x in (summary.mean, summary.ci_low, summary.ci_high))
    return f"{mean} ({low} to {high})"


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=Path)
    parser.add_argument("--strategies", default="random,random_scratch,rl_scratch")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--split", type=int, default=0, help="seed of the halves")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    words = [f"strategy={given.strategies}", f"seeds={given.seeds}"]
    with tempfile.TemporaryDirectory() as folder:
        one, two = write_halves(given.rows, Path(folder), seed=given.split)
        found = cross_judged(one, two, words, Path(folder))
    print(*lines(found), sep="\n")
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
