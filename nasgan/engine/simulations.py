"""Many simulated searches on one table, side by side: ``nasgan simulate``."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from nasgan import atomic
from nasgan.contracts import AskTellStrategy, Budget, Objective, SearchStrategy
from nasgan.engine.simulation import TableRun, simulate
from nasgan.errors import ConfigError, NasganError, SearchFailed
from nasgan.evaluation.table_trainings import TableTrainings, settings_of_space
from nasgan.factory import make_search_space
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.table import metric_info
from nasgan.nodes import build_node
from nasgan.objects import described
from nasgan.reading import digest_of_json
from nasgan.runs.environment import collect_environment, installed_version, names_its_code
from nasgan.runs.folder import RunLock
from nasgan.runs.history import History, read_history
from nasgan.runs.simulations import MANIFEST_FILE, SEARCHES_FILE, SimulationFile
from nasgan.runs.status import utc_now
from nasgan.supervisor import Here, Piece, Retries, Slots, Supervisor, results_of
from nasgan.tabular.build import build_table
from nasgan.tabular.table import load_table

__all__ = ["Simulations", "run_simulations", "simulate_one", "why_not"]

_LOG = logging.getLogger(__name__)
_UNDER_WAY = "under_way.jsonl"  # in the folder, until all searches are over


@dataclass(frozen=True)
class Simulations:
    """What is simulated.

    Attributes:
        table: name or file.
        strategies: by the name in the results, the configuration's node, or a strategy itself.
        seeds: searches of each strategy, with the seeds from 0.
        budget: of each search, in simulated units.
        metric: what is searched for, and judged.
        baseline: the strategy that the others are held against.
    """

    table: str
    strategies: Mapping[str, Mapping[str, Any] | SearchStrategy]
    seeds: int
    budget: Mapping[str, float | None]
    metric: str = "fid"
    baseline: str = "random"

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"seeds must be at least 1, got {self.seeds}")
        Budget(**self.budget)  # type: ignore[arg-type]
        if all(limit is None for limit in self.budget.values()):
            raise ConfigError("budget must limit something: searches are compared at its end")
        for name in self.strategies:
            if not isinstance(self.new_strategy(name), AskTellStrategy):
                raise ConfigError(
                    f"strategy={name} learns on a supernet, which no table holds; run it with "
                    "`nasgan search`"
                )

    def new_strategy(self, name: str) -> SearchStrategy:
        """The strategy ``name`` for one search."""
        given = self.strategies[name]
        if isinstance(given, SearchStrategy):
            return deepcopy(given)
        made: SearchStrategy = build_node(given, where=f"strategy={name}", base=SearchStrategy)
        return made

    @property
    def is_named(self) -> bool:
        """Whether other processes can make the strategies: none is given as an object."""
        return not any(isinstance(given, SearchStrategy) for given in self.strategies.values())

    def known_code(self, environment: Mapping[str, Any]) -> set[str]:
        """The strategies whose code ``environment`` says, so that their searches can be kept."""
        if not names_its_code(environment):
            return set()
        return {k for k, given in self.strategies.items() if not isinstance(given, SearchStrategy)}

    @property
    def nodes(self) -> dict[str, Any]:
        """What the results say of the strategies; see `nasgan.objects`."""
        given = self.strategies.items()
        return {k: described(v) if isinstance(v, SearchStrategy) else v for k, v in given}


def _opened(table: str) -> TableTrainings:
    """The table as it is now, opened once while it stays that."""
    path = Path(table)
    told = path.stat() if path.is_file() else None
    return _read(table, None if told is None else (told.st_mtime_ns, told.st_size))


@lru_cache(maxsize=1)
def _read(table: str, _: object) -> TableTrainings:
    loaded = load_table(table)
    name, settings = settings_of_space(loaded)
    return TableTrainings(loaded, make_search_space(name, **settings))


def simulate_piece(order: Mapping[str, Any]) -> dict[str, Any]:
    """`simulate_one` in another process; the table is opened once in each."""
    return simulate_one(Simulations(**order["asked"]), order["strategy"], order["seed"])


def simulate_one(asked: Simulations, name: str, seed: int) -> dict[str, Any]:
    """Simulate the search of the strategy ``name`` with ``seed``: its record.

    Raises:
        NasganError: the table is missing, damaged, or does not fit.
    """
    trainings = _opened(asked.table)
    objective = Objective(asked.metric, metric_info(asked.metric).direction)
    budget = Budget(**asked.budget)  # type: ignore[arg-type]
    run = TableRun(trainings.space, trainings, objective, budget, seed=seed)
    strategy = asked.new_strategy(name)
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


def why_not(asked: Simulations, name: str, node: Mapping[str, Any]) -> str:
    """Why a strategy cannot search on the table; empty if it can. It is tried for two candidates.

    Args:
        asked: whose table and metric.
        name: of the strategy.
        node: its configuration.
    """
    tried = {"architectures": 2, **dict.fromkeys(("generator_steps", "images", "device_seconds"))}
    try:
        simulate_one(replace(asked, strategies={name: node}, seeds=1, budget=tried), name, 0)
    except NasganError as error:
        return str(error)
    return ""


def run_simulations(asked: Simulations, out: Path, *, workers: int) -> Iterator[dict[str, Any]]:
    """Simulate all searches, and write them to ``out`` when all are there; each as it ends.

    The folder is made, and this process's alone, before the first search. Searches that it holds
    already, of a call that ended or was killed, are not made again, and come first; those of
    strategies that are not asked for now stay.

    The records are sorted by strategy and seed, and do not depend on the number of workers. With a
    strategy that is given as an object, all are simulated in this process.

    Raises:
        NasganError: the table is missing, damaged, or does not fit.
        ConfigError: ``out`` holds searches that were made otherwise and are not asked for.
        RunDirectoryError: another process simulates into ``out``.
        StorageError: a file could not be written.
    """
    with _as_it_is(asked) as kept:
        # What is wrong with the table shows here, before a process is started.
        trainings = _opened(kept.table)
        known = trainings.metrics
        if asked.metric not in known:
            raise ConfigError(f"objective={asked.metric}: the table has {', '.join(known)}")
        trainings.prepare(asked.metric)
        with RunLock(out, setting="out"):
            yield from _simulated(kept, trainings, out, workers)


@contextmanager
def _as_it_is(asked: Simulations) -> Iterator[Simulations]:
    """``asked`` on a table that stays: of a folder the rows that it has now, as a file."""
    folder = Path(asked.table)
    if not folder.is_dir():
        yield asked
        return
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "table.npz"
        build_table([folder], file, name=folder.name)
        yield replace(asked, table=str(file))


def _simulated(
    asked: Simulations, trainings: TableTrainings, out: Path, workers: int
) -> Iterator[dict[str, Any]]:
    made = {**_made(asked, trainings), "started": utc_now()}
    searches = [(name, seed) for seed in range(asked.seeds) for name in asked.strategies]
    known = asked.known_code(made["environment"])
    if not known and {*out.iterdir()} & {out / MANIFEST_FILE, out / _UNDER_WAY}:
        _LOG.warning("all searches are made anew: no commit or version names the code that runs")
    made, ended = _with_ended(made, searches, out, known)
    done = _UnderWay(out, made, known)
    done.update(ended)
    yield from done.values()
    for record in _records(asked, [key for key in searches if key not in done], workers):
        done.add(record)
        yield record
    found = [done[key] for key in sorted(done)]
    seeds = 1 + max(seed for _, seed in done)
    SimulationFile(out / SEARCHES_FILE, {**made, "seeds": seeds, "ended": utc_now()}).write(found)
    done.forget()


def _records(
    asked: Simulations, searches: Sequence[tuple[str, int]], workers: int
) -> Iterator[dict[str, Any]]:
    if not asked.is_named:
        yield from (simulate_one(asked, *search) for search in searches)
        return
    places = Here() if workers == 1 else Slots(max(1, min(workers, len(searches))))
    with closing(Supervisor(places, Retries(attempts=1))) as supervisor:
        pieces = [_piece(asked, *search) for search in searches]
        for piece, outcome in results_of(supervisor, pieces):
            if outcome.failure:
                raise SearchFailed(f"{piece.title}: {outcome.failure}")
            yield outcome.result


Searches = dict[tuple[str, int], dict[str, Any]]

_SHAPES_ALL = {
    "checksum": "on another table",
    "space_settings": "in another search space",
    "budget": "with another budget",
    "metric": "by another metric",
}


def _code(made: Mapping[str, Any]) -> list[Any]:
    """Versions and commit, as far as they tell."""
    return [made["environment"].get(key) for key in ("nasgan", "packages", "plugins")]


def _shaped_by(made: Mapping[str, Any]) -> dict[str, str]:
    """By strategy a digest of what shapes its searches: its settings, and what all have in common.

    That is the table, the budget, the metric, and the code as far as its version and commit tell.
    """
    shared = [made[key] for key in _SHAPES_ALL]
    nodes = made["strategies"].items()
    return {name: digest_of_json([shared, _code(made), node]) for name, node in nodes}


def _with_ended(
    made: Mapping[str, Any], searches: Sequence[tuple[str, int]], out: Path, known: set[str]
) -> tuple[dict[str, Any], Searches]:
    """What is made together with what ``out`` holds, and the searches of that which count.

    They count if what shapes them is as it was, and if they are asked for, their code is ``known``.

    Raises:
        ConfigError: searches would be lost that were made otherwise, and are not asked for.
    """
    if not (out / MANIFEST_FILE).exists():
        return dict(made), {}
    file = SimulationFile.open(out / SEARCHES_FILE)
    strategies = {**file.made["strategies"], **made["strategies"]}
    then, now = _shaped_by(file.made), _shaped_by({**made, "strategies": strategies})
    # With a line damaged it is not the file that was written, and nothing in it counts.
    same = {name for name in then if not file.differs() and then[name] == now[name]}
    counts = {name for name in same if name in known or name not in made["strategies"]}
    held = {(each["strategy"], each["seed"]): each for each, _ in file.read(lambda _: None)}
    lost = sorted({name for name, _ in held.keys() - {*searches}} - counts)
    if lost:
        raise ConfigError(
            f"out={out} holds searches of {', '.join(lost)} that would be lost: "
            f"{_why_another(file, made)}. Take another folder, or remove that one"
        )
    ended = {key: search for key, search in held.items() if key[0] in counts}
    nodes = {k: v for k, v in strategies.items() if k in counts or k in made["strategies"]}
    return {**made, "strategies": nodes}, ended


def _why_another(file: SimulationFile, made: Mapping[str, Any]) -> str:
    if file.differs():
        return f"{SEARCHES_FILE} {file.differs()}"
    found = [why for key, why in _SHAPES_ALL.items() if file.made[key] != made[key]]
    found += ["by other code"] if _code(file.made) != _code(made) else []
    return f"they were made {', '.join(found) or 'otherwise, or by code that no commit names'}"


class _UnderWay(Searches):
    """The searches that are over, by strategy and seed, on the disk until all are.

    Those of a call that was killed count if what shapes them is as it was and their code is
    ``known``. The others stay on the disk, for a call that asks for them.
    """

    def __init__(self, out: Path, made: Mapping[str, Any], known: set[str]) -> None:
        super().__init__()
        self._shaped_by = _shaped_by(made)
        self._lines = History(out / _UNDER_WAY)
        self._others = []
        for line in read_history(self._lines.path) if len(self._lines) else ():
            search = line["search"]
            name = search["strategy"]
            if name not in made["strategies"]:
                self._others.append(line)
            elif name in known and self._shaped_by[name] == line["made_by"]:
                self[name, search["seed"]] = search

    def add(self, search: dict[str, Any]) -> None:
        """Note it, on the disk first."""
        made_by = self._shaped_by[search["strategy"]]
        self._lines.append({"made_by": made_by, "search": search})
        self[search["strategy"], search["seed"]] = search

    def forget(self) -> None:
        """Remove what was noted, but for the searches of strategies that were not asked for."""
        if self._others:
            numbered = ({**line, "index": k} for k, line in enumerate(self._others))
            text = "".join(f"{json.dumps(line)}\n" for line in numbered)
            atomic.write_file(self._lines.path, text)
        else:
            self._lines.path.unlink(missing_ok=True)


def _made(asked: Simulations, trainings: TableTrainings) -> dict[str, Any]:
    """What all searches share; of a table that does not say its images their name alone."""
    table, space = trainings.table, trainings.space
    images = table.manifest["settings"].get("dataset", {})
    return {
        **asdict(asked),
        "strategies": asked.nodes,
        "budget": Budget(**asked.budget).to_json(),  # type: ignore[arg-type]
        "table": table.name,
        "checksum": table.checksum,
        "protocol": table.score_protocol,
        "scores": "exact" if trainings.is_exact else "surrogate",
        "generator_steps": trainings.steps[-1],
        "best_known": trainings.best_known(asked.metric),
        "search_space": space.name,
        "space_settings": space.settings,
        "dataset": images.get("identity") or Protocol.parse(table.protocol).dataset,
        "dataset_info": {
            "checksum": images.get("checksum") or "unknown",
            "num_images": images.get("num_images", 0),
        },
        "environment": _environment(asked),
    }


def _environment(asked: Simulations) -> dict[str, Any]:
    """That of a run, with what fits the surrogate and what some strategies search with."""
    found = collect_environment("simulated", {"strategies": asked.nodes})
    more = {name: installed_version(name) for name in ("scikit-learn", "optuna")}
    return {**found, "packages": {**found["packages"], **more}}


def _piece(asked: Simulations, name: str, seed: int) -> Piece:
    # The others are checked already, and would be again in each process.
    alone = {**asdict(asked), "strategies": {name: asked.strategies[name]}}
    return Piece(
        key=f"{name}-{seed}",
        title=f"the search of {name} with seed {seed}",
        work="nasgan.engine.simulations:simulate_piece",
        order={"asked": alone, "strategy": name, "seed": seed},
    )
