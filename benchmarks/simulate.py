"""Seconds of simulated searches: 8 strategies x 100 seeds in 5 minutes on 2 cores.

Makes a table of made-up trainings (see `benchmarks.synthetic_table`), or takes one, and simulates a
few seeds of each strategy. Processor time counts, so that what else runs does not.

    PYTHONPATH=.:strategies:search_spaces python benchmarks/simulate.py [--table T.npz] [--seeds 3]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.synthetic_table import write_synthetic_table
from nasgan.cli.key_values import settings_of
from nasgan.cli.simulate import asked_of
from nasgan.engine.simulations import Simulations, simulate_one

STRATEGIES, SEEDS, CORES, MOST_SECONDS = 8, 100, 2, 300.0


def main() -> None:
    """Measure, print the table; exit 1 if the projected time is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategies", default="random,random_scratch,rl_scratch")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = given.table or write_synthetic_table(Path(folder))
        words = [f"table={table}", "out=unused", f"strategy={given.strategies}"]
        words.append(f"seeds={given.seeds}")
        sys.exit(report(asked_of(settings_of("simulate", words))))


def report(asked: Simulations) -> int:
    """Print the seconds of each strategy; 1 if all would take too long."""
    started = time.process_time()
    first = next(iter(asked.strategies))
    simulate_one(asked, first, asked.seeds)
    print(f"{'table, surrogate, first search':<32}{time.process_time() - started:8.2f} s")
    means = []
    for name in asked.strategies:
        started = time.process_time()
        made = [simulate_one(asked, name, seed) for seed in range(asked.seeds)]
        means.append((time.process_time() - started) / asked.seeds)
        print(f"{name:<32}{means[-1]:8.3f} s a search, {_spent(made)}")
    total = sum(means) / len(means) * STRATEGIES * SEEDS / CORES
    print(f"{STRATEGIES} strategies x {SEEDS} seeds, {CORES} cores {total:8.1f} s", end="")
    print(f"  (limit {MOST_SECONDS:.0f} s)")
    return int(total > MOST_SECONDS)


def _spent(made: Sequence[Mapping[str, Any]]) -> str:
    spent = [record["spent"] for record in made]
    candidates = sum(each["architectures"] for each in spent) / len(spent)
    steps = sum(each["generator_steps"] for each in spent) / len(spent)
    return f"{candidates:.0f} candidates, {steps:.0f} generator steps"


if __name__ == "__main__":
    main()
