"""Whether a ranking of searches survives a judge that knows none of the rows the searches saw.

On a table that does not hold its whole space, `nasgan simulate` lets one surrogate draw what a
search sees and judge what it found, so a search that finds the surrogate's errors is rewarded for
them. Here the table's architectures are split at random into two halves. Each half is a table of
its own: searches run on one and are judged by the surrogate of the other, both ways, and the same
for more splits. What is left of a strategy's gain over `random` then holds for trainings that
neither it nor its table had. Searches of one direction share table and judge, so what differs
between directions tells how sure a gain is, not how many searches there are.

    PYTHONPATH=.:strategies:search_spaces python benchmarks/cross_judged.py ROWS --strategies \
        random,tpe,evolution --seeds 50 --splits 3 --out cross_judged.json

ROWS is a folder of rows, as `nasgan tabulate` leaves them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from nasgan.architecture import Architecture
from nasgan.cli.key_values import settings_of
from nasgan.cli.simulate import asked_of, simulated
from nasgan.errors import TableError
from nasgan.evaluation.table_trainings import TableTrainings, settings_of_space
from nasgan.factory import make_search_space
from nasgan.leaderboard.searches import summary_of
from nasgan.randomness import numpy_generator
from nasgan.tabular.build import assembled
from nasgan.tabular.manifest import MANIFEST_FILE, Manifest
from nasgan.tabular.rows import read_rows
from nasgan.tabular.table import Table, load_table
from nasgan.tabular.table_file import write_table_file

__all__ = ["Direction", "Records", "cross_judged", "judge_of", "judged_by", "main", "write_halves"]

BASELINE, METRIC = "random", "fid"

Records = list[dict[str, Any]]
Direction = dict[str, dict[str, dict[str, Any]]]


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


def judge_of(table: Table) -> TableTrainings:
    """``table`` as simulated searches see it, in its own space."""
    name, settings = settings_of_space(table)
    return TableTrainings(table, make_search_space(name, **settings))


def judged_by(table: Path, records: Sequence[Mapping[str, Any]]) -> Records:
    """``records`` with what the surrogate of another table says of what each search found."""
    judge = judge_of(load_table(table))
    return [{**record, "judged": _judged(judge, record["architecture"])} for record in records]


def _judged(judge: TableTrainings, found: Mapping[str, Any] | None) -> float | None:
    if found is None:
        return None
    return judge.judged(Architecture.from_json(found, source="a simulated search"), METRIC)


def cross_judged(table: Path, judge: Path, words: Sequence[str], out: Path) -> Direction:
    """Search on one table, and let another judge what is found.

    Args:
        table: to search on.
        judge: another, of the same settings.
        words: of ``nasgan simulate``: strategies, seeds, budget.
        out: folder for the searches.

    Returns:
        By strategy its line, as JSON data, under ``own`` as the table itself judges, and under
        ``other`` as the other does.
    """
    settings = settings_of("simulate", [f"table={table}", f"out={out}", *words])
    records = simulated(asked_of(settings), settings)
    judged = {"own": records, "other": judged_by(judge, records)}
    return {
        who: {line.strategy: asdict(line) for line in summary_of(found, METRIC, BASELINE)}
        for who, found in judged.items()
    }


def lines(directions: Sequence[Direction]) -> Iterator[str]:
    """What was found, for people: means over the directions, and how far these are apart."""
    yield f"of {len(directions)} directions the mean, and from the least to the most"
    heads = ("gain, own half judges", "gain, the other judges", "better in", "mean rank")
    yield f"{'':<16}" + "".join(f"{head:>24}" for head in heads)
    columns = (
        ("own", "gain", 0),
        ("other", "gain", 0),
        ("other", "better", 2),
        ("other", "rank", 1),
    )
    ranks = {name: _means(directions, "other", "rank", name) for name in directions[0]["other"]}
    for name in sorted(ranks, key=lambda each: sum(ranks[each])):
        cells = [_cell(_means(directions, who, what, name), n) for who, what, n in columns]
        yield f"{name:<16}" + "".join(f"{cell:>24}" for cell in cells)
    orders = zip(*ranks.values(), strict=True)
    agreements = [spearmanr(*pair).statistic for pair in combinations(orders, 2)]
    yield (
        f"mean ranks of two directions agree to {sum(agreements) / len(agreements):.2f} (Spearman; "
        f"{min(agreements):.2f} to {max(agreements):.2f})"
    )


def _means(directions: Sequence[Direction], who: str, what: str, name: str) -> list[float]:
    found = (direction[who][name][what] for direction in directions)
    return [summary["mean"] for summary in found if summary]


def _cell(means: Sequence[float], digits: int) -> str:
    if not means:
        return ""
    mean, least, most = sum(means) / len(means), min(means), max(means)
    return f"{mean:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=Path)
    parser.add_argument("--strategies", default="random,random_scratch,rl_scratch")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    words = [f"strategy={given.strategies}", f"seeds={given.seeds}"]
    found = []
    for split in range(given.splits):
        with tempfile.TemporaryDirectory() as folder:
            one, two = write_halves(given.rows, Path(folder), seed=split)
            for table, judge in ((one, two), (two, one)):
                found.append(cross_judged(table, judge, words, Path(folder) / table.stem))
    print(*lines(found), sep="\n")
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
