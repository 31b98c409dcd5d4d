"""The worker's side of an evaluation: one request in, one message out."""

from __future__ import annotations

import importlib
import logging
import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from nasgan import errors
from nasgan.contracts import Evaluator, Ledger, Proposal
from nasgan.errors import NasganError, PluginError, plugin_name
from nasgan.evaluation.arrival import begin_evaluation, checked_evaluations
from nasgan.evaluation.executors.crew import Message
from nasgan.state_files import not_plain

__all__ = ["CandidateWorker", "LogForwarder", "error_from"]

# Their messages say it all; others are made from more than a message.
_REBUILT = (
    errors.ArchitectureError,
    errors.CheckpointError,
    errors.ConfigError,
    errors.DatasetError,
    errors.MissingDependencyError,
    errors.PluginError,
    errors.RunDirectoryError,
    errors.StorageError,
)


class CandidateWorker:
    """An evaluator in a process of its own."""

    def __init__(self) -> None:
        self._evaluator: Evaluator | None = None
        self._ledger = Ledger()

    def open(self, order: Message) -> Message:
        """Build the evaluator.

        Args:
            order: ``{"builder", "settings", "device", "threads"}``, see `WorkOrder`.

        Returns:
            A message ``ready``, ``refused`` or ``failed``.
        """

        def build() -> Message:
            module, _, name = order["builder"].partition(":")
            builder = getattr(importlib.import_module(module), name)
            self._evaluator, self._ledger = builder(
                order["settings"], device=order["device"], threads=order["threads"]
            )
            return {"kind": "ready", "pid": os.getpid()}

        return self._guarded(build)

    def evaluate(self, request: Message) -> Message:
        """Score a candidate; gives a message ``done``, ``refused`` or ``failed``."""
        # What this attempt costs, also where it fails.
        self._ledger.load_state_dict({})
        return self._guarded(lambda: self._score(request))

    def _score(self, request: Message) -> Message:
        evaluator = self._evaluator
        assert evaluator is not None
        proposal = Proposal.from_json(request["proposal"])
        architecture = proposal.architecture
        if proposal.parent is not None:
            evaluator.adopt(proposal.parent, request["kept_of_parent"])
        evaluator.adopt(architecture, request["kept"])
        task = begin_evaluation(evaluator, proposal)
        while (made := task.results) is None:
            task.advance()
        (evaluation,) = checked_evaluations(made, evaluator, [proposal])
        kept = evaluator.kept(architecture)
        if complaint := not_plain(kept, "kept()"):
            raise PluginError(f"evaluator {plugin_name(evaluator)}: {complaint}")
        return {"kind": "done", "evaluation": evaluation.to_json(), "kept": kept}

    def _guarded(self, work: Callable[[], Message]) -> Message:
        try:
            return work()
        except NasganError as error:
            return {"kind": "refused", "error": type(error).__name__, "message": str(error)}
        except Exception as error:
            return {
                "kind": "failed",
                "reason": f"{type(error).__name__}: {error}",
                "trace": traceback.format_exc(),
                "cost": self._ledger.spent().to_json(),
            }


class LogForwarder(logging.Handler):
    """Hands each record on as JSON data: ``[logger, level, text]``.

    Args:
        send: takes it.
    """

    def __init__(self, send: Callable[[list[Any]], object]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Hand ``record`` on, with its traceback."""
        try:
            self._send([record.name, record.levelno, self.format(record)])
        except Exception:  # as every handler: logging must not stop the work
            self.handleError(record)

    def install(self, level: int) -> None:
        """Make this the process's only handler, for records from ``level`` on and warnings."""
        root = logging.getLogger()
        root.handlers[:] = [self]
        root.setLevel(level)
        logging.captureWarnings(True)


def error_from(message: Mapping[str, Any]) -> NasganError:
    """The error behind a message ``refused``."""
    for kind in _REBUILT:
        if kind.__name__ == message["error"]:
            return kind(message["message"])
    return NasganError(message["message"])
