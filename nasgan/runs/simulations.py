"""Searches on a table: a line each of one file, and each the record of the run that it stands for.

A simulated search is what ``nasgan search evaluator=table final.evaluator=table_mean`` would be,
without its folder: it is read as such a run's record, so that whoever reads records reads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from nasgan import atomic
from nasgan.errors import ConfigError, quoted
from nasgan.metrics.table import metric_info
from nasgan.reading import digest_of, digest_of_json, load_json, open_file, parse_json
from nasgan.runs.parts import ArchitectureData, Budget, Cost, DatasetInfo
from nasgan.runs.record import RunRecord, hash_config
from nasgan.schema import (
    Count,
    Fault,
    JsonObject,
    Many,
    Number,
    OpenPart,
    Part,
    Text,
    UtcTime,
    check,
)

__all__ = ["MANIFEST_FILE", "SEARCHES_FILE", "SimulationFile"]

SEARCHES_FILE = "simulations.jsonl"
MANIFEST_FILE = "simulations.json"

_FORMAT = "nasgan-simulations"
_VERSION = 1
_LONGEST_LINE = 10_000_000
_MOST_TOLD = 3
_EVALUATOR = "nasgan.evaluation.NamedTableEvaluator"
_JUDGE = "nasgan.evaluation.TableMeanEvaluator"


class _Incumbent(Part):
    """The best that a search knew from some moment on, and what it is worth."""

    spent: Cost
    architecture: Text
    judged: Number | None


class _Search(Part):
    """A line; see `nasgan.engine.simulation.SimulatedSearch`."""

    strategy: Text
    seed: Count
    architecture: ArchitectureData | None
    judged: Number | None
    incumbents: Many[_Incumbent]
    spent: Cost
    ended_by: str


def _limited(budget: dict[str, float | None]) -> dict[str, float | None]:
    if all(limit is None for limit in budget.values()):
        raise Fault("a budget with a limit", budget)
    return budget


class _Manifest(OpenPart):
    """What all searches of a file share."""

    format: Literal["nasgan-simulations"]
    version: int
    table: Text
    checksum: Text
    protocol: Text
    scores: Literal["exact", "surrogate"]
    generator_steps: Count
    best_known: Number
    search_space: Text
    space_settings: JsonObject
    dataset: Text
    dataset_info: DatasetInfo
    metric: Text
    baseline: Text
    strategies: JsonObject
    budget: Annotated[Budget, AfterValidator(_limited)]
    seeds: Count
    searches: Count
    sha256: Text
    environment: JsonObject
    started: UtcTime
    ended: UtcTime


@dataclass(frozen=True)
class SimulationFile:
    """A file of simulated searches.

    Attributes:
        path: the file.
        made: how its searches were made, the contents of ``simulations.json`` beside it.
    """

    path: Path
    made: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> SimulationFile:
        """Read what stands beside the searches.

        Raises:
            ConfigError: it is missing, foreign, of another version, or malformed.
        """
        path = Path(path)
        source = path.with_name(MANIFEST_FILE)
        made = load_json(source, ConfigError, "description of the searches")
        version = made.get("version") if isinstance(made, dict) else None
        if not isinstance(made, dict) or made.get("format") != _FORMAT or version != _VERSION:
            raise ConfigError(
                f"{source}: not of simulated searches as this nasgan writes them (version "
                f"{_VERSION}); simulate them again, which takes seconds"
            )
        check(_Manifest, made, MANIFEST_FILE)
        return cls(path, made)

    def write(self, searches: Iterable[Mapping[str, Any]]) -> SimulationFile:
        """Write ``searches`` and what stands beside them; the file as it is then.

        Args:
            searches: as JSON data.

        Raises:
            StorageError: a file could not be written.
        """
        # The order of an architecture's decisions is part of its identity.
        lines = [f"{json.dumps(search)}\n" for search in searches]
        text = "".join(lines)
        made = {
            "format": _FORMAT,
            "version": _VERSION,
            **self.made,
            "searches": len(lines),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        manifest = self.path.with_name(MANIFEST_FILE)
        atomic.write_files({self.path: text, manifest: json.dumps(made, indent=2) + "\n"})
        return SimulationFile(self.path, made)

    def read(self, told: Callable[[str], object]) -> Iterator[tuple[dict[str, Any], RunRecord]]:
        """The lines as JSON data and as records of runs, one at a time.

        Args:
            told: takes a sentence on each of the first damaged lines, which are left out, and one
                on how many searches the file lacks.

        Raises:
            ConfigError: the file cannot be read.
        """
        damaged = 0
        first: dict[tuple[str, int], int] = {}
        for number, line in enumerate(self._lines(), start=1):
            try:
                search = self._search(line)
                before = first.setdefault((search["strategy"], search["seed"]), number)
                if before != number:
                    raise ConfigError(
                        f"the search of {search['strategy']} with seed {search['seed']} is there "
                        f"already, in line {before}"
                    )
                record = self._record(search)
            except ConfigError as error:
                damaged += 1
                if damaged <= _MOST_TOLD:
                    told(f"line {number}: {error}; it is left out")
            else:
                yield search, record
        if damaged > _MOST_TOLD or len(first) < self.made["searches"]:
            told(f"{len(first)} of {self.made['searches']} searches can be read")

    def _lines(self) -> Iterator[bytes]:
        try:
            with open_file(self.path) as stream:
                while line := stream.readline(_LONGEST_LINE):
                    yield line
        except OSError as error:
            raise ConfigError(
                f"{self.path}: cannot read these searches: {error.strerror}"
            ) from error

    def _search(self, line: bytes) -> dict[str, Any]:
        try:
            search = parse_json(line)
        except ValueError as error:
            raise ConfigError(f"not JSON: {error}") from error
        if not isinstance(search, dict):
            raise ConfigError(f"a search must be an object, got {quoted(search)}")
        check(_Search, search, "search")
        if search["strategy"] not in self.made["strategies"]:
            raise ConfigError(
                f"{MANIFEST_FILE} names no strategy {quoted(search['strategy'])}, but "
                f"{', '.join(self.made['strategies'])}"
            )
        _check_result(search)
        return search

    @property
    def identity(self) -> str:
        """Equal for copies of one file."""
        return digest_of_json(self.made)

    def regret(self, judged: float) -> float:
        """By how much a score is worse than the best that the table knows."""
        lost: float = judged - self.made["best_known"]
        return lost if self._objective["direction"] == "min" else -lost

    def differs(self) -> str:
        """Why the file is not the one that was written; empty if it is."""
        try:
            if digest_of(self.path) == self.made["sha256"]:
                return ""
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return f"is not the file that was written: its SHA-256 is not that in {MANIFEST_FILE}"

    @cached_property
    def _objective(self) -> dict[str, str]:
        metric = self.made["metric"]
        return {"metric": metric, "direction": metric_info(metric).direction}

    @cached_property
    def _content(self) -> dict[str, str | None]:
        checksum = self.made["checksum"]
        images = self.made["dataset_info"]["checksum"]
        nothing = dict.fromkeys(("test_images", "features", "architecture"))
        return {"images": images, **nothing, "table": checksum, "judge": checksum}

    @cached_property
    def _hashes(self) -> dict[str, str]:
        """The hash of the configuration by strategy."""
        return {
            name: hash_config(self._config(name, 0), content=self._content)
            for name in self.made["strategies"]
        }

    def _config(self, strategy: str, seed: int) -> dict[str, Any]:
        made = self.made
        return {
            "seed": seed,
            "search_space": {"name": made["search_space"], **made["space_settings"]},
            "strategy": made["strategies"][strategy],
            "evaluator": {"_target_": _EVALUATOR, "table": made["table"]},
            "objective": made["metric"],
            "budget": made["budget"],
            "final": {
                "top_k": 1,
                "generator_steps": made["generator_steps"],
                "evaluator": {"_target_": _JUDGE, "table": made["table"]},
            },
        }

    def _record(self, search: Mapping[str, Any]) -> RunRecord:
        made, name, seed = self.made, search["strategy"], search["seed"]
        judged, metric = search["judged"], made["metric"]
        identity = f"{self._hashes[name]} {seed} {made['started']} {made['ended']}"
        return RunRecord(
            run_id=f"simulated-{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
            kind="search",
            status="completed" if judged is not None else "failed",
            failure="" if judged is not None else _failure(search),
            strategy=name,
            search_space=made["search_space"],
            space_settings=made["space_settings"],
            dataset=made["dataset"],
            protocol=made["protocol"],
            seed=seed,
            objective=self._objective,
            cost={"search": search["spent"], "final": _NOTHING},
            budget=made["budget"],
            config=self._config(name, seed),
            config_hash=self._hashes[name],
            content=self._content,
            environment=made["environment"],
            dataset_info=made["dataset_info"],
            started=made["started"],
            ended=made["ended"],
            architecture=search["architecture"],
            metrics=None if judged is None else {metric: judged},
            finalists=[] if search["architecture"] is None else [self._finalist(search)],
            judge={
                "table": made["table"],
                "scores": made["scores"],
                "best_known": made["best_known"],
                "regret": None if judged is None else self.regret(judged),
            },
        )

    def _finalist(self, search: Mapping[str, Any]) -> dict[str, Any]:
        judged = search["judged"]
        return {
            "architecture": search["architecture"],
            "metrics": {} if judged is None else {self.made["metric"]: judged},
            "score": judged,
            "fidelity": "table_mean",  # as `nasgan.evaluation.TableMeanEvaluator` calls it
            "generator_steps": self.made["generator_steps"],
            "cost": {**_NOTHING, "architectures": 1},
            "failure": "" if judged is not None else _failure(search),
        }


_NOTHING: Mapping[str, float] = {
    "architectures": 0,
    "generator_steps": 0,
    "images": 0,
    "device_seconds": 0.0,
}


def _failure(search: Mapping[str, Any]) -> str:
    if search["architecture"] is None:
        return f"no architecture was scored: {search['ended_by'] or 'nothing says why'}"
    return "what it found breaks down in the table"


def _check_result(search: Mapping[str, Any]) -> None:
    """Refuse a result that is not the last incumbent, or costs that fall."""
    last = search["incumbents"][-1] if search["incumbents"] else None
    found = search["architecture"]
    told = (None if found is None else found.get("id"), search["judged"])
    if told != ((None, None) if last is None else (last["architecture"], last["judged"])):
        raise ConfigError("architecture and judged are not those of its last incumbent")
    spent = [*(each["spent"] for each in search["incumbents"]), search["spent"]]
    if any(after[unit] < before[unit] for before, after in pairwise(spent) for unit in before):
        raise ConfigError("its costs fall from one incumbent to the next")
