"""The worker's side of an evaluation: a proposal in, an evaluation out."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from nasgan.contracts import Evaluator, Ledger, Proposal
from nasgan.errors import NasganError, PluginError, plugin_name
from nasgan.evaluation.arrival import begin_evaluation, checked_evaluations
from nasgan.state_files import not_plain
from nasgan.supervisor import PieceError

__all__ = ["SCORE", "score"]

SCORE = "nasgan.evaluation.executors.candidate:score"


def score(order: Mapping[str, Any]) -> dict[str, Any]:
    """Score a candidate.

    Args:
        order: ``{"builder", "settings"}``, see `WorkOrder`; ``device`` and ``threads`` of this
            process; ``{"proposal", "kept", "kept_of_parent"}``, see
            `nasgan.contracts.Evaluator.kept`.

    Returns:
        ``{"evaluation", "kept"}``.

    Raises:
        PieceError: from an unexpected error, with what the attempt cost.
    """
    evaluator, ledger = _opened(
        order["builder"], json.dumps(order["settings"]), order["device"], order["threads"]
    )
    # What this attempt costs, also where it fails.
    ledger.load_state_dict({})
    try:
        return _scored(evaluator, order)
    except NasganError:
        raise
    except Exception as error:
        raise PieceError(ledger.spent().to_json()) from error


@lru_cache(maxsize=1)
def _opened(builder: str, settings: str, device: str, threads: int) -> tuple[Evaluator, Ledger]:
    """The evaluator of this process."""
    module, _, name = builder.partition(":")
    try:
        build = getattr(importlib.import_module(module), name)
        evaluator, ledger = build(json.loads(settings), device=device, threads=threads)
    except NasganError:
        raise
    except Exception as error:
        raise PieceError(starting=True) from error
    return evaluator, ledger


def _scored(evaluator: Evaluator, order: Mapping[str, Any]) -> dict[str, Any]:
    proposal = Proposal.from_json(order["proposal"])
    architecture = proposal.architecture
    if proposal.parent is not None:
        evaluator.adopt(proposal.parent, order["kept_of_parent"])
    evaluator.adopt(architecture, order["kept"])
    task = begin_evaluation(evaluator, proposal)
    while (made := task.results) is None:
        task.advance()
    (evaluation,) = checked_evaluations(made, evaluator, [proposal])
    kept = evaluator.kept(architecture)
    if complaint := not_plain(kept, "kept()"):
        raise PluginError(f"evaluator {plugin_name(evaluator)}: {complaint}")
    return {"evaluation": evaluation.to_json(), "kept": kept}
