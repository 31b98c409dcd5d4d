"""How well a search's scores foretell those after training: rank correlations (AutoGAN, Fig. 7).

Imports scipy when it is needed: reading records does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator
from typing_extensions import NotRequired

from nasgan.schema import Count, Fault, Many, Number, Part, Text, number, whole

__all__ = [
    "LEAST_CORRELATED",
    "ProxyCorrelation",
    "is_of_its_points",
    "proxy_correlation",
    "rank_correlations",
]

LEAST_CORRELATED = 3
"""Of fewer architectures no correlation is given: two are always in perfect order, or reverse."""


class _Point(Part):
    architecture: Text
    search: Number
    final: Number


_Coefficient = Annotated[float, number(least=-1.0)]


class _Proxy(Part):
    metric: Text
    search_metric: NotRequired[Text]
    opposed: NotRequired[bool]
    fidelity: Text
    generator_steps: Count
    n: Annotated[int, whole(least=2)]
    spearman: _Coefficient | None
    kendall: _Coefficient | None
    points: Many[_Point]


def _consistent(value: _Proxy) -> _Proxy:
    if value["n"] != len(value["points"]):
        raise Fault(f"the number of its points, {len(value['points'])}", value["n"], "n")
    own = ("search_metric", "opposed")
    lacks = [name for name in own if name not in value]
    if len(lacks) == 1:
        raise ValueError(f"lacks {lacks[0]}")
    return value


ProxyCorrelation = Annotated[_Proxy, AfterValidator(_consistent)]
"""What `proxy_correlation` gives."""


def rank_correlations(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float | None, float | None]:
    """Spearman's rho and Kendall's tau-b of two lists of scores, paired by place.

    Ties get their mean rank (Spearman) and are corrected for (Kendall). Both are None for fewer
    than `LEAST_CORRELATED` pairs, and where all scores of a list are equal.

    Raises:
        ValueError: the lists differ in length, or a score is not finite.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} scores cannot be paired with {len(second)}")
    if not all(map(math.isfinite, (*first, *second))):
        raise ValueError("scores that are not finite have no ranks")
    if len(first) < LEAST_CORRELATED or len(set(first)) == 1 or len(set(second)) == 1:
        return None, None
    from scipy.stats import kendalltau, spearmanr

    found = [float(test(first, second).statistic) for test in (spearmanr, kendalltau)]
    # Rounding may carry a perfect order a last digit beyond 1.
    rho, tau = (max(-1.0, min(1.0, value)) for value in found)
    return rho, tau


def proxy_correlation(
    searched: Mapping[str, Mapping[tuple[str, int], float]],
    final: Mapping[str, float],
    metric: str,
    *,
    search_metric: str | None = None,
    opposed: bool = False,
) -> dict[str, Any] | None:
    """Scores in the search against those after the final training, of the same architectures.

    A positive correlation means that the search ranks the architectures as the training does,
    whichever direction is better. Scores of different kinds and
    lengths of training do not compare: those of the kind are taken that most of the architectures
    have, and of the longest training among such.

    Args:
        searched: by the architecture's id its scores in the search, by fidelity and generator steps
            behind the score.
        final: by the architecture's id the score after the final training.
        metric: name of what is scored.
        search_metric: name of what the search scores, where an evaluator names its own.
        opposed: whether more is better of one of the two, and less of the other.

    Returns:
        ``{"metric", "fidelity", "generator_steps", "n", "spearman", "kendall", "points"}`` as JSON
        data, the correlations as in `rank_correlations`, the points
        ``{"architecture", "search", "final"}`` in the order of ``final``. None where fewer than two
        architectures have both scores. ``"search_metric"`` and ``"opposed"`` beside them where the
        search's scores have a name of their own.
    """
    pairs: dict[tuple[str, int], dict[str, tuple[float, float]]] = {}
    for architecture, after in final.items():
        for kind, before in searched.get(architecture, {}).items():
            if math.isfinite(before) and math.isfinite(after):
                pairs.setdefault(kind, {})[architecture] = (before, after)
    kind = max(pairs, key=lambda key: (len(pairs[key]), key[1]), default=("", 0))
    chosen = pairs.get(kind, {})
    if len(chosen) < 2:
        return None
    found = rank_correlations(*zip(*chosen.values(), strict=True))
    rho, tau = _aligned(found, opposed=opposed)
    own = {} if search_metric is None else {"search_metric": search_metric, "opposed": opposed}
    return {
        "metric": metric,
        **own,
        "fidelity": kind[0],
        "generator_steps": kind[1],
        "n": len(chosen),
        "spearman": rho,
        "kendall": tau,
        "points": [
            {"architecture": architecture, "search": in_search, "final": trained}
            for architecture, (in_search, trained) in chosen.items()
        ],
    }


def _aligned(
    found: tuple[float | None, float | None], *, opposed: bool
) -> tuple[float | None, float | None]:
    """The correlations, positive where both scores agree on what is better."""
    rho, tau = (-value if opposed and value is not None else value for value in found)
    return rho, tau


def is_of_its_points(proxy: Mapping[str, Any]) -> bool:
    """Whether the correlations of `proxy_correlation` are those of the points beside them."""
    points = proxy["points"]
    made = _aligned(
        rank_correlations([p["search"] for p in points], [p["final"] for p in points]),
        opposed=proxy.get("opposed", False),
    )
    return all(
        said is own if said is None or own is None else math.isclose(said, own, abs_tol=1e-9)
        for said, own in zip((proxy["spearman"], proxy["kendall"]), made, strict=True)
    )
