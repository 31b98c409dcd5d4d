"""What the leaderboard keeps of each run record: thousands fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from sys import intern
from typing import Any, TypeVar

from nasgan.runs.parts import UNITS
from nasgan.runs.record import RunRecord, breakdown_words

__all__ = [
    "Problem",
    "RandomArchitecture",
    "RunSummary",
    "grouped",
    "in_one_wording",
    "space_label",
    "without_duplicates",
]

# Settings of the search alone: the final training of an architecture does not depend on them.
_SEARCH_ONLY = ("strategy", "evaluator", "budget", "objective", "experiment")
_BY = " by "
_AS_IN_THE_RECORD = (
    *("run_id", "kind", "status", "failure", "strategy", "search_space", "dataset", "protocol"),
    *("seed", "metrics", "macs", "config_hash", "started", "ended"),
)

Key = TypeVar("Key")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a reader of the leaderboard has to know about its sources.

    Attributes:
        source: the file, folder or run at fault.
        message: what is wrong with it, and what became of it.
        places: the files that it is about; left out of what goes to others.
        is_grave: whether numbers that were counted are in doubt.
    """

    source: str
    message: str
    places: tuple[str, ...] = ()
    is_grave: bool = False

    def __str__(self) -> str:
        places = f" ({', '.join(self.places)})" if self.places else ""
        return f"{self.source}: {self.message}{places}"


@dataclass(frozen=True, slots=True)
class RandomArchitecture:
    """One of the random architectures that a run trained beside its finalists.

    Attributes:
        architecture: its id.
        metrics: its scores; empty if its training failed.
        failed: whether it failed.
        broke_down: whether its training did; its scores are those of its best moment before.
        generator_steps: what its training and scoring cost, as the next two.
        images: as above.
        device_seconds: as above.
    """

    architecture: str
    metrics: Mapping[str, float]
    failed: bool
    broke_down: bool
    generator_steps: int
    images: int
    device_seconds: float


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What the leaderboard reads of a record; the whole is ``RunRecord.read(summary.path)``.

    Attributes not named here are those of `RunRecord`.

    Attributes:
        path: the record's file; None if it was not read from one. Of a simulated search the file
            of all.
        num_classes: of class-conditional networks; 0 for unconditional ones.
        budget: in words, what the search might spend and how the result was trained.
        architecture: for the training of a given architecture its name, or its id.
        generator_parameters: number of parameters, as ``discriminator_parameters``.
        dataset_checksum: of the images trained on.
        hardware: the device; on the CPU its model.
        versions: of nasgan and the packages that move numbers.
        commit: of nasgan's checkout, with ``+dirty`` if it had changes; empty if unknown.
        breakdowns: of a run with a result, in words what broke down.
        random_architectures: those of the record's ``average_random``.
        objectives: those of a search by several, in words; empty for one.
        front_size: of such a search, the architectures on its last Pareto front.
        is_untrained: whether it is a search whose result was not trained (``final.top_k=0``).
        regret: of a result that a table judged, how far it is from the best that the table knows.
        is_simulated: whether it is a search on a table: it has no folder of its own.
        final_hash: hash of the configuration without what concerns the search alone.
    """

    path: Path | None
    run_id: str
    kind: str
    status: str
    failure: str
    strategy: str
    search_space: str
    num_classes: int
    architecture: str
    dataset: str
    dataset_checksum: str
    budget: str
    protocol: str
    seed: int
    metrics: Mapping[str, float] | None
    objective: str
    generator_parameters: int | None
    discriminator_parameters: int | None
    macs: int | None
    search_cost: Mapping[str, float]
    final_cost: Mapping[str, float]
    config_hash: str
    final_hash: str
    hardware: str
    versions: str
    commit: str
    tuning_budget: str
    experiment: str
    started: str
    ended: str
    breakdowns: tuple[str, ...]
    random_architectures: tuple[RandomArchitecture, ...]
    objectives: str = ""
    front_size: int | None = None
    is_untrained: bool = False
    regret: float | None = None
    is_simulated: bool = False

    @property
    def space_label(self) -> str:
        """The space, and whether its networks are class-conditional."""
        return space_label(self.search_space, self.num_classes)

    @property
    def conditional(self) -> bool:
        """Whether its networks are class-conditional."""
        return self.num_classes > 0

    @classmethod
    def of(
        cls, record: RunRecord, path: Path | None = None, *, is_simulated: bool = False
    ) -> RunSummary:
        """The summary of ``record``."""
        parameters, average = record.parameters or {}, record.average_random
        classes = record.space_settings.get("num_classes")
        phases = [point["phase"] for point in record.front]
        values: dict[str, Any] = {
            **{name: getattr(record, name) for name in _AS_IN_THE_RECORD},
            **_machine(record.environment),
            "num_classes": classes if isinstance(classes, int) else 0,
            "architecture": _architecture(record) if record.kind == "train" else "",
            "dataset_checksum": record.dataset_info["checksum"],
            "budget": _budget(record, is_simulated),
            "objective": record.objective["metric"],
            "objectives": ", ".join(record.objectives) if record.objectives[1:] else "",
            "tuning_budget": record.tuning_budget or "",
            "experiment": record.experiment or "",
            "final_hash": "" if average is None else record.computed_hash(ignore=_SEARCH_ONLY),
        }
        # The same few texts come again and again.
        values |= {name: intern(it) for name, it in values.items() if isinstance(it, str)}
        return cls(
            **values,
            path=path,
            generator_parameters=parameters.get("generator"),
            discriminator_parameters=parameters.get("discriminator"),
            search_cost=record.cost["search"],
            final_cost=record.cost["final"],
            breakdowns=tuple(map(breakdown_words, record.breakdowns)),
            random_architectures=tuple(map(_random, average["evaluations"] if average else ())),
            front_size=phases.count("final") or phases.count("search") or None,
            is_untrained=record.kind == "search"
            and record.status == "completed"
            and record.metrics is None
            and not record.finalists,
            regret=None if record.judge is None else record.judge["regret"],
            is_simulated=is_simulated,
        )


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """``items`` by their ``key``, both in the order in which they come."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def without_duplicates(runs: Sequence[RunSummary], problems: list[Problem]) -> list[RunSummary]:
    """Each run id once: copies are merged, of different contents the one that ended last stays."""
    kept: list[RunSummary] = []
    for run_id, same in grouped(runs, lambda run: run.run_id).items():
        if len(same) == 1:
            kept += same
            continue
        # By the contents last: which one counts must not hang on where they lie.
        contents = [replace(run, path=None) for run in same]
        latest = max(contents, key=lambda run: (run.ended, run.started, repr(run)))
        kept.append(same[contents.index(latest)])
        message = f"found {len(same)} times, counted once"
        if any(run != latest for run in contents):
            message += f": the contents differ, the one that ended at {latest.ended} counts"
        # A failed run that was tried again has one id and two contents; a result is made once.
        results = [run for run in contents if run.status == "completed"]
        is_grave = any(result != results[0] for result in results)
        places = tuple(str(run.path) for run in same if run.path is not None)
        problems.append(Problem(run_id, message, places, is_grave))
    return kept


