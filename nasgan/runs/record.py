"""The run record: all that the leaderboard and the report know of a run, in one JSON file.

Imports no torch. Costs and evaluations are held as the JSON data that `nasgan.contracts` writes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from nasgan import atomic
from nasgan.errors import ConfigError, quoted
from nasgan.reading import digest_of, load_json
from nasgan.run_settings import BESIDE_THE_RESULT, without_later, without_places
from nasgan.runs.parts import (
    ArchitectureData,
    AverageRandom,
    Bound,
    Budget,
    Content,
    Costs,
    DatasetInfo,
    Digests,
    Evaluation,
    Judge,
    Objective,
    OnAFront,
    Parameters,
    PhasedBreakdown,
    Scores,
    ScoresByClass,
)
from nasgan.runs.proxy import ProxyCorrelation
from nasgan.schema import (
    Amount,
    Count,
    JsonObject,
    Many,
    Shape,
    Text,
    UtcTime,
    check,
    made_of,
    model,
)

__all__ = ["RECORD_FILE", "RunRecord", "breakdown_words", "hash_config"]

RECORD_FILE = "record.json"

_FORMAT = "nasgan-record"
_VERSION = 1


def hash_config(
    config: Mapping[str, Any],
    *,
    content: Mapping[str, str | None] | None = None,
    ignore: Sequence[str] = (),
) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of an experiment: its settings and its data.

    Equal for the seeds of one experiment: the seed, the device, the loggers, and how often a
    checkpoint is made are left out; so is where the images, the weights of the features, tables and
    a given architecture lie: ``content`` says what they are. Equal, too, for runs from before a
    setting came and those that leave it as they had it.

    Args:
        config: the resolved configuration as JSON data.
        content: that of the `RunRecord`. None where a record has none, as they were before there
            was one: paths count then.
        ignore: further top-level keys to leave out.
    """
    left_out = BESIDE_THE_RESULT.union(ignore)
    if content is not None:
        config = {**without_places(config), "content": dict(content)}
        left_out |= {"architecture"}
    kept = {key: value for key, value in without_later(config).items() if key not in left_out}
    canonical = json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:16]


_Object: TypeAlias = Mapping[str, Any]


