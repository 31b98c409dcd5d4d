"""Numbers that tell how decided a search is, and whether it has collapsed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nasgan.architecture import Decision, Part

__all__ = ["collapse", "entropy", "health_values", "margin"]

_NOTHING = frozenset({"none"})
_IDENTITY = frozenset({"skip_connect", "identity"})
# A search has collapsed where so many of its operations are led by nothing or identity ...
_COLLAPSED_SHARE = 0.75
# ... and is no longer as undecided as at its start (mean entropy, 1 is undecided).
_UNDECIDED = 0.99


def entropy(probabilities: Sequence[float]) -> float:
    """Shannon entropy as a share of the uniform distribution's: 1 undecided, 0 decided."""
    if len(probabilities) < 2:
        return 0.0
    total = -sum(p * math.log(p) for p in probabilities if p > 0)
    return total / math.log(len(probabilities))


def margin(probabilities: Sequence[float]) -> float:
    """How far the most probable option is ahead of the next one."""
    if len(probabilities) < 2:
        return 1.0
    first, second = sorted(probabilities, reverse=True)[:2]
    return first - second


def health_values(
    part: Part, decisions: Sequence[Decision], probabilities: Sequence[Sequence[float]]
) -> dict[str, float]:
    """The health of one part's decisions, for the history.

    Args:
        part: the network.
        decisions: its decisions; at least one.
        probabilities: of the options of each.

    Returns:
        ``entropy/DECISION`` and ``margin/DECISION``; the mean and the least of both over the part;
        the mean probability of ``none`` and of the identity over its operations, if it has any: the
        decisions that offer the identity (elsewhere ``none`` may be as good as any option).
    """
    entropies = [entropy(row) for row in probabilities]
    margins = [margin(row) for row in probabilities]
    values: dict[str, float] = {}
    for kind, numbers in (("entropy", entropies), ("margin", margins)):
        values[f"{kind}_{part}_mean"] = sum(numbers) / len(numbers)
        values[f"{kind}_{part}_min"] = min(numbers)
    for name, options in (("none", _NOTHING), ("identity", _IDENTITY)):
        found = [
            sum(p for p, option in zip(row, decision.options, strict=True) if option in options)
            for decision, row in zip(decisions, probabilities, strict=True)
            if _is_operation(decision)
        ]
        if found:
            values[f"{name}_{part}"] = sum(found) / len(found)
    for decision, one, other in zip(decisions, entropies, margins, strict=True):
        values[f"entropy/{decision.name}"] = one
        values[f"margin/{decision.name}"] = other
    return values


def collapse(decisions: Sequence[Decision], probabilities: Sequence[Sequence[float]]) -> str:
    """How the operations of one part have collapsed, in words; empty if they have not.

    The leading options at the start of a search are noise, so it has to have moved away from
    indifference too.
    """
    leading, entropies = [], []
    for decision, row in zip(decisions, probabilities, strict=True):
        if _is_operation(decision):
            leading.append(decision.options[max(range(len(row)), key=row.__getitem__)])
            entropies.append(entropy(row))
    empty = sum(option in _NOTHING | _IDENTITY for option in leading)
    if not leading or empty < _COLLAPSED_SHARE * len(leading):
        return ""
    if sum(entropies) / len(entropies) > _UNDECIDED:
        return ""
    nothing = sum(option in _NOTHING for option in leading)
    return f"{nothing} of its {len(leading)} operations are none, {empty - nothing} the identity"


def _is_operation(decision: Decision) -> bool:
    return bool(_IDENTITY & set(decision.options))
