"""Numbers of the papers, to stand beside ours, each with its own protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nasgan.leaderboard.finding import Selection
from nasgan.metrics.table import METRICS

__all__ = ["PUBLISHED", "PublishedResult", "paper_of", "published_in"]


@dataclass(frozen=True)
class PublishedResult:
    """One row of a paper's table.

    Attributes:
        name: of the method, as a reader knows it.
        search_space: registered name of the space that the network is from.
        strategy: the strategy here that does what found it; empty for a network made by hand.
        architecture: registered name of the network; empty if it was not published.
        dataset: name of the data set.
        metrics: the numbers as printed; a spread is the one within the evaluation.
        protocol: how they were taken, as far as it is known.
        source: paper and table.
        generator_parameters: their number, where the source gives them.
        note: what else a reader has to know.
    """

    name: str
    search_space: str
    strategy: str
    architecture: str
    dataset: str
    metrics: Mapping[str, float]
    protocol: str
    source: str
    generator_parameters: float | None = None
    note: str = field(default="", kw_only=True)

    @property
    def result(self) -> str:
        """The numbers in words."""
        words = []
        for name, value in self.metrics.items():
            if METRICS[name].companion_of is None:
                spread = self.metrics.get(f"{name}_std")
                decimals = 1 if name == "fid" and value == round(value, 1) else 2
                shown = f"{METRICS[name].label} {value:.{decimals}f}"
                words.append(shown if spread is None else f"{shown} ± {spread:.2f}")
        return ", ".join(words)


_TRUNCATED = "50,000 generated images, TensorFlow Inception, float to uint8 by truncation"
_UNKNOWN = "not known: neither the code nor the full text is available"
_TEN_THOUSAND = "10,000 real and 5,000 generated images"

_AUTOGAN = "AutoGAN (ICCV 2019)"
_ADVERSARIAL = "AdversarialNAS (CVPR 2020), Table 2"
_AGAN = "AGAN (arXiv:1906.11080), as AdversarialNAS (CVPR 2020) quotes it"
_INFERRED = "which published architecture this is follows from its name only"

PUBLISHED: tuple[PublishedResult, ...] = (
    PublishedResult(
        "AutoGAN, top 1", "autogan", "rl", "autogan_a", "cifar10",
        {"is": 8.55, "is_std": 0.10, "fid": 12.42}, _TRUNCATED, f"{_AUTOGAN}, Table 1",
    ),
    PublishedResult(
        "AutoGAN, top 2", "autogan", "rl", "autogan_b", "cifar10",
        {"is": 8.42, "is_std": 0.07, "fid": 13.67}, _TRUNCATED, f"{_AUTOGAN}, Table 1",
        note=_INFERRED,
    ),
    PublishedResult(
        "AutoGAN, top 3", "autogan", "rl", "autogan_c", "cifar10",
        {"is": 8.41, "is_std": 0.11, "fid": 13.87}, _TRUNCATED, f"{_AUTOGAN}, Table 1",
        note=_INFERRED,
    ),
    PublishedResult(
        "AutoGAN, top 1", "autogan", "rl", "autogan_a", "stl10",
        {"is": 9.16, "is_std": 0.12, "fid": 31.01}, _TRUNCATED, f"{_AUTOGAN}, Table 2",
    ),
    PublishedResult(
        "AutoGAN, random search with weight sharing", "autogan", "random", "", "cifar10",
        {"is": 8.09, "fid": 17.34}, _TRUNCATED, f"{_AUTOGAN}, section 4.3.5",
    ),
    PublishedResult(
        "AutoGAN, random search without weight sharing", "autogan", "random_scratch", "", "cifar10",
        {"is": 7.97, "fid": 21.39}, _TRUNCATED, f"{_AUTOGAN}, section 4.3.5",
    ),
    PublishedResult(
        "AdversarialNAS", "adversarial_nas", "adversarial", "adversarialnas", "cifar10",
        {"is": 8.74, "is_std": 0.07, "fid": 10.87}, _TRUNCATED, _ADVERSARIAL,
    ),
    PublishedResult(
        "AdversarialNAS", "adversarial_nas", "adversarial", "adversarialnas", "stl10",
        {"is": 9.63, "is_std": 0.19, "fid": 26.98}, _TRUNCATED, _ADVERSARIAL,
    ),
    PublishedResult(
        "AGAN", "agan", "rl", "", "cifar10",
        {"is": 8.29, "is_std": 0.09, "fid": 30.5}, _UNKNOWN, _AGAN, 20.1e6,
        note="search of 1,200 GPU days",
    ),
    PublishedResult(
        "AGAN", "agan", "rl", "", "stl10",
        {"is": 9.23, "is_std": 0.08, "fid": 52.7}, _UNKNOWN, _AGAN,
        note="transferred from CIFAR-10",
    ),
    PublishedResult(
        "SNGAN", "baselines", "", "sngan", "cifar10",
        {"fid": 21.7}, _TEN_THOUSAND, "SNGAN (ICLR 2018)",
    ),
)  # fmt: skip
"""All of unconditional networks."""


def paper_of(row: Mapping[str, Any]) -> PublishedResult | None:
    """The paper's number for a row of the leaderboard, where there is one.

    Args:
        row: with its ``strategy`` (``"train"`` for the training of an ``architecture``, the name of
            which is empty for a search), ``dataset``, ``search_space`` and ``num_classes``.
    """
    for paper in () if row["num_classes"] else PUBLISHED:
        is_network = row["strategy"] == "train" and row["architecture"] == paper.architecture != ""
        is_search = row["strategy"] == paper.strategy != ""
        if row["dataset"] == paper.dataset and (
            is_network or (is_search and row["search_space"] == paper.search_space)
        ):
            return paper
    return None


def published_in(datasets: Iterable[str], selection: Selection) -> list[PublishedResult]:
    """The papers' results on some image sets, within ``selection``."""
    named = set(datasets)
    return [
        paper
        for paper in PUBLISHED
        if paper.dataset in named
        and paper.search_space in selection.get("search_space", (paper.search_space,))
        and paper.strategy in selection.get("strategy", (paper.strategy,))
        and paper.architecture in selection.get("architecture", (paper.architecture,))
        and 0 in selection.get("num_classes", (0,))
        and False in selection.get("conditional", (False,))
    ]
