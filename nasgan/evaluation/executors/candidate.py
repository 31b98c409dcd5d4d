"""The worker's side of an evaluation: a proposal in, an evaluation out."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from nasgan.contracts import Cost, EvaluationTask, Evaluator, Ledger, Proposal
from nasgan.errors import NasganError, PluginError, plugin_name
from nasgan.evaluation.arrival import begin_evaluation, checked_evaluations
from nasgan.evaluation.attempts import (
    Attempt,
    new_attempt,
    newest_attempt,
    save_attempt,
    seen_here,
)
from nasgan.reading import digest_of_json
from nasgan.state_files import not_plain, plugin_state
from nasgan.supervisor import PieceError

__all__ = ["SCORE", "candidate_folder", "half_done", "hand_over", "request", "score"]

SCORE = "nasgan.evaluation.executors.candidate:score"

_DIGITS = 12


def request(evaluator: Evaluator, proposal: Proposal) -> dict[str, Any]:
    """What a worker needs to know of a candidate, and of its parent."""
    parent = proposal.parent
    return {
        "proposal": proposal.to_json(),
        "kept": evaluator.kept(proposal.architecture),
        "kept_of_parent": {} if parent is None else evaluator.kept(parent),
    }


def candidate_folder(root: Path, number: int, asked: Mapping[str, Any]) -> Path:
    """Of a candidate's checkpoints: the same in a resumed run, which may propose another instead.

    Args:
        root: of all candidates' under way.
        number: in the order of proposals.
        asked: see `request`.
    """
    return root / f"{number}-{digest_of_json(asked)[:_DIGITS]}"


def half_done(
    root: Path, evaluator: Evaluator, number: int, proposal: Proposal
) -> tuple[Any, Cost] | None:
    """The state of a candidate's task that a worker left, and what that has cost."""
    if not root.is_dir():
        return None
    folder = candidate_folder(root, number, request(evaluator, proposal))
    state = newest_attempt(folder)
    if state is None:
        return None
    spent = Ledger()
    spent.load_state_dict(state["ledger"])
    return state["task"], spent.spent()


def hand_over(folder: Path, task: Any, spent: Cost) -> None:
    """Leave to workers what the search's own process has half done of a candidate.

    Args:
        folder: see `candidate_folder`.
        task: the state of the evaluation.
        spent: what it has cost.

    Raises:
        StorageError: it cannot be written.
    """
    ledger = Ledger()
    ledger.charge(spent)
    save_attempt(new_attempt(folder), {"task": task, "ledger": ledger.state_dict()}, spent.images)


def score(order: Mapping[str, Any]) -> dict[str, Any]:
    """Score a candidate.

    Args:
        order: ``{"builder", "settings", "every_seconds"}``, see `WorkOrder`; ``device`` and
            ``threads`` of this process; what `request` gives; ``folder``, of its checkpoints, or
            None.

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
        return _scored(evaluator, ledger, order)
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


def _scored(evaluator: Evaluator, ledger: Ledger, order: Mapping[str, Any]) -> dict[str, Any]:
    proposal = Proposal.from_json(order["proposal"])
    architecture = proposal.architecture
    if proposal.parent is not None:
        evaluator.adopt(proposal.parent, order["kept_of_parent"])
    evaluator.adopt(architecture, order["kept"])
    task = begin_evaluation(evaluator, proposal)
    attempt = _CandidateAttempt(task, ledger, _folder(order), order["every_seconds"])
    made = attempt.finish()
    (evaluation,) = checked_evaluations(made, evaluator, [proposal])
    kept = evaluator.kept(architecture)
    if complaint := not_plain(kept, "kept()"):
        raise PluginError(f"evaluator {plugin_name(evaluator)}: {complaint}")
    return {"evaluation": evaluation.to_json(), "kept": kept}


def _folder(order: Mapping[str, Any]) -> Path | None:
    """Where its checkpoints are; None where there are none."""
    folder = None if order["folder"] is None else Path(order["folder"])
    return None if folder is None else seen_here(folder, folder.parent)


class _CandidateAttempt(Attempt):
    """An attempt at a candidate, with what its ledger was charged."""

    def __init__(
        self, task: EvaluationTask, ledger: Ledger, folder: Path | None, every_seconds: float
    ) -> None:
        super().__init__(task, folder, every_seconds)
        self._task = task
        self._ledger = ledger

    @property
    def progress(self) -> int:
        """Images; see `Attempt.progress`."""
        return self._ledger.spent().images

    def state(self) -> dict[str, Any]:
        """See `Attempt.state`."""
        task = plugin_state(self._task, "evaluation")
        return {"task": task, "ledger": self._ledger.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """See `Attempt.load`."""
        self._task.load_state_dict(state["task"])
        self._ledger.load_state_dict(state["ledger"])
