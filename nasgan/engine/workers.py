"""The evaluator of a run, built again from its configuration in a worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasgan.contracts import Evaluator, Ledger
from nasgan.engine.parts import make_evaluator, make_space
from nasgan.engine.trained_apart import open_inputs, training_run

__all__ = ["WORKER_BUILDER", "open_evaluator"]

WORKER_BUILDER = "nasgan.engine.workers:open_evaluator"
"""For `nasgan.evaluation.executors.WorkOrder`."""


def open_evaluator(
    settings: Mapping[str, Any], *, device: str, threads: int
) -> tuple[Evaluator, Ledger]:
    """Build what a worker needs to score candidates as the run itself would.

    Args:
        settings: ``config``, the run's resolved configuration, and ``folder``, where evaluations
            keep their files.
        device: of this worker.
        threads: torch's CPU threads.

    Returns:
        The evaluator, and the ledger that it charges: the budget is held by the run.
    """
    config = settings["config"]
    bench = open_inputs(config, device=device, threads=threads)
    run = training_run(
        bench,
        make_space(config, bench.images, bench.trainer),
        seed=config["seed"],
        folder=Path(settings["folder"]),
    )
    run.score_with(make_evaluator(config))
    return run.evaluator, run.ledger