@model("the record")
class RunRecord:
    """One finished run: what was run, on what, at what cost, and what came of it.

    Attributes:
        run_id: unique name of the run.
        kind: a search, or the training of one given architecture.
        status: ``"failed"`` if the run ended without a result; failures are results too.
        failure: why it failed; empty if it did not.
        strategy: registered name of the strategy; ``"train"`` for that kind.
        search_space: registered name of the space.
        space_settings: what rebuilds the space at the widths of the result's networks.
        dataset: identity of the image set.
        protocol: id of the protocol that the metrics were taken under.
        seed: the run's seed.
        architecture: the result, as `Architecture.to_json` gives it; null if there is none.
        architecture_name: the name it was asked for by, e.g. ``"autogan_a"``.
        graphs: drawings of the result's networks, as `nasgan.graph.Graph.to_json` gives them;
            checked by those who draw them.
        decisions: the options of each decision of the search space, in the order of the integer
            encoding.
        metrics: the result's scores by metric.
        per_class: of a class-conditional result, the scores that were made class by class: the
            value for each class, in their order, by metric; else null.
        objective: ``{"metric", "direction"}`` that the search optimised; of several the first, with
            the others, each of the same form, under ``"others"``.
        final_objective: the same of the result's scores, where ``final.evaluator`` names another.
        search_objective: the same of the search's own scores, where its evaluator names another
            (a proxy's score is no FID); else null.
        parameters: number of parameters, ``{"generator", "discriminator"}``.
        macs: multiply-adds of the generator for one image.
        finalists: evaluations of the retrained candidates, as `Evaluation.to_json` gives them.
        search_result: without a final training (``final.top_k=0``) the search's evaluation of the
            result, where it has scored it; else null.
        front: of a search by several objectives, ``{"phase", "architecture", "values"}`` of each
            architecture on a Pareto front: of the phase ``"search"`` by the search's scores, of
            ``"final"`` those of its finalists by the scores after training, at the final widths.
            ``values`` holds each objective's.
        judge: ``{"table", "scores", "best_known", "regret"}`` where a table of trainings scored the
            finalists (``final.evaluator``): its name, whether the means are of its rows or its
            surrogate's, the best of the objective in it, and by how much the result is worse; else
            null.
        average_random: ``{"count", "failed", "metrics", "evaluations"}`` of random architectures
            trained like the finalists: how many, how many of them failed, the mean over the
            others, and the evaluation of each.
        proxy_correlation: how well the search's scores foretold those after the final training, as
            `nasgan.runs.proxy.proxy_correlation` gives it; null unless several architectures
            have both.
        breakdowns: ``{"phase", "generator_step", "reason"}`` of the supernet's training (phase
            ``"search"``) and of the result's (``"final"``), where they broke down: the result is
            what was best before.
        bound: ``{"metrics", "num_images"}`` of the test split scored against the train split.
        bound_note: what the bound lacks and why, or why there is none; empty if nothing.
        cost: what was spent in the phases ``"search"`` and ``"final"``, as `Cost.to_json` gives it.
        budget: the limits, as `Budget.to_json` gives them.
        timers: wall-clock seconds by phase.
        peak_memory_bytes: most memory that the device (on the CPU: the process) held.
        config: the resolved configuration.
        config_hash: see `hash_config`.
        content: what the run worked with, wherever that lay: SHA-256 of the ``images`` trained on,
            of the ``test_images``, of the network of the ``features``, and the id of the
            ``architecture`` that a training was given; null for what there is not. Of the
            ``table`` that scored candidates and the one that was the finalists' ``judge``, where
            there was one. Null in records of before this was written.
        experiment: name of the experiment preset.
        environment: see `nasgan.runs.environment.collect_environment`.
        dataset_info: ``{"checksum", "num_images"}`` of the images trained on.
        files: SHA-256 of each file that the run left beside the record, by its path in the run's
            folder; empty in records that are older than this field.
        tuning_budget: in words, what was spent on tuning the settings before.
        started: ISO 8601 time in UTC.
        ended: ISO 8601 time in UTC.

    Raises:
        ConfigError: a field has a wrong type or value, or two fields contradict each other.
    """

    run_id: Text
    kind: Literal["search", "train"]
    status: Literal["completed", "failed"]
    strategy: Text
    search_space: Text
    space_settings: Annotated[_Object, Shape(JsonObject)]
    dataset: Text
    protocol: Text
    seed: Count
    objective: Annotated[_Object, Shape(Objective)]
    cost: Annotated[Mapping[str, Mapping[str, float]], Shape(Costs)]
    budget: Annotated[Mapping[str, float | None], Shape(Budget)]
    config: Annotated[_Object, Shape(JsonObject)]
    config_hash: Text
    environment: Annotated[_Object, Shape(JsonObject)]
    dataset_info: Annotated[_Object, Shape(DatasetInfo)]
    started: UtcTime
    ended: UtcTime
    failure: str = ""
    architecture: Annotated[_Object | None, Shape(ArchitectureData | None)] = None
    architecture_name: Text | None = None
    graphs: Annotated[Sequence[_Object], Shape(Many[dict[str, Any]])] = ()
    decisions: Annotated[Mapping[str, Sequence[str]], Shape(dict[str, Many[str]])] = field(
        default_factory=dict
    )
    metrics: Annotated[Mapping[str, float] | None, Shape(Scores | None)] = None
    per_class: Annotated[Mapping[str, Sequence[float]] | None, Shape(ScoresByClass | None)] = None
    parameters: Annotated[Mapping[str, int] | None, Shape(Parameters | None)] = None
    macs: Count | None = None
    finalists: Annotated[Sequence[_Object], Shape(Many[Evaluation])] = ()
    average_random: Annotated[_Object | None, Shape(AverageRandom | None)] = None
    proxy_correlation: Annotated[_Object | None, Shape(ProxyCorrelation | None)] = None
    breakdowns: Annotated[Sequence[_Object], Shape(Many[PhasedBreakdown])] = ()
    bound: Annotated[_Object | None, Shape(Bound | None)] = None
    bound_note: str = ""
    timers: Annotated[Mapping[str, float], Shape(dict[str, Amount])] = field(default_factory=dict)
    peak_memory_bytes: Count = 0
    experiment: Text | None = None
    tuning_budget: Text | None = None
    content: Annotated[Mapping[str, str | None] | None, Shape(Content | None)] = None
    files: Annotated[Mapping[str, str], Shape(Digests)] = field(default_factory=dict)
    search_objective: Annotated[_Object | None, Shape(Objective | None)] = None
    final_objective: Annotated[_Object | None, Shape(Objective | None)] = None
    search_result: Annotated[_Object | None, Shape(Evaluation | None)] = None
    front: Annotated[Sequence[_Object], Shape(Many[OnAFront])] = ()
    judge: Annotated[_Object | None, Shape(Judge | None)] = None

    def __post_init__(self) -> None:
        _check_consistency(self)

    @property
    def search_metric(self) -> str:
        """What the scores in the search's history are of."""
        return str((self.search_objective or self.objective)["metric"])

    @property
    def final_metric(self) -> str:
        """What the score of the result is of."""
        return str((self.final_objective or self.objective)["metric"])

    @property
    def objectives(self) -> list[str]:
        """The metrics and sizes that the search optimised, the first one first."""
        return [each["metric"] for each in (self.objective, *self.objective.get("others", ()))]

    def computed_hash(self, *, ignore: Sequence[str] = ()) -> str:
        """What `config_hash` has to be; see `hash_config`."""
        return hash_config(self.config, content=self.content, ignore=ignore)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON data; `from_json` reads it back."""
        values = {name: getattr(self, name) for name in _FIELDS}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return {"format": _FORMAT, "version": _VERSION, **plain}

    @classmethod
    def from_json(cls, data: object, *, source: str = "record") -> RunRecord:
        """Read what `to_json` wrote. ``source`` names the origin in error messages.

        Raises:
            ConfigError: foreign, of another version, or malformed; names the field.
        """
        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            raise ConfigError(
                f"{source}: not a run record (expected a JSON object with "
                f'"format": "{_FORMAT}", as in the record.json of a run)'
            )
        if data.get("version") != _VERSION:
            raise ConfigError(
                f"{source}: version {quoted(data.get('version'))} is not the {_VERSION} that this "
                "nasgan reads; update nasgan"
            )
        values = {key: value for key, value in data.items() if key not in ("format", "version")}
        try:
            return made_of(cls, values, newer=_NEWER)
        except ConfigError as error:
            newer = values.keys() - set(_FIELDS)
            hint = "; a newer nasgan may have made it: update nasgan" if newer else ""
            raise ConfigError(f"{source}: {error}{hint}") from error

    def differing_file(self, folder: Path, name: str) -> str:
        """Why a file beside the record is not the one that the run left.

        Args:
            folder: of the record.
            name: one of `files`; another, and each of an older record, is not looked at.

        Returns:
            A text for a person; empty if it is the same.
        """
        if name not in self.files:
            return ""
        try:
            if digest_of(folder / name) == self.files[name]:
                return ""
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        return f"{name} is not the file that the run wrote: its SHA-256 is not the record's"

    def write(self, path: str | Path) -> None:
        """Write the record atomically.

        Raises:
            StorageError: the disk is full or the folder is not writable.
        """
        atomic.write_json(Path(path), self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> RunRecord:
        """Read a record file.

        Raises:
            ConfigError: the file is missing, too large, not JSON, or malformed.
        """
        return cls.from_json(load_json(path, ConfigError, "record"), source=str(path))


# Records that were written before these fields were there lack them.
_NEWER = frozenset(
    {
        "bound_note",
        "breakdowns",
        "content",
        "decisions",
        "files",
        "final_objective",
        "front",
        "graphs",
        "judge",
        "per_class",
        "proxy_correlation",
        "search_objective",
        "search_result",
    }
)

_FIELDS = tuple(item.name for item in fields(RunRecord))
CONTENT = tuple(Content.__annotations__)
"""The keys of a record's ``content``."""

