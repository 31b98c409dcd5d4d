"""Numbers of the papers, to stand beside ours, each with its own protocol."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PUBLISHED", "PublishedResult", "published_result"]


@dataclass(frozen=True)
class PublishedResult:
    """One row of a paper's table.

    Attributes:
        strategy: as in the leaderboard: a strategy, or ``"train"``.
        architecture: name of the trained architecture.
        dataset: name of the data set.
        result: the numbers as printed.
        protocol: how they were taken, and the source.
    """

    strategy: str
    architecture: str
    dataset: str
    result: str
    protocol: str


_AUTOGAN = (
    "50,000 generated images, TensorFlow Inception, float to uint8 by truncation "
    "(AutoGAN, ICCV 2019, Table {table})"
)

PUBLISHED: tuple[PublishedResult, ...] = (
    PublishedResult(
        "train", "autogan_a", "cifar10", "IS 8.55 ± 0.10, FID 12.42", _AUTOGAN.format(table=1)
    ),
    PublishedResult(
        "train", "autogan_a", "stl10", "IS 9.16 ± 0.12, FID 31.01", _AUTOGAN.format(table=2)
    ),
)


def published_result(strategy: str, architecture: str, dataset: str) -> PublishedResult | None:
    """The paper's number for a row of the leaderboard, where there is one."""
    wanted = (strategy, architecture, dataset)
    matches = [p for p in PUBLISHED if (p.strategy, p.architecture, p.dataset) == wanted]
    return matches[0] if matches else None
