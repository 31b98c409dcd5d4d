"""What the objects in a run record hold, as types that are checked (`nasgan.schema`)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator
from typing_extensions import NotRequired

from nasgan.architecture import Architecture
from nasgan.errors import ArchitectureError
from nasgan.metrics.table import METRICS
from nasgan.schema import Amount, Count, Fault, Many, Number, OpenPart, Part, Text

__all__ = [
    "UNITS",
    "ArchitectureData",
    "AverageRandom",
    "Bound",
    "Budget",
    "Content",
    "Cost",
    "Costs",
    "DatasetInfo",
    "Digests",
    "Evaluation",
    "Judge",
    "Objective",
    "OnAFront",
    "Parameters",
    "PhasedBreakdown",
    "Scores",
    "ScoresByClass",
]

_DIGEST = re.compile(r"[0-9a-f]{64}")


def _architecture(value: dict[str, Any]) -> dict[str, Any]:
    try:
        Architecture.from_json(value, source="")
    except ArchitectureError as error:
        raise ValueError(str(error).removeprefix(": ")) from error
    return value


def _within_bounds(scores: dict[str, Any]) -> dict[str, Any]:
    """Refuse what a metric cannot give; one that is unknown here may give anything."""
    for name, score in scores.items():
        many = isinstance(score, list | tuple)
        for place, value in enumerate(score if many else (score,)):
            if name in METRICS and not METRICS[name].holds(value):
                raise Fault(METRICS[name].range, value, name, *((place,) if many else ()))
    return scores


def _sha256(digests: dict[str, str]) -> dict[str, str]:
    for name, digest in digests.items():
        if not _DIGEST.fullmatch(digest):
            raise Fault("64 hexadecimal digits", digest, name)
    return digests


ArchitectureData = Annotated[dict[str, Any], AfterValidator(_architecture)]
Digests = Annotated[dict[str, str], AfterValidator(_sha256)]
Scores = Annotated[dict[str, Number], AfterValidator(_within_bounds)]
ScoresByClass = Annotated[dict[str, Many[Number]], AfterValidator(_within_bounds)]


class Cost(Part):
    """What a phase spent."""

    architectures: Count
    generator_steps: Count
    images: Count
    device_seconds: Amount


UNITS = tuple(Cost.__annotations__)
"""In which costs are counted."""


class Costs(Part):
    """By phase."""

    search: Cost
    final: Cost


class Budget(Part):
    """The limits of a search."""

    architectures: Amount | None
    generator_steps: Amount | None
    images: Amount | None
    device_seconds: Amount | None


class OneObjective(Part):
    """A metric, and where better lies."""

    metric: Text
    direction: Literal["min", "max"]


class Objective(OneObjective):
    """The same, with the others of a search by several."""

    others: NotRequired[Many[OneObjective]]


class Breakdown(Part):
    """Where a training broke down."""

    reason: Text
    generator_step: Count


class PhasedBreakdown(Breakdown):
    """The same, in the search or after it."""

    phase: Literal["search", "final"]


class Evaluation(Part):
    """A scored architecture; see `nasgan.contracts.Evaluation`."""

    architecture: ArchitectureData
    metrics: Scores
    score: Number | None
    fidelity: Text
    generator_steps: Count
    cost: Cost
    failure: str
    breakdown: NotRequired[Breakdown]
    parent: NotRequired[Text]


class OnAFront(Part):
    """An architecture that no other beats in every objective."""

    phase: Literal["search", "final"]
    architecture: ArchitectureData
    values: dict[str, Number]


class AverageRandom(Part):
    """The random architectures trained beside the finalists."""

    count: Count
    failed: Count
    metrics: Scores
    evaluations: Many[Evaluation]


class Bound(Part):
    """The score of real test images."""

    metrics: Scores
    num_images: Count


class Judge(Part):
    """The table that scored the finalists."""

    table: Text
    scores: Literal["exact", "surrogate"]
    best_known: Number
    regret: Number | None


class Parameters(Part):
    """Numbers of parameters."""

    generator: Count
    discriminator: Count


class Content(Part):
    """Checksums of what the run worked with."""

    images: Text | None
    test_images: Text | None
    features: Text | None
    architecture: Text | None
    table: NotRequired[Text]
    judge: NotRequired[Text]


class DatasetInfo(OpenPart):
    """Of the images trained on."""

    checksum: Text
    num_images: Count
