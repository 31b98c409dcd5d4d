"""Many simulated searches on one table, side by side: ``nasgan simulate``."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from nasgan import atomic
from nasgan.contracts import AskTellStrategy, Budget, Objective, SearchStrategy
from nasgan.engine.simulation import TableRun, simulate
from nasgan.engine.slots import Slots
from nasgan.errors import ConfigError
from nasgan.evaluation.table_trainings import TableTrainings, settings_of_space
from nasgan.factory import make_search_space
from nasgan.metrics.table import metric_info
from nasgan.nodes import build_node
from nasgan.reading import read_json
from nasgan.runs.environment import nasgan_build
from nasgan.tabular.table import load_table

__all__ = ["Simulations", "read_manifest", "run_simulations", "simulate_one"]

RECORDS_FILE = "simulations.jsonl"
MANIFEST_FILE = "simulations.json"


@dataclass(frozen=True)
class Simulations:
    """What is simulated.

    Attributes:
        table: name or file.
        strategies: by the name in the results, the configuration's node.
        seeds: searches of each strategy, with the seeds from 0.
        budget: of each search, in simulated units.
        metric: what is searched for, and judged.
        baseline: the strategy that the others are held against.
    """

    table: str
    strategies: Mapping[str, Mapping[str, Any]]
    seeds: int
    budget: Mapping[str, float | None]
    metric: str = "fid"
    baseline: str = "random"

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, got {self.seeds}")
        Budget(**self.budget)  # type: ignore[arg-type]
        for name, node in self.strategies.items():
            strategy = build_node(node, where=f"strategy={name}", base=SearchStrategy)
            if not isinstance(strategy, AskTellStrategy):
                raise ConfigError(
                    f"strategy={name} learns on a supernet, which no table holds; run it with "
                    "`nasgan search`"
                )


@lru_cache(maxsize=1)
def _opened(table: str) -> TableTrainings:
    loaded = load_table(table)
    name, settings = settings_of_space(loaded)
    return TableTrainings(loaded, make_search_space(name, **settings))


@dataclass(frozen=True)
class _Work:
    """Picklable; opens the table once a process."""

    asked: Simulations

    def __call__(self, slot: int, search: tuple[str, int]) -> dict[str, Any]:
        del slot
        return simulate_one(self.asked, *search)


def simulate_one(asked: Simulations, name: str, seed: int) -> dict[str, Any]:
    """Simulate the search of the strategy ``name`` with ``seed``: its record.

    Raises:
        NasganError: the table is missing, damaged, or does not fit.
    """
    trainings = _opened(asked.table)
    objective = Objective(asked.metric, metric_info(asked.metric).direction)
    budget = Budget(**asked.budget)  # type: ignore[arg-type]
    run = TableRun(trainings.space, trainings, objective, budget, seed=seed)
    strategy = build_node(asked.strategies[name], where=f"strategy={name}", base=SearchStrategy)
    with _one_thread():
        return dict(simulate(strategy, run, trainings, name=name).to_json())


@contextmanager
def _one_thread() -> Iterator[None]:
    """The small networks of strategies take no more, and another process runs on the next core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_simulations(asked: Simulations, out: Path, *, workers: int) -> Iterator[dict[str, Any]]:
    """Simulate all searches, and write them to ``out`` when all are there; each as it ends.

    The records are sorted by strategy and seed, and do not depend on the number of workers.

    Raises:
        NasganError: the table is missing, damaged, or does not fit.
        StorageError: a file could not be written.
    """
    # What is wrong with the table shows here, before a process is started.
    trainings = _opened(asked.table)
    if asked.metric not in trainings.metrics:
        raise ConfigError(f"objective={asked.metric}: the table has {', '.join(trainings.metrics)}")
    trainings.prepare(asked.metric)
    searches = [(name, seed) for seed in range(asked.seeds) for name in asked.strategies]
    done: dict[tuple[str, int], dict[str, Any]] = {}
    if workers == 1:
        for search in searches:
            done[search] = _Work(asked)(0, search)
            yield done[search]
    else:
        with Slots(min(workers, len(searches))) as slots:
            for search, future in slots.run(_Work(asked), deque(searches)):
                done[search] = future.result()
                yield done[search]
    _write(asked, trainings, out, [done[key] for key in sorted(done)])


def _write(
    asked: Simulations, trainings: TableTrainings, out: Path, records: Sequence[Mapping[str, Any]]
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record, sort_keys=True) + "\n" for record in records)
    atomic.write_text(out / RECORDS_FILE, lines)
    atomic.write_json(
        out / MANIFEST_FILE,
        {
            **asdict(asked),
            "table": trainings.table.name,
            "protocol": trainings.table.score_protocol,
            "scores": "exact" if trainings.is_exact else "surrogate",
            "best_known": trainings.best_known(asked.metric),
            "nasgan": nasgan_build(),
        },
    )


def read_manifest(out: Path) -> dict[str, Any]:
    """What `run_simulations` wrote about the searches in ``out``."""
    made: dict[str, Any] = read_json(out / MANIFEST_FILE)
    return made