_WHERE = {
    "search": ("the search's supernet", "the best known by then went on"),
    "final": ("the training", "its best moment before counts"),
}


def breakdown_words(item: _Object) -> str:
    """An item of `RunRecord.breakdowns` for a person."""
    what, outcome = _WHERE[item["phase"]]
    step, reason = item["generator_step"], item["reason"]
    return f"{what} broke down at generator step {step} ({reason}); {outcome}"


def _check_consistency(record: RunRecord) -> None:
    failed = record.status == "failed"
    if failed != bool(record.failure):
        raise ConfigError(
            "failure must give the reason of a failed run and be empty for a completed one, "
            f"got {quoted(record.failure)} with status {record.status!r}"
        )
    if not failed and record.architecture is None:
        raise ConfigError("architecture must not be null in a completed run")
    if (record.kind == "train") != (record.strategy == "train"):
        raise ConfigError(
            f"strategy must be 'train' exactly for kind 'train', got {quoted(record.strategy)} "
            f"with kind {record.kind!r}"
        )
    for point in record.front:
        if set(point["values"]) != set(_front_names(record, point["phase"])):
            raise ConfigError(
                f"front: an architecture of the phase {point['phase']!r} must have the values "
                f"{', '.join(_front_names(record, point['phase']))}, got "
                f"{', '.join(point['values'])}"
            )
    if record.ended < record.started:
        raise ConfigError(f"ended ({record.ended}) must not lie before started ({record.started})")
    if record.content is not None and record.content["images"] != record.dataset_info["checksum"]:
        raise ConfigError("content.images must be the checksum of dataset_info")
    check(Count | None, record.space_settings.get("num_classes"), "space_settings.num_classes")
    average = record.average_random
    if average is not None:
        evaluations = average["evaluations"]
        failures = sum(bool(evaluation["failure"]) for evaluation in evaluations)
        if (average["count"], average["failed"]) != (len(evaluations), failures):
            raise ConfigError(
                f"average_random.count and .failed must be {len(evaluations)} and {failures}, as "
                f"its evaluations are, got {average['count']} and {average['failed']}"
            )


def _front_names(record: RunRecord, phase: str) -> list[str]:
    """The objectives of a front: the first one of an evaluator may have another name."""
    first = record.search_metric if phase == "search" else record.final_metric
    return [first, *record.objectives[1:]]