def space_label(search_space: str, num_classes: int) -> str:
    """The space in words; class-conditional networks do another task than unconditional ones."""
    return f"{search_space}, conditional" if num_classes else search_space


def in_one_wording(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """``runs`` with one ``budget`` for each configuration whose finalists an evaluator scored.

    What it did only a result tells; a failed run takes over the words of its other seeds.
    """
    told = grouped((run for run in runs if _BY in run.budget), lambda run: run.config_hash)
    words = {
        config: max((run.budget for run in same), key=lambda b: ("," in b.rpartition(_BY)[2], b))
        for config, same in told.items()
    }
    return [
        replace(run, budget=words[run.config_hash])
        if _BY in run.budget and run.budget != words[run.config_hash]
        else run
        for run in runs
    ]


def _budget(record: RunRecord, is_simulated: bool) -> str:
    """What makes two runs comparable: the limits of the search and the length of the training."""
    final = _part(record.config, "training" if record.kind == "train" else "final")
    steps = final.get("generator_steps")
    if record.kind == "train":
        return "" if steps is None else f"training {steps} generator steps"
    limits = [
        f"{limit:.10g} {unit.replace('_', ' ')}"
        for unit, limit in record.budget.items()
        if limit is not None
    ]
    search = f"search {', '.join(limits) or 'without limit'}"
    return search if steps is None else f"{search}; {_final_words(record, final, is_simulated)}"


def _final_words(record: RunRecord, final: Mapping[str, Any], is_simulated: bool) -> str:
    count, evaluator, judge = final.get("top_k", 1), final.get("evaluator"), record.judge
    if count == 0:
        return "no final training"
    if evaluator is None:
        return f"final {count} x {final['generator_steps']} steps"
    # What was done: one evaluator can be named in several ways, and has defaults. A training that
    # broke down is shorter than was asked for.
    whole = [e for e in record.finalists if not e["failure"] and "breakdown" not in e]
    if not whole and not is_simulated:  # a table's trainings are known without a result
        named = evaluator.get("_target_", "") if isinstance(evaluator, Mapping) else evaluator
        return f"final {count}{_BY}{str(named).rpartition('.')[2]}"
    fidelity = whole[0]["fidelity"] if whole else "table_mean"
    steps = max((each["generator_steps"] for each in whole), default=final["generator_steps"])
    words = f"final {count}{_BY}{fidelity}, {steps} steps"
    checksum = (record.content or {}).get("judge")
    of_table = f" of {checksum[:8]}" if checksum else ""
    return words if judge is None else f"{words}, {judge['scores']} scores{of_table}"


def _architecture(record: RunRecord) -> str:
    """Of the training of a given one, what it is called."""
    given = (record.content or {}).get("architecture")  # a failed training was given one, too
    return record.architecture_name or given or str((record.architecture or {}).get("id", ""))


def _random(evaluation: Mapping[str, Any]) -> RandomArchitecture:
    return RandomArchitecture(
        architecture=str(evaluation["architecture"].get("id")),
        metrics=evaluation["metrics"],
        failed=bool(evaluation["failure"]),
        broke_down="breakdown" in evaluation,
        **{unit: evaluation["cost"][unit] for unit in UNITS[1:]},
    )


def _machine(environment: Mapping[str, Any]) -> dict[str, str]:
    """The ``hardware``, the ``versions`` and the ``commit`` of a run."""
    device, cpu = (str(environment.get(name) or "") for name in ("device", "cpu"))
    if device in ("", "cpu") and cpu:
        device = f"{cpu} ({environment.get('cores')} cores)"
    count, nasgan = environment.get("devices", 1), _part(environment, "nasgan")
    commit, packages = str(nasgan.get("commit") or ""), _part(environment, "packages")
    versions = {
        "nasgan": nasgan.get("version"),
        "python": environment.get("python"),
        **{name: packages.get(name) for name in ("torch", "numpy", "torch-fidelity")},
        **_part(environment, "plugins"),
    }
    return {
        "hardware": device if count == 1 else f"{count} x {device}",
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items() if number),
        "commit": f"{commit}+dirty" if commit and nasgan.get("dirty") else commit,
    }


def _part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = values.get(name)
    return value if isinstance(value, Mapping) else {}
