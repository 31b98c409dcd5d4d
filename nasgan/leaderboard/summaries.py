"""What the leaderboard keeps of each run record: thousands fit in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from sys import intern
from typing import Any

from nasgan.runs.record import RunRecord, breakdown_words

__all__ = [
    "Problem",
    "RandomArchitecture",
    "RunSummary",
    "in_one_wording",
    "space_label",
    "without_duplicates",
]

# Settings of the search alone: the final training of an architecture does not depend on them.
_SEARCH_ONLY = ("strategy", "evaluator", "budget", "objective", "experiment")
_BY = " by "


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

    @classmethod
    def of(
        cls, record: RunRecord, path: Path | None = None, *, is_simulated: bool = False
    ) -> RunSummary:
        """The summary of ``record``."""
        parameters = record.parameters or {}
        return cls(
            path=path,
            run_id=record.run_id,
            kind=intern(record.kind),
            status=intern(record.status),
            failure=record.failure,
            strategy=intern(record.strategy),
            search_space=intern(record.search_space),
            num_classes=_num_classes(record),
            architecture=_architecture_label(record),
            dataset=intern(record.dataset),
            dataset_checksum=intern(record.dataset_info["checksum"]),
            budget=intern(_budget(record, is_simulated)),
            protocol=intern(record.protocol),
            seed=record.seed,
            metrics=record.metrics,
            objective=intern(record.objective["metric"]),
            generator_parameters=parameters.get("generator"),
            discriminator_parameters=parameters.get("discriminator"),
            macs=record.macs,
            search_cost=record.cost["search"],
            final_cost=record.cost["final"],
            config_hash=intern(record.config_hash),
            final_hash=_final_hash(record),
            hardware=intern(_hardware(record.environment)),
            versions=intern(_versions(record.environment)),
            commit=intern(_commit(record.environment)),
            tuning_budget=intern(record.tuning_budget or ""),
            experiment=intern(record.experiment or ""),
            started=record.started,
            ended=record.ended,
            breakdowns=tuple(map(breakdown_words, record.breakdowns)),
            random_architectures=_random_architectures(record),
            objectives=intern(", ".join(record.objectives) if record.objectives[1:] else ""),
            front_size=_front_size(record),
            is_untrained=_is_untrained(record),
            regret=None if record.judge is None else record.judge["regret"],
            is_simulated=is_simulated,
        )


def without_duplicates(runs: Sequence[RunSummary], problems: list[Problem]) -> list[RunSummary]:
    """Each run id once: copies are merged, of different contents the one that ended last stays."""
    by_id: dict[str, list[RunSummary]] = {}
    for run in runs:
        by_id.setdefault(run.run_id, []).append(run)
    kept: list[RunSummary] = []
    for run_id, same in by_id.items():
        if len(same) == 1:
            kept += same
            continue
        # By the contents last: which one counts must not hang on where they lie.
        latest = max(same, key=lambda run: (run.ended, run.started, repr(replace(run, path=None))))
        kept.append(latest)
        places = tuple(str(run.path) for run in same if run.path is not None)
        copies = {replace(run, path=None) == replace(latest, path=None) for run in same} == {True}
        message = f"found {len(same)} times, counted once"
        if not copies:
            message += f": the contents differ, the one that ended at {latest.ended} counts"
        # A failed run that was tried again has one id and two contents; a result is made once.
        results = [replace(run, path=None) for run in same if run.status == "completed"]
        is_grave = any(result != results[0] for result in results)
        problems.append(Problem(run_id, message, places, is_grave))
    return kept


def space_label(search_space: str, num_classes: int) -> str:
    """The space in words; class-conditional networks do another task than unconditional ones."""
    return f"{search_space}, conditional" if num_classes else search_space


def _num_classes(record: RunRecord) -> int:
    number = record.space_settings.get("num_classes")
    return number if isinstance(number, int) else 0


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
    count, evaluator = final.get("top_k", 1), final.get("evaluator")
    if count == 0:
        return "no final training"
    if evaluator is None:
        return f"final {count} x {final['generator_steps']} steps"
    # What was done: one evaluator can be named in several ways, and has defaults. A training that
    # broke down is shorter than was asked for.
    whole = [e for e in record.finalists if not e["failure"] and "breakdown" not in e]
    if whole or is_simulated:  # a table's trainings are known without a result
        fidelity = whole[0]["fidelity"] if whole else "table_mean"
        steps = max((each["generator_steps"] for each in whole), default=final["generator_steps"])
        by = f"final {count}{_BY}{fidelity}, {steps} steps"
        return by if record.judge is None else f"{by}, {_judge_words(record)}"
    named = evaluator.get("_target_", "") if isinstance(evaluator, Mapping) else evaluator
    return f"final {count}{_BY}{str(named).rpartition('.')[2]}"


def _judge_words(record: RunRecord) -> str:
    assert record.judge is not None
    checksum = (record.content or {}).get("judge") or ""
    return f"{record.judge['scores']} scores{f' of {checksum[:8]}' if checksum else ''}"


def in_one_wording(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """``runs`` with one ``budget`` for each configuration whose finalists an evaluator scored.

    What it did only a result tells; a failed run takes over the words of its other seeds.
    """
    words: dict[str, str] = {}
    for run in runs:
        if _BY in run.budget:
            held = words.get(run.config_hash, "")
            words[run.config_hash] = max(held, run.budget, key=_told)
    return [
        replace(run, budget=words[run.config_hash])
        if _BY in run.budget and run.budget != words[run.config_hash]
        else run
        for run in runs
    ]


def _told(budget: str) -> tuple[bool, str]:
    return "," in budget.rpartition(_BY)[2], budget


def _front_size(record: RunRecord) -> int | None:
    if not record.front:
        return None
    phases = [point["phase"] for point in record.front]
    return phases.count("final") or phases.count("search")


def _is_untrained(record: RunRecord) -> bool:
    is_search = (record.kind, record.status) == ("search", "completed")
    return is_search and record.metrics is None and not record.finalists


def _architecture_label(record: RunRecord) -> str:
    if record.kind != "train":
        return ""
    if record.architecture_name:
        return intern(record.architecture_name)
    if record.content is not None and record.content["architecture"]:
        return intern(record.content["architecture"])  # a failed training was given one, too
    return "" if record.architecture is None else intern(str(record.architecture.get("id", "")))


def _final_hash(record: RunRecord) -> str:
    if record.average_random is None:
        return ""
    return intern(record.computed_hash(ignore=_SEARCH_ONLY))


def _random_architectures(record: RunRecord) -> tuple[RandomArchitecture, ...]:
    if record.average_random is None:
        return ()
    return tuple(
        RandomArchitecture(
            architecture=str(evaluation["architecture"].get("id")),
            metrics=evaluation["metrics"],
            failed=bool(evaluation["failure"]),
            broke_down="breakdown" in evaluation,
            generator_steps=evaluation["cost"]["generator_steps"],
            images=evaluation["cost"]["images"],
            device_seconds=evaluation["cost"]["device_seconds"],
        )
        for evaluation in record.average_random["evaluations"]
    )


def _hardware(environment: Mapping[str, Any]) -> str:
    device = str(environment.get("device") or "")
    cpu = str(environment.get("cpu") or "")
    if device in ("", "cpu") and cpu:
        device = f"{cpu} ({environment.get('cores')} cores)"
    count = environment.get("devices", 1)
    return device if count == 1 else f"{count} x {device}"


def _versions(environment: Mapping[str, Any]) -> str:
    named = {"nasgan": _part(environment, "nasgan").get("version")}
    named["python"] = environment.get("python")
    packages = _part(environment, "packages")
    named.update({name: packages.get(name) for name in ("torch", "numpy", "torch-fidelity")})
    named.update(_part(environment, "plugins"))
    return ", ".join(f"{name} {version}" for name, version in named.items() if version)


def _commit(environment: Mapping[str, Any]) -> str:
    nasgan = _part(environment, "nasgan")
    commit = str(nasgan.get("commit") or "")
    return f"{commit}+dirty" if commit and nasgan.get("dirty") else commit


def _part(environment: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = environment.get(name)
    return value if isinstance(value, Mapping) else {}
